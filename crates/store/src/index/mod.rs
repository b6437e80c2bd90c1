//! Everything that is acknowledged, in memory: what reads are answered from, in every store of this crate.
//!
//! An index changes only by [`Index::publish`], after its store has made the changes durable. It knows no disk.

mod history;
mod stage;

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock},
};

use berth_model::Revision;
use bytes::Bytes;

use crate::{
    entry::{Entry, Listing, Page},
    key::Key,
};

pub(crate) use self::{
    history::History,
    stage::{Stage, Staged},
};

/// A value with its revisions; the key is beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) value: Bytes,
    pub(crate) revision: Revision,
    pub(crate) created: Revision,
}

/// All entries and the history of the last changes.
#[derive(Debug)]
pub(crate) struct Index {
    slots: BTreeMap<Key, Slot>,
    revision: Revision,
    history: History,
}

impl Index {
    pub(crate) fn new(slots: BTreeMap<Key, Slot>, revision: Revision) -> Self {
        Self {
            slots,
            revision,
            history: History::starting_at(revision),
        }
    }

    pub(crate) const fn revision(&self) -> Revision {
        self.revision
    }

    pub(crate) const fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn slot(&self, key: &Key) -> Option<&Slot> {
        self.slots.get(key)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Entry> {
        self.slots.get_key_value(key).map(entry)
    }

    pub(crate) fn list(&self, prefix: &str, page: &Page) -> Listing {
        let limit = page.bounded_limit();
        let start = match &page.after {
            Some(after) if after.as_str() >= prefix => Bound::Excluded(after.as_str()),
            _ => Bound::Included(prefix),
        };
        let mut found = self
            .slots
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(prefix));
        let entries = found.by_ref().take(limit).map(entry).collect();
        Listing {
            entries,
            revision: self.revision,
            more: found.next().is_some(),
        }
    }

    /// Makes durable transactions visible.
    pub(crate) fn publish(&mut self, staged: Staged) {
        for change in staged.changes {
            match &change.put {
                Some(value) => {
                    let created = self
                        .slots
                        .get(&change.key)
                        .map_or(change.revision, |slot| slot.created);
                    let slot = Slot {
                        value: value.clone(),
                        revision: change.revision,
                        created,
                    };
                    self.slots.insert(change.key.clone(), slot);
                }
                None => {
                    self.slots.remove(&change.key);
                }
            }
            self.history.push(change);
        }
        self.revision = staged.revision;
    }
}

fn entry((key, slot): (&Key, &Slot)) -> Entry {
    Entry {
        key: key.clone(),
        value: slot.value.clone(),
        revision: slot.revision,
        created: slot.created,
    }
}

/// An index that one writes and many read. No lock is held across an await.
#[derive(Clone, Debug)]
pub(crate) struct SharedIndex(Arc<RwLock<Index>>);

impl SharedIndex {
    pub(crate) fn new(index: Index) -> Self {
        Self(Arc::new(RwLock::new(index)))
    }

    pub(crate) fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn publish(&self, staged: Staged) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .publish(staged);
    }
}
