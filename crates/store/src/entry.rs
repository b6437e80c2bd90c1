//! What a store hands out.

use berth_model::Revision;
use bytes::Bytes;

use crate::key::Key;

/// A value as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: Key,
    /// What was written.
    pub value: Bytes,
    /// The transaction that wrote it last.
    pub revision: Revision,
    /// The transaction that wrote it when there was none of that name.
    pub created: Revision,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only keys greater than this one; none starts at the beginning.
    pub after: Option<Key>,
    /// The most entries; at least one is taken as one, and no more than [`Page::MAX`] come at once.
    pub limit: usize,
}

impl Page {
    /// The most entries a page holds.
    pub const MAX: usize = 1000;

    /// The first page, as large as pages get.
    #[must_use]
    pub const fn first() -> Self {
        Self {
            after: None,
            limit: Self::MAX,
        }
    }

    /// The page after `key`, as large as pages get.
    #[must_use]
    pub const fn after(key: Key) -> Self {
        Self {
            after: Some(key),
            limit: Self::MAX,
        }
    }

    pub(crate) fn bounded_limit(&self) -> usize {
        self.limit.clamp(1, Self::MAX)
    }
}

/// A page of a list, in order of the keys' bytes. All its entries are of one moment, other pages may be of later ones:
/// who needs a list as a whole watches from the first page's revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The store's revision they were read at.
    pub revision: Revision,
    /// Whether there are entries after the last one.
    pub more: bool,
}

/// One write of a transaction, as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The transaction.
    pub revision: Revision,
    /// What changed.
    pub key: Key,
    /// What was written; none when it was deleted.
    pub put: Option<Bytes>,
    /// Whether it is the transaction's last change: only then may a watcher resume from its revision.
    pub last: bool,
}
