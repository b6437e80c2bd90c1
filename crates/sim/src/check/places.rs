//! S2 at most one side per tenant, S3 nothing made twice in the cloud, S4 and S5 nobody writes where they have no business.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_control::keys;
use berth_model::{ClusterName, Revision, label};
use berth_wire::record;

use super::{Events, Finding};
use crate::history::{Event, PutBack, Shown};

/// Tenants that are applied in two clusters.
pub(super) fn two_sides(events: &Events) -> Vec<Finding> {
    let mut sides: BTreeMap<&str, &str> = BTreeMap::new();
    // Sides that a store was made to forget by putting it back: what is there stays there.
    let mut strays: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut findings = Vec::new();
    for (at, event) in events {
        match event {
            Event::PutBack(back) => {
                let kept = assigned(back);
                let forgotten = sides.extract_if(.., |uid, cluster| {
                    kept.get(*uid).is_none_or(|place| place != cluster)
                });
                strays.extend(forgotten);
            }
            Event::Kube {
                cluster,
                verb,
                status,
                uid,
                ..
            } if !uid.is_empty()
                && verb != "DELETE"
                && *status < 300
                && !strays.contains(&(uid.as_str(), cluster.as_str())) =>
            {
                let first = sides.entry(uid).or_insert(cluster.as_str());
                if *first != cluster.as_str() {
                    let what = format!("the tenant with uid {uid} is applied in {cluster} and in {first}");
                    findings.push(Finding::new("S2", *at, what));
                }
            }
            _ => {}
        }
    }
    findings
}

/// Where which tenant is assigned in a store that was put back, by uid.
fn assigned(back: &PutBack) -> BTreeMap<String, String> {
    let assignments = back
        .entries
        .iter()
        .filter(|entry| entry.key.as_str().starts_with(keys::ASSIGNMENTS));
    assignments
        .filter_map(|entry| record::decode_assignment(&entry.value).ok())
        .map(|assigned| (assigned.tenant_uid.to_string(), assigned.cluster.to_string()))
        .collect()
}

/// More than one cluster or node pool for one tenant at once.
pub(super) fn twice_made(events: &Events) -> Vec<Finding> {
    let forgotten = forgotten_in_cloud(events);
    let mut findings = Vec::new();
    for (at, event) in events {
        let Event::Cloud { clusters, pools } = event else {
            continue;
        };
        for (kind, made) in [("clusters", clusters), ("node pools", pools)] {
            let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
            for (name, uid) in made {
                let again = forgotten.get(name).is_some_and(|since| since <= at);
                if !again && let Some(other) = seen.insert(uid, name) {
                    let what = format!("tenant with uid {uid} has two {kind}: {other} and {name}");
                    findings.push(Finding::new("S3", *at, what));
                }
            }
        }
    }
    findings
}

/// What is in the cloud although the store was put back to before it was asked for, with when that was.
pub(super) fn forgotten_in_cloud(events: &Events) -> BTreeMap<String, Duration> {
    let mut found = BTreeMap::new();
    let mut now: BTreeSet<&str> = BTreeSet::new();
    let mut at_revision: BTreeMap<Revision, BTreeSet<&str>> = BTreeMap::new();
    for (at, event) in events {
        match event {
            Event::Cloud { clusters, pools } => {
                now = clusters
                    .iter()
                    .chain(pools)
                    .map(|(name, _)| name.as_str())
                    .collect();
            }
            Event::Wrote { revision, .. } => {
                at_revision.insert(*revision, now.clone());
            }
            Event::PutBack(back) => {
                let then = at_revision.range(..=back.from).next_back();
                let then = then.map(|(_, names)| names.clone()).unwrap_or_default();
                found.extend(now.difference(&then).map(|name| ((*name).to_owned(), *at)));
                at_revision.clear();
            }
            _ => {}
        }
    }
    found
}

/// Writes of agents outside tenants' namespaces and their own, and reports that changed another cluster's tenants.
pub(super) fn trespass(events: &Events) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for (at, event) in events {
        match event {
            Event::Kube {
                agent,
                path,
                verb,
                uid,
                status,
                ..
            } if *status < 300 && !in_bounds(path, uid) && told.insert(path) => {
                let what = format!("{agent} did {verb} {path}");
                findings.push(Finding::new("S5", *at, what));
            }
            Event::Shown(shown) if lied_to(shown) && told.insert(shown.tenant.as_str()) => {
                let what = format!(
                    "tenant {} shows what another cluster said: {}",
                    shown.tenant, shown.text
                );
                findings.push(Finding::new("S4", *at, what));
            }
            _ => {}
        }
    }
    findings
}

/// What an agent that lies says of tenants that are not its own; no tenant of another cluster may ever show it.
const LIE: &str = "this-is-a-lie-of-";

/// The lie of this cluster's agent.
#[must_use]
pub fn lie_of(liar: &ClusterName) -> String {
    format!("{LIE}{liar};")
}

fn lied_to(shown: &Shown) -> bool {
    let own = shown.cluster.as_ref().map(lie_of);
    shown.text.contains(LIE) && own.is_none_or(|own| !shown.text.contains(&own))
}

fn in_bounds(path: &str, uid: &str) -> bool {
    if let Some(rest) = path
        .strip_prefix("/api/v1/namespaces/")
        .filter(|rest| !rest.contains('/'))
    {
        return rest.starts_with(label::NAMESPACE_PREFIX);
    }
    if path == "/api/v1/namespaces" {
        // A new one: it says whose it is.
        return !uid.is_empty();
    }
    let Some((_, rest)) = path.split_once("/namespaces/") else {
        return false;
    };
    let namespace = rest.split('/').next().unwrap_or_default();
    namespace.starts_with(label::NAMESPACE_PREFIX) || namespace == label::AGENT_NAMESPACE
}
