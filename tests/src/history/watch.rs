//! What a watch stream may show: each tenant going forward only, nothing twice, nothing that is gone, and in the end everything.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Fault;
use super::record::{Event, Seen};

/// A tenant as one watcher last saw it.
#[derive(Clone, Copy, Debug)]
struct Known {
    seen: Seen,
    whole: u64,
    there: bool,
}

/// One watcher's knowledge while its events are read.
#[derive(Debug, Default)]
struct Reader {
    known: BTreeMap<String, Known>,
    gone: BTreeSet<(String, u32)>,
    snapshot: BTreeSet<String>,
    faults: Vec<Fault>,
}

/// Every fault in what `watcher` saw; `last` is what there was in the end.
#[must_use]
pub fn faults(watcher: usize, events: &[Event], last: &BTreeMap<String, Seen>) -> Vec<Fault> {
    let mut reader = Reader::default();
    for event in events {
        match event {
            Event::Opened { .. } => reader.snapshot.clear(),
            Event::Upserted {
                tenant,
                seen,
                whole,
                snapshot,
            } => reader.upserted(watcher, tenant, *seen, *whole, *snapshot),
            Event::Deleted { tenant } => reader.leaves(tenant),
            Event::SnapshotEnd => {
                let absent: Vec<String> = reader
                    .known
                    .keys()
                    .filter(|tenant| !reader.snapshot.contains(*tenant))
                    .cloned()
                    .collect();
                for tenant in absent {
                    reader.leaves(&tenant);
                }
                reader.snapshot.clear();
            }
        }
    }
    let there: BTreeMap<&String, Seen> = reader
        .known
        .iter()
        .filter(|(_, known)| known.there)
        .map(|(tenant, known)| (tenant, known.seen))
        .collect();
    let tenants: BTreeSet<&String> = there.keys().copied().chain(last.keys()).collect();
    for tenant in tenants {
        let (shown, is) = (there.get(tenant).copied(), last.get(tenant).copied());
        if shown != is {
            reader.faults.push(Fault::Missed {
                watcher,
                tenant: tenant.clone(),
                shown,
                is,
            });
        }
    }
    reader.faults
}

impl Reader {
    fn upserted(&mut self, watcher: usize, tenant: &str, seen: Seen, whole: u64, snapshot: bool) {
        if snapshot {
            self.snapshot.insert(tenant.to_owned());
        }
        let name = || tenant.to_owned();
        if self.gone.contains(&(name(), seen.uid)) {
            self.faults.push(Fault::Resurrected {
                watcher,
                tenant: name(),
                seen,
            });
        }
        if let Some(known) = self.known.get(tenant).copied() {
            let before = known.seen;
            let back = if before.uid == seen.uid {
                seen.generation < before.generation || seen.etag < before.etag
            } else {
                // Etags are the store's revisions: a later tenant of the name has a higher one.
                self.gone.insert((name(), before.uid));
                seen.etag <= before.etag
            };
            if back {
                self.faults.push(Fault::WentBack {
                    watcher,
                    tenant: name(),
                    before,
                    after: seen,
                });
            }
            if known.there && !snapshot && known.seen == seen && known.whole == whole {
                self.faults.push(Fault::Repeated {
                    watcher,
                    tenant: name(),
                    seen,
                });
            }
        }
        let there = true;
        self.known.insert(name(), Known { seen, whole, there });
    }

    fn leaves(&mut self, tenant: &str) {
        if let Some(known) = self.known.get_mut(tenant) {
            known.there = false;
            self.gone.insert((tenant.to_owned(), known.seen.uid));
        }
    }
}
