//! A transaction: compares, then writes, all or nothing.

use std::collections::BTreeSet;

use berth_model::Revision;
use bytes::Bytes;

use crate::{error::StoreError, key::Key};

/// The longest value: 16 KiB. Larger things are kept in chunks.
pub const MAX_VALUE_BYTES: usize = 16 << 10;
/// The most puts and deletes of one transaction together; etcd takes 128 operations by default, its fence included.
pub const MAX_WRITES: usize = 120;
/// The most compares of one transaction.
pub const MAX_COMPARES: usize = 120;

/// What must hold for a transaction to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// There is no such key.
    Absent(Key),
    /// The key was last written by this transaction.
    RevisionIs(Key, Revision),
    /// There is such a key.
    Exists(Key),
}

impl Compare {
    /// Whose state is compared.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Absent(key) | Self::RevisionIs(key, _) | Self::Exists(key) => key,
        }
    }

    /// Whether it holds for a key last written at `found`.
    #[must_use]
    pub fn holds(&self, found: Option<Revision>) -> bool {
        match self {
            Self::Absent(_) => found.is_none(),
            Self::RevisionIs(_, revision) => found == Some(*revision),
            Self::Exists(_) => found.is_some(),
        }
    }
}

/// Writes that happen together, if every compare holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// What must hold.
    pub compares: Vec<Compare>,
    /// What to write.
    pub puts: Vec<(Key, Bytes)>,
    /// What to take away; a key that does not exist is no error.
    pub deletes: Vec<Key>,
}

impl Txn {
    /// A transaction that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if there is no such key.
    #[must_use]
    pub fn if_absent(mut self, key: Key) -> Self {
        self.compares.push(Compare::Absent(key));
        self
    }

    /// Only if the key was last written at `revision`.
    #[must_use]
    pub fn if_revision(mut self, key: Key, revision: Revision) -> Self {
        self.compares.push(Compare::RevisionIs(key, revision));
        self
    }

    /// Only if there is such a key.
    #[must_use]
    pub fn if_exists(mut self, key: Key) -> Self {
        self.compares.push(Compare::Exists(key));
        self
    }

    /// Write `value` under `key`.
    #[must_use]
    pub fn put(mut self, key: Key, value: impl Into<Bytes>) -> Self {
        self.puts.push((key, value.into()));
        self
    }

    /// Take `key` away.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.deletes.push(key);
        self
    }

    /// Whether a store may take it: within the limits, and no key written twice.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let refuse = |problem| Err(StoreError::Invalid { problem });
        let writes = self.puts.len() + self.deletes.len();
        if writes > MAX_WRITES {
            return refuse(format!("it has {writes} writes, {MAX_WRITES} are allowed"));
        }
        if self.compares.len() > MAX_COMPARES {
            return refuse(format!(
                "it has {} compares, {MAX_COMPARES} are allowed",
                self.compares.len()
            ));
        }
        if let Some((key, value)) = self.puts.iter().find(|(_, value)| value.len() > MAX_VALUE_BYTES) {
            return refuse(format!(
                "value of {key} has {} bytes, {MAX_VALUE_BYTES} are allowed",
                value.len()
            ));
        }
        let mut written = BTreeSet::new();
        let keys = self.puts.iter().map(|(key, _)| key).chain(&self.deletes);
        match keys.into_iter().find(|key| !written.insert(*key)) {
            Some(twice) => refuse(format!("it writes {twice} twice")),
            None => Ok(()),
        }
    }
}
