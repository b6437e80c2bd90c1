//! A store as one file, whatever keeps it: written from any [`Store`] at one revision, checked, and read into any other.
//!
//! The file (see [`format`]) is compressed, every record has a checksum, and its last one a BLAKE3 over all before it, so that a
//! changed or shortened file is found out. It holds what the store holds and nothing else: keys of the certificate authority
//! and the like are never in a store. This room knows no place where files are kept; [`backup`](crate::backup) does.
//!
//! # Revisions
//! A snapshot has the revisions of its entries. A [`SledStore`](crate::SledStore) made from one keeps them and goes on far
//! above, so that a revision that was handed out after the snapshot never comes to mean something else. [`restore`] into any
//! other store keeps the values and, but for neighbours, the order of their last writes; the store gives them revisions of its own, so that
//! whoever holds an older one finds out by a conflict and reads again.

mod collect;
mod error;
pub(crate) mod format;
mod read;
mod restore;
mod write;

use std::collections::BTreeMap;

use berth_model::{Revision, Timestamp};

pub use self::{
    error::SnapshotError,
    read::{Snapshot, read, verify},
    restore::restore,
    write::{Piece, stream, write},
};
use crate::{entry::Entry, key::Key, store::Store};

/// Whose snapshot it is: what a store cannot say itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The fleet's id, when it is known.
    pub fleet: Option<String>,
    /// What tells the store from every other one; empty when it has no such thing.
    pub incarnation: String,
    /// Now.
    pub created_at: Timestamp,
}

/// What a snapshot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whose it is, and when it was made.
    pub about: About,
    /// The store's schema.
    pub schema: u16,
    /// It is the store at this revision.
    pub revision: Revision,
    /// How many entries it has.
    pub entries: u64,
    /// How many of them begin with what, up to the first `/`.
    pub shelves: BTreeMap<String, u64>,
    /// How large the file is.
    pub bytes: u64,
    /// BLAKE3 of everything in it before it was compressed, hexadecimal.
    pub digest: String,
}

impl Summary {
    fn new(header: &format::Header) -> Self {
        Self {
            about: About {
                fleet: header.fleet.clone(),
                incarnation: header.incarnation.clone(),
                created_at: header.created_at,
            },
            schema: header.schema,
            revision: Revision(header.revision),
            entries: 0,
            shelves: BTreeMap::new(),
            bytes: 0,
            digest: String::new(),
        }
    }

    fn count(&mut self, key: &Key) {
        self.entries += 1;
        *self.shelves.entry(shelf(key).to_owned()).or_default() += 1;
    }
}

/// What a key begins with, up to the first `/`.
#[must_use]
pub fn shelf(key: &Key) -> &str {
    key.as_str().split('/').next().unwrap_or_default()
}

/// Everything a store holds at one revision, while writes go on.
///
/// # Errors
/// [`SnapshotError::Store`] when it cannot be read, [`SnapshotError::Busy`] when it changes faster than it can be read.
pub async fn contents(store: &dyn Store) -> Result<(Revision, Vec<Entry>), SnapshotError> {
    collect::collect(store).await
}
