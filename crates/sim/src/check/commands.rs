//! S2: two hubs never both act in one term, and no agent takes a command of an older term after a newer one.

use std::collections::BTreeMap;

use super::{Events, Finding};
use crate::history::Event;

/// Terms in which more than one hub commanded. A hub that is alone is the same leader after a restart.
pub(super) fn two_leaders(events: &Events) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut leaders: BTreeMap<u64, String> = BTreeMap::new();
    for (at, event) in events {
        if let Event::PutBack(_) = event {
            // Terms may come again; how far they are apart then is judged by what agents know.
            leaders.clear();
        }
        let Event::Commanded { hub, said, .. } = event else {
            continue;
        };
        let term = said.term;
        let machine = hub.split('#').next().unwrap_or(hub);
        let first = leaders.entry(term.0).or_insert_with(|| machine.to_owned());
        if first != machine {
            let what = format!("{hub} acts in term {term}, which is {first}'s");
            findings.push(Finding::new("S2", *at, what));
        }
    }
    findings
}

/// Commands taken by an agent process after it had taken one of a newer term.
pub(super) fn older_terms(events: &Events) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut said: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut remembered: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (at, event) in events {
        match event {
            Event::Commanded {
                connection,
                said: one,
                ..
            } => {
                said.insert((*connection, one.nonce), one.term.0);
            }
            Event::Accepted {
                agent,
                connection,
                nonce,
                ..
            } => {
                let Some(term) = said.get(&(*connection, *nonce)).copied() else {
                    let what = format!("{agent} accepted {connection}/{nonce}, which nobody said");
                    findings.push(Finding::new("S2", *at, what));
                    continue;
                };
                let known = highest.entry(agent).or_default();
                if term < *known {
                    let what = format!("{agent} accepted a command of term {term} after one of term {known}");
                    findings.push(Finding::new("S2", *at, what));
                }
                *known = term.max(*known);
            }
            Event::Remembered {
                cluster, uid, term, ..
            } => {
                let known = remembered.entry((cluster.as_str(), uid.as_str())).or_default();
                if term.0 < *known {
                    let what = format!("the ledger of {cluster} went back from term {known} to {term}");
                    findings.push(Finding::new("S2", *at, what));
                }
                *known = term.0.max(*known);
            }
            _ => {}
        }
    }
    findings
}
