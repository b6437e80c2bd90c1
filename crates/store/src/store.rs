//! The seam.

use async_trait::async_trait;
use berth_model::Revision;

use crate::{
    entry::{Entry, Listing, Page},
    error::StoreError,
    key::Key,
    txn::Txn,
    watch::Watch,
};

/// Revisioned bytes under names.
///
/// # Guarantees
/// - A transaction is durable when [`txn`](Self::txn) returns, and visible to every read that starts afterwards.
/// - No read shows what is not durable.
/// - Every transaction that changes something raises the revision, by one where nothing else is counted; all its changes
///   happen together, and a watcher sees them one after another.
/// - Dropping a call to [`txn`](Self::txn) does not undo it: its outcome is then unknown.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What is stored under `key`.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError>;

    /// Entries whose key starts with `prefix`, in order of the keys' bytes.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn list(&self, prefix: &str, page: Page) -> Result<Listing, StoreError>;

    /// Does all of `txn` or nothing and returns its revision: the current one when it changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a compare does not hold.
    async fn txn(&self, txn: Txn) -> Result<Revision, StoreError>;

    /// Every change after the transaction `from`, and then those to come.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when `from` is not in the history: here, or later from the stream when its reader is too slow.
    async fn watch(&self, from: Revision) -> Result<Watch, StoreError>;

    /// The last acknowledged transaction.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn revision(&self) -> Result<Revision, StoreError>;

    /// As many transactions with puts as this process knows the store to have taken in all its life, where the store counts them apart
    /// from its revisions and this process has written. A store that is found with fewer was put back.
    fn writes(&self) -> Option<u64> {
        None
    }
}
