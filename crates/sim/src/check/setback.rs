//! A store that was put back. S6: whoever only observes changes nothing anywhere. S2: nobody commands whom agents have told that
//! the store was set back or that another has acted, and who is let take command does so in a term above all that agents knew.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_control::keys;
use berth_model::{Revision, StorePoint, Term};
use berth_store::Change;
use berth_wire::record;

use super::{Events, Finding};
use crate::history::Event;

/// What was on its way to agents of other clusters when a hub heard that it must not command is on the wire within this.
const IN_HAND: Duration = Duration::from_secs(3);

/// What the store says of itself.
#[derive(Default)]
struct Store {
    revision: Revision,
    term: Term,
    command_term: Term,
    /// It is marked as restored.
    marked: bool,
    /// How far it went when each process had read it, which was before its first write of anything but the fleet.
    read_at: BTreeMap<String, Revision>,
}

impl Store {
    /// A transaction of that hub; whether by it an operator has let it take command.
    fn wrote(&mut self, hub: &str, changes: &[Change]) -> bool {
        if changes.iter().any(|change| change.key == keys::fleet()) {
            // It begins to lead, and reads the store anew.
            self.read_at.remove(hub);
        } else {
            self.read_at.entry(hub.to_owned()).or_insert(self.revision);
        }
        let mut taken = false;
        for change in changes {
            taken |= self.take(change);
        }
        taken
    }

    fn take(&mut self, change: &Change) -> bool {
        self.revision = self.revision.max(change.revision);
        let key = change.key.as_str();
        if key == keys::RESTORE {
            self.marked = change.put.is_some();
        }
        if key != keys::FLEET {
            return false;
        }
        let before = self.command_term;
        self.name(change.put.as_deref());
        self.command_term > before
    }

    fn name(&mut self, fleet: Option<&[u8]>) {
        if let Some(Ok(fleet)) = fleet.map(record::decode_fleet) {
            self.term = fleet.term;
            self.command_term = fleet.command_term;
        }
    }

    fn put_back(back: &crate::history::PutBack) -> Self {
        let mut store = Self {
            revision: back.revision,
            marked: back.entries.iter().any(|entry| entry.key == keys::restore()),
            ..Self::default()
        };
        let fleet = back.entries.iter().find(|entry| entry.key == keys::fleet());
        store.name(fleet.map(|entry| &*entry.value));
        store
    }

    /// Whether an agent that knows this knows more than the store did when that hub read it.
    fn is_behind(&self, hub: (&str, u64), term: Term, told: Option<&StorePoint>) -> bool {
        let read_at = self.read_at.get(hub.0).copied().unwrap_or(self.revision);
        let ahead = |told: &StorePoint| {
            told.incarnation != hub.1 && told.term >= self.command_term && told.revision > read_at
        };
        term > self.term || told.is_some_and(|told| told.term > self.term || ahead(told))
    }
}

/// Commands of hubs that only observe, or that agents have told why they must not command.
pub(super) fn commanded(events: &Events) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut store = Store::default();
    // Processes that began on a store with its mark, connections to agents that know more, and hubs that have heard of it.
    let (mut observing, mut fenced) = (BTreeSet::new(), BTreeSet::new());
    let mut heard: BTreeMap<&str, Duration> = BTreeMap::new();
    for (at, event) in events {
        match event {
            Event::PutBack(back) => {
                store = Store::put_back(back);
                fenced.clear();
                heard.clear();
            }
            Event::Wrote { hub, changes, .. } if store.wrote(hub, changes) => {
                observing.clear();
                fenced.clear();
                heard.clear();
            }
            Event::Started { process } if store.marked => {
                observing.insert(process.as_str());
            }
            Event::Linked {
                hub,
                connection,
                term,
                told,
                incarnation,
                ..
            } if store.is_behind((hub, *incarnation), *term, told.as_ref()) => {
                fenced.insert(*connection);
                heard.entry(hub).or_insert(*at);
            }
            Event::Commanded {
                hub,
                connection,
                cluster,
                said,
                ..
            } => {
                let why = if observing.contains(hub.as_str()) {
                    Some(("S6", "only observes"))
                } else if fenced.contains(connection) {
                    Some(("S2", "was told by that agent that it must not"))
                } else if heard
                    .get(hub.as_str())
                    .is_some_and(|since| *at > *since + IN_HAND)
                {
                    Some(("S2", "was told by an agent that it must not"))
                } else {
                    None
                };
                if let Some((rule, why)) = why {
                    let what = format!(
                        "{hub} commands {cluster} ({} {}), and {why}",
                        said.what, said.tenant
                    );
                    findings.push(Finding::new(rule, *at, what));
                }
            }
            _ => {}
        }
    }
    findings
}

/// Tenants that are sent to one cluster although the hub was told by another one that it has them.
pub(super) fn second_sides(events: &Events) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sent: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (at, event) in events {
        match event {
            // What a hub was told since it first sent it there comes too late.
            Event::PutBack(_) => sent.clear(),
            Event::Commanded {
                hub,
                cluster,
                said,
                held_by,
                ..
            } if said.what == "assign" && sent.insert((&said.uid, cluster.as_str())) => {
                for other in held_by {
                    let what = format!(
                        "{hub} sends tenant {} to {cluster} although {other} has it",
                        said.tenant
                    );
                    findings.push(Finding::new("S2", *at, what));
                }
            }
            _ => {}
        }
    }
    findings
}

/// What was changed in the store or in the cloud between a restore and an operator's word.
pub(super) fn changed(events: &Events) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut restored = false;
    for (at, event) in events {
        match event {
            Event::PutBack(back) => restored = back.marked,
            Event::Wrote { hub, changes, .. } if restored => {
                let own = [keys::FLEET, keys::RESTORE];
                for change in changes {
                    let key = change.key.as_str();
                    if key == keys::RESTORE && change.put.is_none() {
                        restored = false;
                    }
                    if !own.contains(&key) {
                        let what = format!("{hub} wrote {key} although it only observes");
                        findings.push(Finding::new("S6", *at, what));
                    }
                }
            }
            Event::Cloud { .. } if restored => {
                let what = "something was made or removed in the cloud although every hub only observes";
                findings.push(Finding::new("S6", *at, what.to_owned()));
            }
            _ => {}
        }
    }
    findings
}

/// Terms in which a hub was let take command although agents had told it of as high a one.
pub(super) fn too_low(events: &Events) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut store = Store::default();
    let mut known: BTreeMap<&str, BTreeMap<&str, Term>> = BTreeMap::new();
    for (at, event) in events {
        match event {
            Event::PutBack(back) => store = Store::put_back(back),
            Event::Linked {
                hub,
                cluster,
                term,
                told,
                ..
            } => {
                let told = told.map(|told| told.term).unwrap_or_default();
                let terms = known.entry(hub).or_default();
                let highest = terms.entry(cluster.as_str()).or_default();
                *highest = told.max(*term).max(*highest);
            }
            Event::Wrote { hub, changes, .. } => {
                for change in changes {
                    if let Some(cluster) = change.key.as_str().strip_prefix(keys::CLUSTERS)
                        && change.put.is_none()
                    {
                        // What agents said of clusters that are no more does not count.
                        known.values_mut().for_each(|terms| {
                            terms.remove(cluster);
                        });
                    }
                    if !store.take(change) {
                        continue;
                    }
                    let terms = known.get(hub.as_str()).into_iter().flatten();
                    for (cluster, term) in terms.filter(|(_, term)| **term >= store.command_term) {
                        let what = format!(
                            "{hub} takes command in term {} although the agent of {cluster} knows term {term}",
                            store.command_term
                        );
                        findings.push(Finding::new("S2", *at, what));
                    }
                }
            }
            _ => {}
        }
    }
    findings
}
