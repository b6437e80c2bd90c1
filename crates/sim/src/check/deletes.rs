//! S6: whatever an agent deletes, somebody asked for it: the tenant's deletion was written before, or an assignment without the object.

use std::{collections::BTreeMap, time::Duration};

use berth_model::label;

use super::{Events, Finding, records};
use crate::history::Event;

/// Deletes by agents that nothing explains.
pub(super) fn unexplained(events: &Events) -> Vec<Finding> {
    let versions = records::versions(events);
    // When each uid was first to be deleted, and when it last changed at all.
    let mut deleting: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut changed: BTreeMap<&str, Duration> = BTreeMap::new();
    for version in versions
        .values()
        .flatten()
        .filter_map(|(_, version)| version.as_ref())
    {
        if version.deleting {
            deleting.entry(&version.uid).or_insert(version.at);
        } else if version.generation > 1 {
            changed.entry(&version.uid).or_insert(version.at);
        }
    }
    let mut findings = Vec::new();
    for (at, event) in events {
        let Event::Kube {
            cluster,
            agent,
            verb,
            path,
            status,
            uid,
            ..
        } = event
        else {
            continue;
        };
        let own = path.contains(&format!("/namespaces/{}/", label::AGENT_NAMESPACE));
        if verb != "DELETE" || *status >= 300 || own {
            continue;
        }
        let gone = deleting.get(uid.as_str()).is_some_and(|since| since <= at);
        // The main namespace never goes while the tenant stays; anything else may be left out by a change.
        let main = path
            .strip_prefix("/api/v1/namespaces/")
            .is_some_and(|rest| !rest.contains('/') && !rest.contains("--"));
        let left_out = !main && changed.get(uid.as_str()).is_some_and(|since| since <= at);
        if !gone && !left_out {
            let what = format!("{agent} deleted {path} of {cluster} (uid {uid:?}), which nobody asked for");
            findings.push(Finding::new("S6", *at, what));
        }
    }
    findings
}
