//! The store of a single hub: sled, made safe.
//!
//! sled alone loses acknowledged writes and opens damaged files as if nothing had happened, so here
//! - one thread owns it, gathers waiting transactions, and answers when their batch is flushed and fdatasynced ([`writer`]);
//! - reads never touch it: they are answered from an index of everything acknowledged;
//! - every value is framed with a checksum, and each commit carries count and digest of all entries ([`frame`], [`totals`]);
//! - each commit names the one before it ([`chain`]);
//! - a sentinel outside the database says that a store is here and how far it had come ([`sentinel`]);
//! - a store that does not add up, or does not come from what the sentinel knows, is refused ([`open`]);
//! - writes are refused before the disk is full, and taken again when it no longer is ([`room`]).
//!
//! With `fsync` on, what is acknowledged survives a killed process and a power cut; with it off, a killed process.

mod chain;
mod copy;
mod database;
mod error;
mod frame;
mod lock;
mod open;
mod restore;
mod room;
mod sentinel;
mod totals;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use async_trait::async_trait;
use berth_model::Revision;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::frame::SCHEMA;
use self::writer::Request;
pub use self::{
    copy::{Inventory, StoreCopy, exists},
    error::OpenError,
    restore::{RestoreError, Restored, restore},
};
use crate::{
    entry::{Entry, Listing, Page},
    error::StoreError,
    index::{Index, SharedIndex},
    key::Key,
    store::Store,
    txn::Txn,
    watch::Watch,
};

/// How many transactions may wait for the writer; further callers wait for room.
const QUEUE: usize = 1024;

/// Where and how.
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// The store's own directory; made when there is none.
    pub dir: PathBuf,
    /// A second sentinel, outside the directory: with it, a directory that is put back or taken away as a whole is refused. Made when there is
    /// none.
    pub witness: Option<PathBuf>,
    /// Whether an acknowledged transaction survives a power cut. Off only where losing it is no harm, as in tests and demos.
    pub fsync: bool,
    /// sled's page cache. Reads do not need it.
    pub cache_bytes: u64,
    /// Writes are refused while less than this, and what is to be written, is free on the disk. With 0 nobody looks,
    /// and a full disk is found out by a write that fails.
    pub reserve_bytes: u64,
}

/// Whether a store takes writes. What it has is read in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Working,
    /// Not now: the disk is full. It does again by itself when there is room.
    Full {
        /// What is full.
        problem: String,
    },
    /// Not any more: the disk failed. Opening the store again shows what it kept.
    Broken {
        /// What failed.
        problem: String,
    },
}

impl SledOptions {
    /// A safe store in `dir` with a cache of 16 MiB that leaves 32 MiB of the disk free.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            witness: None,
            fsync: true,
            cache_bytes: 16 << 20,
            reserve_bytes: 32 << 20,
        }
    }
}

impl SledOptions {
    /// A safe store where a hub keeps it: in `store` of its data directory, with the witness beside it.
    #[must_use]
    pub fn in_home(home: &Path) -> Self {
        Self {
            witness: Some(home.join("store.sentinel")),
            ..Self::new(home.join("store"))
        }
    }
}

/// A store on this machine's disk. Copies are the same store.
///
/// Dropping the last copy ends it, waiting for the batch under way; [`close`](Self::close) does so without blocking.
#[derive(Clone)]
pub struct SledStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    incarnation: String,
    index: SharedIndex,
    committed: watch::Receiver<Revision>,
    health: watch::Receiver<Health>,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SledStore {
    /// Opens the store in the directory, or makes one where there never was any. Blocks while it reads everything.
    ///
    /// # Errors
    /// [`OpenError`]; its [`hint`](OpenError::hint) says what to do and its [`exit_code`](OpenError::exit_code) what to exit with.
    pub fn open(options: &SledOptions) -> Result<Self, OpenError> {
        let opened = open::open(options)?;
        let (incarnation, index) = (opened.incarnation.clone(), opened.index.clone());
        let (requests, queue) = mpsc::channel(QUEUE);
        let (writer, committed, health) = writer::Writer::new(opened);
        let thread = std::thread::Builder::new()
            .name("berth-store".into())
            .spawn(move || writer.run(queue))
            .map_err(|source| OpenError::io("start a thread for", &options.dir, source))?;
        Ok(Self {
            inner: Arc::new(Inner {
                dir: options.dir.clone(),
                incarnation,
                index,
                committed,
                health,
                requests: Mutex::new(Some(requests)),
                thread: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// What tells this store from every other one: drawn when it was made, kept for its life.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.inner.incarnation
    }

    /// Whether it takes writes, as of the last one that was asked for.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.clone()
    }

    /// Takes no more transactions, finishes those that wait, and lets go of the directory.
    pub async fn close(&self) {
        drop(self.inner.take_requests());
        let mut committed = self.inner.committed.clone();
        // The writer drops its sender as its very last thing.
        while committed.changed().await.is_ok() {}
    }

    fn requests(&self) -> Result<mpsc::Sender<Request>, StoreError> {
        let requests = self.inner.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone().ok_or(StoreError::Closed)
    }
}

impl Inner {
    fn take_requests(&self) -> Option<mpsc::Sender<Request>> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.take_requests());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(dir = %self.dir.display(), "the store's thread panicked");
        }
    }
}

#[async_trait]
impl Store for SledStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        Ok(self.inner.index.read(|index| index.get(key)))
    }

    async fn list(&self, prefix: &str, page: Page) -> Result<Listing, StoreError> {
        Ok(self.inner.index.read(|index| index.list(prefix, &page)))
    }

    async fn txn(&self, txn: Txn) -> Result<Revision, StoreError> {
        txn.check()?;
        let (reply, outcome) = oneshot::channel();
        self.requests()?
            .send(Request { txn, reply })
            .await
            .map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        Watch::over_history(self.inner.index.clone(), self.inner.committed.clone(), from)
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.inner.index.read(Index::revision))
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("dir", &self.inner.dir)
            .finish_non_exhaustive()
    }
}
