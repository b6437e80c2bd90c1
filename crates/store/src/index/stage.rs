//! Transactions that were found good but are not durable yet: each is judged against the index and those before it.

use std::collections::HashMap;

use berth_model::Revision;
use bytes::Bytes;

use super::Index;
use crate::{entry::Change, error::StoreError, key::Key, txn::Txn};

/// Several transactions, to be made durable together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    /// In order; several may be of one key.
    pub(crate) changes: Vec<Change>,
    /// Of the last transaction.
    pub(crate) revision: Revision,
}

/// Collects transactions on top of an index.
pub(crate) struct Stage<'a> {
    index: &'a Index,
    /// What the staged changes make of a key: the revision of its last write, or gone.
    overlay: HashMap<Key, Option<Revision>>,
    staged: Staged,
}

impl<'a> Stage<'a> {
    pub(crate) fn on(index: &'a Index) -> Self {
        let staged = Staged {
            changes: Vec::new(),
            revision: index.revision(),
        };
        Self {
            index,
            overlay: HashMap::new(),
            staged,
        }
    }

    /// Judges one transaction and stages its changes. `txn` was checked before.
    pub(crate) fn add(&mut self, txn: Txn) -> Result<Revision, StoreError> {
        for compare in &txn.compares {
            let found = self.revision_of(compare.key());
            if !compare.holds(found) {
                return Err(StoreError::Conflict {
                    key: compare.key().clone(),
                    found,
                });
            }
        }
        let deletes: Vec<Key> = txn
            .deletes
            .into_iter()
            .filter(|key| self.revision_of(key).is_some())
            .collect();
        let writes = txn.puts.len() + deletes.len();
        if writes == 0 {
            return Ok(self.staged.revision);
        }
        let revision = self.staged.revision.next();
        let puts = txn.puts.into_iter().map(|(key, value)| (key, Some(value)));
        let all: Vec<(Key, Option<Bytes>)> = puts.chain(deletes.into_iter().map(|key| (key, None))).collect();
        for (at, (key, put)) in all.into_iter().enumerate() {
            self.overlay.insert(key.clone(), put.as_ref().map(|_| revision));
            self.staged.changes.push(Change {
                revision,
                key,
                put,
                last: at + 1 == writes,
            });
        }
        self.staged.revision = revision;
        Ok(revision)
    }

    pub(crate) fn finish(self) -> Staged {
        self.staged
    }

    fn revision_of(&self, key: &Key) -> Option<Revision> {
        match self.overlay.get(key) {
            Some(staged) => *staged,
            None => self.index.slot(key).map(|slot| slot.revision),
        }
    }
}
