//! What the hub remembers: revisioned bytes under names, changed by compare-and-swap, read page by page, watched from a revision.
//!
//! The room knows nothing of what the bytes mean (that is `berth-wire`'s business) and decides nothing. The stores
//! behind one seam: [`MemoryStore`], which forgets, [`SledStore`] for one hub, and with the feature `etcd` the `EtcdStore` of
//! several. One conformance suite runs over all.

pub mod backup;
#[cfg(feature = "testing")]
pub mod conformance;
#[cfg(feature = "testing")]
pub mod corruption;
pub mod election;
mod entry;
mod error;
#[cfg(feature = "etcd")]
pub mod etcd;
mod index;
mod key;
mod memory;

pub mod sled;
pub mod snapshot;
mod store;
mod txn;
mod watch;

#[cfg(feature = "etcd")]
pub use self::etcd::{EtcdError, EtcdOptions, EtcdStore, InvalidEtcdOptions};
pub use self::{
    election::{Candidate, Election, Leadership, SoleCandidate},
    entry::{Change, Entry, Listing, Page},
    error::StoreError,
    key::{InvalidKey, Key},
    memory::MemoryStore,
    sled::{OpenError, SledOptions, SledStore},
    store::Store,
    txn::{Compare, MAX_COMPARES, MAX_VALUE_BYTES, MAX_WRITES, Txn},
    watch::Watch,
};
