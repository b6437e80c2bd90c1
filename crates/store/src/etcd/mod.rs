//! The store of several hubs, on etcd.
//!
//! Every read is linearizable: it shows what was acknowledged before it began, whoever wrote it. A revision of the store is
//! etcd's own: a transaction raises it, and so do an election and whatever else is written to that etcd, so revisions grow
//! but have gaps. A counter of our own would have none, at the price of one transaction at a time; how many transactions there were is
//! counted all the same, which tells an etcd that was put back.
//!
//! etcd keeps history until somebody compacts it: set `--auto-compaction-mode` and `--auto-compaction-retention` there.

mod count;
mod election;
mod error;
mod keys;
mod lease;
mod link;
mod options;
mod schema;
mod seat;
mod txn;
mod watch;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use berth_model::Revision;
use berth_runtime::{Clock, clock::SystemClock};
use etcd_client::{Client, GetOptions, GetResponse, ResponseHeader};

pub use self::options::{EtcdOptions, InvalidEtcdOptions};
use self::{
    count::Count,
    election::Office,
    error::{is_out_of_history, meaning},
    keys::{Keys, number, revision},
    link::{Link, MAX_ANSWER},
    txn::{Ground, Refused},
};
use crate::{
    entry::{Entry, Listing, Page},
    error::StoreError,
    key::Key,
    store::Store,
    txn::Txn,
    watch::Watch,
};

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// The options cannot be used.
    #[error(transparent)]
    Options(#[from] InvalidEtcdOptions),
    /// etcd did not answer, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps everything in etcd. Copies are the same store and the same candidate.
///
/// Before anybody [campaigns](crate::Election::campaign) it takes all writes, as a tool needs them; a tool asks
/// [`Self::leader_now`] first. After that it takes writes only while the leadership holds.
#[derive(Clone)]
pub struct EtcdStore {
    link: Arc<Link>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    office: Arc<Office>,
    count: Arc<Count>,
    /// See [`Self::incarnation`].
    incarnation: Arc<OnceLock<String>>,
}

impl EtcdStore {
    /// Connects to one of the members and asks it something.
    ///
    /// # Errors
    /// When the options are wrong, no member answers, etcd refuses, or a newer Berth has written there.
    pub async fn connect(options: &EtcdOptions) -> Result<Self, EtcdError> {
        Self::connect_with(options, Arc::new(SystemClock::new())).await
    }

    /// As [`Self::connect`], judging leases by `clock`.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_with(options: &EtcdOptions, clock: Arc<dyn Clock>) -> Result<Self, EtcdError> {
        let link = Arc::new(Link::new(options)?);
        let keys = Keys::under(&options.prefix);
        let office = Arc::new(Office::new(options.lease_ttl));
        let store = Self {
            link,
            keys,
            clock,
            count: Arc::new(Count::new(Arc::clone(&office))),
            office,
            incarnation: Arc::default(),
        };
        store.read_schema().await?;
        Ok(store)
    }

    /// Gives up a leadership whose owner has dropped it, and returns when etcd knows, so that the next leader need not wait
    /// for the lease to end. Without it that happens on its own a moment later, if the process lives as long.
    pub async fn close(&self) {
        self.office.settled().await;
    }

    async fn read(
        &self,
        operation: &'static str,
        key: &[u8],
        options: GetOptions,
    ) -> Result<GetResponse, StoreError> {
        let get = |client: Client| {
            let mut reading = client.kv_client().max_decoding_message_size(MAX_ANSWER);
            let options = options.clone();
            async move { reading.get(key, Some(options)).await }
        };
        self.link.ask(operation, get).await
    }

    /// What `full` is for `txn`: etcd says it of transactions it has not taken, and of the very one that filled it, which it
    /// has taken. Where everything is as that one would have left it, nobody knows.
    async fn when_full(&self, txn: &Txn, full: StoreError) -> StoreError {
        let request = txn::look(&self.keys, txn);
        let read = |client: Client| {
            let request = request.clone();
            async move { client.kv_client().txn(request).await }
        };
        match self.link.ask("read what was written", read).await {
            Ok(found) if !txn::is_as_written(txn, &found) => full,
            Ok(_) | Err(_) => StoreError::Unavailable {
                operation: "write",
                problem: format!("it may have been taken as the last before etcd was full: {full}"),
            },
        }
    }

    /// Whether a watch may start behind `from`: it is not in the future. What is no longer in the history shows when it starts.
    async fn check_history(&self, from: Revision) -> Result<bool, StoreError> {
        let key = self.keys.election();
        let options = GetOptions::new()
            .with_count_only()
            .with_revision(number(from).max(1));
        let get = |client: Client| {
            let options = options.clone();
            async move {
                match client.kv_client().get(key, Some(options)).await {
                    Ok(_) => Ok(true),
                    Err(error) if is_out_of_history(&error) => Ok(false),
                    Err(error) => Err(error),
                }
            }
        };
        self.link.ask("watch", get).await
    }
}

fn revision_of(header: Option<&ResponseHeader>) -> Revision {
    revision(header.map_or(0, ResponseHeader::revision))
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let found = self
            .read("read", self.keys.of(key).as_bytes(), GetOptions::new())
            .await?;
        Ok(found.kvs().first().and_then(|kv| self.keys.entry(kv)))
    }

    async fn list(&self, prefix: &str, page: Page) -> Result<Listing, StoreError> {
        let (start, end) = self.keys.range(prefix, page.after.as_ref());
        if start >= end {
            return Ok(Listing {
                entries: Vec::new(),
                revision: self.revision().await?,
                more: false,
            });
        }
        let limit = i64::try_from(page.bounded_limit()).unwrap_or(i64::MAX);
        let options = GetOptions::new().with_range(end).with_limit(limit);
        let found = self.read("list", &start, options).await?;
        Ok(Listing {
            entries: found.kvs().iter().filter_map(|kv| self.keys.entry(kv)).collect(),
            revision: revision_of(found.header()),
            more: found.more(),
        })
    }

    async fn txn(&self, txn: Txn) -> Result<Revision, StoreError> {
        txn.check()?;
        // In this order.
        let writes = self.count.known();
        let ground = Ground {
            fence: self.office.fence(&*self.clock)?,
            writes,
        };
        let request = txn::request(&self.keys, &txn, ground);
        let write = |client: Client| {
            let request = request.clone();
            async move { client.kv_client().txn(request).await }
        };
        let answer = match self.link.once("write", write).await {
            Err(full @ StoreError::Full { .. }) => return Err(self.when_full(&txn, full).await),
            answer => answer?,
        };
        match txn::outcome(&txn, ground, &answer) {
            Ok(taken) => {
                self.count.taken(taken.writes.unwrap_or_default());
                return Ok(taken.revision);
            }
            Err(Refused::Because(error)) => return Err(error),
            Err(Refused::PutBack(found)) => self.count.put_back(ground.writes, found),
            Err(Refused::NotLeader) => {}
        }
        if let Some(fence) = ground.fence {
            self.office.lose(fence);
        }
        Err(StoreError::NotLeader)
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        let there = self.check_history(from).await?;
        let newest = self.revision().await?;
        if from > newest {
            return Err(StoreError::Compacted {
                asked: from,
                oldest: newest,
                newest,
            });
        }
        let mut state = watch::State::new(
            Arc::clone(&self.link),
            self.keys.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.count),
            from,
        );
        if !there {
            return Err(state.compacted(newest).await);
        }
        state.open().await?;
        Ok(Watch::new(futures::stream::unfold(state, watch::State::next)))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        let options = GetOptions::new().with_count_only();
        let found = self
            .read("read the revision", self.keys.election().as_bytes(), options)
            .await?;
        Ok(revision_of(found.header()))
    }

    fn writes(&self) -> Option<u64> {
        Some(self.count.known()).filter(|known| *known > 0)
    }
}

impl std::fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdStore")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
