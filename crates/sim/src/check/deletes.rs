//! S6: whatever an agent deletes, somebody asked for it: the tenant's deletion was written before, or an assignment without the object.

use std::{collections::BTreeSet, time::Duration};

use berth_model::label;

use super::{Events, Finding, records};
use crate::history::Event;

/// What somebody asked for, by uid.
#[derive(Default)]
struct Asked {
    /// To be deleted.
    deleting: BTreeSet<String>,
    /// Changed at all.
    changed: BTreeSet<String>,
    /// An agent was told to withdraw it, and does so whatever becomes of the store.
    told: BTreeSet<String>,
}

impl Asked {
    fn take(&mut self, version: records::Version) {
        if version.deleting {
            self.deleting.insert(version.uid);
        } else if version.generation > 1 {
            self.changed.insert(version.uid);
        }
    }

    fn follow(&mut self, at: Duration, event: &Event) {
        match event {
            Event::Wrote { changes, .. } => {
                let versions = changes
                    .iter()
                    .filter_map(|change| records::version(&change.key, change.put.as_deref(), at)?.1);
                versions.for_each(|version| self.take(version));
            }
            Event::Commanded { said, .. } if said.what == "withdraw" => {
                self.told.insert(said.uid.clone());
            }
            Event::PutBack(back) => {
                // What a store has forgotten nobody asks for any more, but what agents have in hand.
                self.deleting.clone_from(&self.told);
                let restored = records::restored(&back.entries, at);
                restored.into_values().for_each(|version| self.take(version));
            }
            _ => {}
        }
    }
}

/// Deletes by agents that nothing explains.
pub(super) fn unexplained(events: &Events) -> Vec<Finding> {
    let mut asked = Asked::default();
    let mut findings = Vec::new();
    for (at, event) in events {
        asked.follow(*at, event);
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
        let gone = asked.deleting.contains(uid);
        // The main namespace never goes while the tenant stays; anything else may be left out by a change.
        let main = path
            .strip_prefix("/api/v1/namespaces/")
            .is_some_and(|rest| !rest.contains('/') && !rest.contains("--"));
        let left_out = !main && asked.changed.contains(uid);
        if !gone && !left_out {
            let what = format!("{agent} deleted {path} of {cluster} (uid {uid:?}), which nobody asked for");
            findings.push(Finding::new("S6", *at, what));
        }
    }
    findings
}
