//! A store that forgets: for tests, and as the plainest statement of what a store is.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use berth_model::Revision;
use tokio::sync::watch;

use crate::{
    entry::{Entry, Listing, Page},
    error::StoreError,
    index::{Index, SharedIndex, Slot, Stage},
    key::Key,
    store::Store,
    txn::Txn,
    watch::Watch,
};

/// Keeps everything in memory and nothing longer. Copies are the same store.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    index: SharedIndex,
    /// Held while a transaction is judged and published, so that none comes between.
    committed: Arc<Mutex<watch::Sender<Revision>>>,
}

impl MemoryStore {
    /// An empty store at revision 0.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Vec::new(), Revision::default())
    }

    /// A store that holds these and has come to `revision`: what a restored one is.
    #[must_use]
    pub fn with(entries: Vec<Entry>, revision: Revision) -> Self {
        let slot = |entry: Entry| {
            let slot = Slot {
                value: entry.value,
                revision: entry.revision,
                created: entry.created,
            };
            (entry.key, slot)
        };
        Self {
            index: SharedIndex::new(Index::new(entries.into_iter().map(slot).collect(), revision)),
            committed: Arc::new(Mutex::new(watch::Sender::new(revision))),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        Ok(self.index.read(|index| index.get(key)))
    }

    async fn list(&self, prefix: &str, page: Page) -> Result<Listing, StoreError> {
        Ok(self.index.read(|index| index.list(prefix, &page)))
    }

    async fn txn(&self, txn: Txn) -> Result<Revision, StoreError> {
        txn.check()?;
        let committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let (revision, staged) = self.index.read(|index| {
            let mut stage = Stage::on(index);
            stage.add(txn).map(|revision| (revision, stage.finish()))
        })?;
        self.index.publish(staged);
        committed.send_replace(revision);
        Ok(revision)
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        let committed = self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .subscribe();
        Watch::over_history(self.index.clone(), committed, from)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.index.read(Index::revision))
    }
}
