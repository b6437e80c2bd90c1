//! The store as hubs reach it: over a network that may be away, from processes that may die between asking and hearing.
//!
//! What was acknowledged is durable. Of what was asked and not acknowledged when a process died or the network broke, chance
//! decides. With several hubs every write is judged by the lease, as the real store judges it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use berth_model::Revision;
use berth_store::{Change, Entry, Key, Listing, MemoryStore, Page, Store, StoreError, Txn, Watch};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::Notify;

use crate::{
    chance::Dice,
    election::Lease,
    gate::Gate,
    history::{Event, History},
};

/// How long somebody waits for a store that is away before calling it so.
const PATIENCE: Duration = Duration::from_secs(5);

/// The one true store, which no process's end touches. Copies are the same store.
#[derive(Clone)]
pub struct Truth {
    /// With everything that was ever written to it and not seen yet.
    memory: Arc<Mutex<(MemoryStore, Watch)>>,
    log: Arc<Mutex<Vec<Change>>>,
    committed: Arc<Notify>,
    history: History,
    dice: Dice,
    /// Faults that need a moment of bad luck happen while this is set.
    pub trouble: Arc<AtomicBool>,
    /// Who may write; none when the store is opened by one hub alone.
    pub lease: Option<Lease>,
}

impl Truth {
    /// An empty store.
    ///
    /// # Errors
    /// As the memory store.
    pub async fn new(history: History, dice: Dice, lease: Option<Lease>) -> Result<Self, StoreError> {
        let memory = MemoryStore::new();
        let watch = memory.watch(Revision(0)).await?;
        Ok(Self {
            memory: Arc::new(Mutex::new((memory, watch))),
            log: Arc::default(),
            committed: Arc::default(),
            history,
            dice,
            trouble: Arc::default(),
            lease,
        })
    }

    fn log(&self) -> MutexGuard<'_, Vec<Change>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is stored, for whoever judges the end.
    #[must_use]
    pub fn memory(&self) -> MemoryStore {
        self.kept().0.clone()
    }

    fn kept(&self) -> MutexGuard<'_, (MemoryStore, Watch)> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another store in its place, while nobody stands on it.
    ///
    /// # Errors
    /// As the memory store.
    pub async fn put_back(&self, memory: MemoryStore) -> Result<(), StoreError> {
        let watch = memory.watch(memory.revision().await?).await?;
        *self.kept() = (memory, watch);
        self.log().clear();
        Ok(())
    }

    async fn apply(&self, hub: &str, txn: Txn) -> Result<Revision, StoreError> {
        let revision = self.memory().txn(txn).await?;
        let mut changes = Vec::new();
        while let Some(Some(Ok(change))) = self.kept().1.next().now_or_never() {
            changes.push(change);
        }
        if !changes.is_empty() {
            self.log().extend(changes.iter().cloned());
            self.history.note(Event::Wrote {
                hub: hub.to_owned(),
                revision,
                changes,
            });
            self.committed.notify_waiters();
        }
        Ok(revision)
    }
}

/// The way from a machine to the store, or from a process to the API server of its cluster.
#[derive(Clone, Debug, Default)]
pub struct Road {
    blocked: Arc<AtomicBool>,
    turned: Arc<Notify>,
}

impl Road {
    /// Blocks or clears it.
    pub fn block(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
        self.turned.notify_waiters();
    }

    /// Whether nothing passes.
    #[must_use]
    pub fn blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Returns when something passes.
    pub async fn clear(&self) {
        self.until(false).await;
    }

    /// Returns when nothing passes.
    pub async fn cut(self) {
        self.until(true).await;
    }

    async fn until(&self, blocked: bool) {
        loop {
            let turned = self.turned.notified();
            let mut turned = std::pin::pin!(turned);
            turned.as_mut().enable();
            if self.blocked() == blocked {
                return;
            }
            turned.await;
        }
    }
}

/// The store as one hub process reaches it.
#[derive(Clone)]
pub struct Reached {
    /// The store.
    pub truth: Truth,
    /// The process.
    pub gate: Gate,
    /// The way there.
    pub road: Road,
    /// The process's name.
    pub hub: String,
    /// Under which lease it writes; 0 is none.
    pub epoch: Arc<Mutex<u64>>,
}

impl Reached {
    fn away(operation: &'static str) -> StoreError {
        StoreError::Unavailable {
            operation,
            problem: "no answer within the deadline".into(),
        }
    }

    /// On the way there or back; an error when nothing passes.
    async fn travel(&self, operation: &'static str) -> Result<(), StoreError> {
        let dice = &self.truth.dice;
        let slow = self.truth.trouble.load(Ordering::Relaxed) && dice.percent(2);
        let most = if slow { 400 } else { 3 };
        tokio::time::sleep(dice.millis(0, most)).await;
        if self.road.blocked() {
            tokio::time::sleep(PATIENCE).await;
            self.gate.pass().await;
            return Err(Self::away(operation));
        }
        Ok(())
    }

    /// The chance of the run.
    #[must_use]
    pub fn truth_dice(&self) -> &Dice {
        &self.truth.dice
    }

    fn unlucky(&self, percent: u64) -> bool {
        self.truth.trouble.load(Ordering::Relaxed) && self.truth.dice.percent(percent)
    }
}

#[async_trait]
impl Store for Reached {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.gate.pass().await;
        self.travel("get").await?;
        self.gate.pass().await;
        self.truth.memory().get(key).await
    }

    async fn list(&self, prefix: &str, page: Page) -> Result<Listing, StoreError> {
        self.gate.pass().await;
        self.travel("list").await?;
        self.gate.pass().await;
        self.truth.memory().list(prefix, page).await
    }

    async fn txn(&self, txn: Txn) -> Result<Revision, StoreError> {
        self.gate.pass().await;
        self.travel("txn").await?;
        // What a process had sent when it was killed may still arrive.
        if self.gate.dead() && self.truth.dice.percent(50) {
            std::future::pending::<()>().await;
        }
        if self.truth.lease.is_some() && self.unlucky(1) {
            self.gate.pass().await;
            return Err(Self::away("txn"));
        }
        if self.truth.lease.is_none() && self.unlucky(1) {
            self.gate.pass().await;
            return Err(StoreError::Full {
                problem: "the disk is full; make room".into(),
            });
        }
        let epoch = *self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match &self.truth.lease {
            Some(lease) if !lease.is_held_by(epoch) => {
                self.truth.history.note(Event::Fenced {
                    hub: self.hub.clone(),
                });
                Err(StoreError::NotLeader)
            }
            _ => self.truth.apply(&self.hub, txn).await,
        };
        // The answer may be lost although the write was taken.
        if self.truth.lease.is_some() && self.unlucky(1) {
            self.gate.pass().await;
            return Err(Self::away("txn"));
        }
        self.travel("txn").await?;
        self.gate.pass().await;
        outcome
    }

    async fn watch(&self, from: Revision) -> Result<Watch, StoreError> {
        self.gate.pass().await;
        self.travel("watch").await?;
        let at = self.truth.log().partition_point(|change| change.revision <= from);
        let reader = Reader {
            reached: self.clone(),
            at,
            seen: from,
            ready: VecDeque::new(),
            over: false,
        };
        Ok(Watch::new(futures::stream::unfold(reader, Reader::next)))
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.gate.pass().await;
        self.travel("revision").await?;
        self.gate.pass().await;
        self.truth.memory().revision().await
    }
}

struct Reader {
    reached: Reached,
    at: usize,
    seen: Revision,
    ready: VecDeque<Change>,
    over: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Change, StoreError>, Self)> {
        loop {
            if self.over {
                return None;
            }
            if let Some(change) = self.ready.pop_front() {
                self.seen = change.revision;
                return Some((Ok(change), self));
            }
            let committed = self.reached.truth.committed.clone();
            let committed = committed.notified();
            let mut committed = std::pin::pin!(committed);
            committed.as_mut().enable();
            let (news, to): (Vec<Change>, usize) = {
                let log = self.reached.truth.log();
                (log.get(self.at..).unwrap_or_default().to_vec(), log.len())
            };
            if news.is_empty() {
                committed.await;
                continue;
            }
            let dice = self.reached.truth.dice.clone();
            tokio::time::sleep(dice.millis(0, 2)).await;
            self.reached.road.clear().await;
            self.reached.gate.pass().await;
            if self.reached.unlucky(1) && dice.percent(30) {
                self.over = true;
                let error = StoreError::Compacted {
                    asked: self.seen,
                    oldest: self.seen.next(),
                    newest: self.seen.next(),
                };
                return Some((Err(error), self));
            }
            self.at = to;
            self.ready.extend(news);
        }
    }
}
