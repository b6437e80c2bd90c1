//! Why a store did not do what it was asked.

use std::sync::Arc;

use berth_model::Revision;

use crate::key::Key;

/// Why a store did not do what it was asked. Nothing of a failed transaction is visible afterwards, except after
/// [`StoreError::Unknown`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A compare did not hold: somebody else was first. Read again and decide again.
    #[error("key {key} is not as expected: {}", match found { Some(r) => format!("it is at revision {r}"), None => "it does not exist".to_owned() })]
    Conflict {
        /// The first key that was not as expected.
        key: Key,
        /// At which revision it is; none when there is no such key.
        found: Option<Revision>,
    },
    /// The transaction can never be taken.
    #[error("transaction refused: {problem}")]
    Invalid {
        /// What is wrong with it.
        problem: String,
    },
    /// The watched revision is not in the history any more, or never was. List, and watch from the list's revision.
    #[error("revision {asked} is not in the history, which goes from {oldest} to {newest}")]
    Compacted {
        /// From where the watch was to start.
        asked: Revision,
        /// The oldest revision a watch may start from.
        oldest: Revision,
        /// The newest.
        newest: Revision,
    },
    /// The disk failed. The store takes no writes until it is opened again; what it acknowledged is still read.
    #[error("store takes no more writes: {operation} failed")]
    Broken {
        /// What failed.
        operation: &'static str,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The disk failed while this transaction was written: whether it is kept shows when the store is opened again.
    #[error("outcome of the transaction is unknown: {operation} failed")]
    Unknown {
        /// What failed.
        operation: &'static str,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// There is no room to write: nothing was written, reading goes on, and writing does again when there is room.
    #[error("store is full: {problem}")]
    Full {
        /// What is full, and how to make room.
        problem: String,
    },
    /// The store does not answer now; it may later. A transaction that was on its way may or may not have been taken.
    #[error("store does not answer: {operation}: {problem}")]
    Unavailable {
        /// What was asked.
        operation: &'static str,
        /// What came instead of an answer.
        problem: String,
    },
    /// The store does not let this hub do it: wrong user, password, certificate or permissions. Another try will not help.
    #[error("store refuses: {operation}: {problem}")]
    Denied {
        /// What was asked.
        operation: &'static str,
        /// What it said.
        problem: String,
    },
    /// A newer Berth has written to the store: what it wrote may mean something else to this one.
    #[error("the store has schema {found}, this version reads up to {supported}")]
    NewerSchema {
        /// The store's.
        found: String,
        /// Ours.
        supported: u16,
    },
    /// Another hub leads, or nobody does: this one may not write.
    #[error("this hub does not lead")]
    NotLeader,
    /// The store was closed.
    #[error("store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same call may go well a while later, with nothing changed here.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Unavailable { .. })
    }
}
