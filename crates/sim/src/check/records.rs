//! S1: what was acknowledged is there, and stays until something else that was asked for takes its place.

use std::{collections::BTreeMap, time::Duration};

use berth_control::keys;
use berth_model::{Revision, TenantId};
use berth_store::{Entry, Key};
use berth_wire::record;

use super::{Events, Finding};
use crate::{
    admin::MARK,
    history::{Acknowledged, Event},
};

/// A tenant's record at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    at: Duration,
    pub(super) uid: String,
    pub(super) generation: u64,
    mark: String,
    pub(super) deleting: bool,
}

/// A version of the record under `key`, when that is a tenant's.
pub(super) fn version(key: &Key, value: Option<&[u8]>, at: Duration) -> Option<(TenantId, Option<Version>)> {
    let id = TenantId::new(key.as_str().strip_prefix(keys::TENANTS)?).ok()?;
    let version = value.and_then(|value| {
        let tenant = record::decode_tenant(value, Revision(0)).ok()?.tenant;
        Some(Version {
            at,
            uid: tenant.uid.to_string(),
            generation: tenant.generation.0,
            mark: tenant.spec.labels.get(MARK).cloned().unwrap_or_default(),
            deleting: tenant.deleting_since.is_some(),
        })
    });
    Some((id, version))
}

/// The tenants' records in a store that was put back.
pub(super) fn restored(entries: &[Entry], at: Duration) -> BTreeMap<TenantId, Version> {
    let read = entries
        .iter()
        .filter_map(|entry| version(&entry.key, Some(&entry.value), at));
    read.filter_map(|(id, version)| Some((id, version?))).collect()
}

/// What became of a tenant's record.
struct Step {
    at: Duration,
    revision: Revision,
    /// None is the end of a record.
    version: Option<Version>,
    /// Not written: the store was put back to this.
    put_back: bool,
}

/// Every version of every tenant's record, oldest first, and what is not in a store that was put back although it was in it then.
fn steps(events: &Events) -> (BTreeMap<TenantId, Vec<Step>>, Vec<Finding>) {
    let mut found: BTreeMap<TenantId, Vec<Step>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, event) in events {
        match event {
            Event::Wrote {
                changes, revision, ..
            } => {
                for change in changes {
                    if let Some((id, version)) = version(&change.key, change.put.as_deref(), *at) {
                        found.entry(id).or_default().push(Step {
                            at: *at,
                            revision: *revision,
                            version,
                            put_back: false,
                        });
                    }
                }
            }
            Event::PutBack(back) => {
                let mut restored = restored(&back.entries, *at);
                for id in restored.keys() {
                    found.entry(id.clone()).or_default();
                }
                for (id, steps) in &mut found {
                    let version = restored.remove(id);
                    let known = steps.iter().rev().find(|step| step.revision <= back.from);
                    let known = known.and_then(|step| step.version.as_ref());
                    let same = |a: &Version, b: &Version| {
                        Version {
                            at: a.at,
                            ..b.clone()
                        } == *a
                    };
                    let whole = match (&version, known) {
                        (None, None) => true,
                        (Some(version), Some(known)) => same(version, known),
                        _ => false,
                    };
                    if !whole {
                        let what = format!(
                            "tenant {id} came back as {version:?}, and was {known:?} at revision {}",
                            back.from
                        );
                        findings.push(Finding::new("S1", *at, what));
                    }
                    steps.push(Step {
                        at: *at,
                        // What is written from now on is of another store, whose revisions may be lower.
                        revision: Revision(0),
                        version,
                        put_back: true,
                    });
                }
            }
            _ => {}
        }
    }
    (found, findings)
}

/// Acknowledged writes that are not in the store, and records that changed as nobody asked.
pub(super) fn lost(events: &Events) -> Vec<Finding> {
    let (steps, mut findings) = steps(events);
    let none = Vec::new();
    for (at, event) in events {
        if let Event::Answered {
            done: Some(done),
            call,
            ..
        } = event
        {
            let of = steps.get(&done.tenant).unwrap_or(&none);
            if !of
                .iter()
                .any(|step| step.at <= *at && step.version.as_ref().is_some_and(|v| is(v, done)))
            {
                let what = format!(
                    "#{call}: {} of tenant {} (generation {}) was acknowledged and never written",
                    done.what, done.tenant, done.generation
                );
                findings.push(Finding::new("S1", *at, what));
            }
        }
    }
    for (id, steps) in &steps {
        let mut before: Option<&Version> = None;
        for step in steps {
            let version = step.version.as_ref();
            // What came after the moment to which a store was put back, the operator took back.
            if !step.put_back
                && let Some(problem) = problem(before, version)
            {
                findings.push(Finding::new("S1", step.at, format!("tenant {id}: {problem}")));
            }
            before = version;
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
