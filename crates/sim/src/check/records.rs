//! S1: what was acknowledged is there, and stays until something else that was asked for takes its place.

use std::{collections::BTreeMap, time::Duration};

use berth_model::{Revision, TenantId};
use berth_wire::record;

use super::{Events, Finding};
use crate::{
    admin::MARK,
    history::{Acknowledged, Event},
};

/// A tenant's record at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) at: Duration,
    pub(super) uid: String,
    pub(super) generation: u64,
    pub(super) mark: String,
    pub(super) deleting: bool,
}

/// Every version of every tenant's record, oldest first; none is the end of a record.
pub(super) fn versions(events: &Events) -> BTreeMap<TenantId, Vec<(Duration, Option<Version>)>> {
    let mut found: BTreeMap<TenantId, Vec<(Duration, Option<Version>)>> = BTreeMap::new();
    for (at, event) in events {
        let Event::Wrote { changes, .. } = event else {
            continue;
        };
        for change in changes {
            let Some(id) = change.key.as_str().strip_prefix("tenants/") else {
                continue;
            };
            let Ok(id) = TenantId::new(id) else { continue };
            let version = change.put.as_ref().and_then(|value| {
                let tenant = record::decode_tenant(value, Revision(0)).ok()?.tenant;
                Some(Version {
                    at: *at,
                    uid: tenant.uid.to_string(),
                    generation: tenant.generation.0,
                    mark: tenant.spec.labels.get(MARK).cloned().unwrap_or_default(),
                    deleting: tenant.deleting_since.is_some(),
                })
            });
            found.entry(id).or_default().push((*at, version));
        }
    }
    found
}

/// Acknowledged writes that are not in the store, and records that changed as nobody asked.
pub(super) fn lost(events: &Events) -> Vec<Finding> {
    let versions = versions(events);
    let none = Vec::new();
    let mut findings = Vec::new();
    for (at, event) in events {
        if let Event::Answered {
            done: Some(done),
            call,
            ..
        } = event
        {
            let of = versions.get(&done.tenant).unwrap_or(&none);
            if !of
                .iter()
                .any(|(written, version)| written <= at && version.as_ref().is_some_and(|v| is(v, done)))
            {
                let what = format!(
                    "#{call}: {} of tenant {} (generation {}) was acknowledged and never written",
                    done.what, done.tenant, done.generation
                );
                findings.push(Finding::new("S1", *at, what));
            }
        }
    }
    for (id, versions) in &versions {
        let mut before: Option<&Version> = None;
        for (at, version) in versions {
            if let Some(problem) = problem(before, version.as_ref()) {
                findings.push(Finding::new("S1", *at, format!("tenant {id}: {problem}")));
            }
            before = version.as_ref();
        }
    }
    findings
}

fn is(version: &Version, done: &Acknowledged) -> bool {
    let same = version.uid == done.uid.as_str() && version.generation >= done.generation.0;
    match done.what {
        "delete" => same && version.deleting,
        // A request that is repeated is answered with what has become of the tenant since.
        _ => {
            same && (version.mark == done.mark
                || version.generation > done.generation.0
                || version.deleting
                || version.generation == done.generation.0)
        }
    }
}

/// What cannot come after `before`.
fn problem(before: Option<&Version>, after: Option<&Version>) -> Option<String> {
    match (before, after) {
        (None, Some(new)) if new.generation != 1 => {
            Some(format!("appeared at generation {}", new.generation))
        }
        (Some(old), Some(new)) if old.uid != new.uid => {
            Some("was replaced by another of its name without having gone".into())
        }
        (Some(old), Some(new)) if new.generation != old.generation + 1 => Some(format!(
            "went from generation {} to {}: a write in between was lost",
            old.generation, new.generation
        )),
        (Some(old), Some(new)) if old.deleting && !new.deleting => Some("its deletion was taken back".into()),
        (Some(old), None) if !old.deleting => Some(format!(
            "vanished at generation {} though nobody deleted it",
            old.generation
        )),
        _ => None,
    }
}
