//! S2: where two agents are in one cluster, only the one that has its Lease writes there.

use std::collections::BTreeMap;

use super::{Events, Finding};
use crate::history::Event;

/// Writes of agents that do not have the Lease of a cluster that has one.
pub(super) fn without_the_lease(events: &Events) -> Vec<Finding> {
    let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for (at, event) in events {
        match event {
            Event::Held { cluster, holder } => {
                holders.insert(cluster.as_str(), holder);
            }
            Event::Kube {
                cluster,
                agent,
                verb,
                path,
                status,
                ..
            } if *status < 300 => {
                if let Some(holder) = holders.get(cluster.as_str())
                    && holder != agent
                {
                    let what =
                        format!("{agent} did {verb} {path} while {holder:?} had the Lease of {cluster}");
                    findings.push(Finding::new("S2", *at, what));
                }
            }
            _ => {}
        }
    }
    findings
}
