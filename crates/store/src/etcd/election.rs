//! Who leads: whoever's lease holds the one election key.
//!
//! There is one key and no queue. A queue would be fairer to those who wait, which nobody needs among a few hubs, and would
//! leave more keys to clean up; one key tells in one read who leads, and its create revision is the fence of every write.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use berth_model::Revision;
use berth_runtime::{Clock, retry::Backoff};
use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn as Request, TxnOp};
use tokio::{
    sync::{oneshot, watch},
    task::{AbortHandle, JoinHandle},
};

use super::{
    EtcdStore,
    error::away,
    lease::{Lease, Term},
    revision_of,
    seat::{DELETE, encode, follow, seat},
    watch::{AGAIN, open},
};
use crate::{
    election::{Candidate, Election, Leadership},
    error::StoreError,
};

/// What this process is in the election.
enum Standing {
    /// It never campaigned: a tool.
    Tool,
    /// It campaigned and does not lead.
    Following,
    /// It leads, or did until it noticed.
    Leading(Arc<Term>),
}

/// This process's part in the election.
pub(super) struct Office {
    ttl: Duration,
    standing: Mutex<Standing>,
    leader: watch::Sender<Option<Candidate>>,
    /// Follows the election key, once somebody wants to know.
    follower: Mutex<Option<AbortHandle>>,
    /// Keeps the lease, and gives it up.
    keeper: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Office {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            standing: Mutex::new(Standing::Tool),
            leader: watch::Sender::new(None),
            follower: Mutex::new(None),
            keeper: tokio::sync::Mutex::new(None),
        }
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a write has to compare; none for a tool.
    pub(super) fn fence(&self, clock: &dyn Clock) -> Result<Option<Revision>, StoreError> {
        match &*self.standing() {
            Standing::Tool => Ok(None),
            Standing::Leading(term) if term.holds(clock) => Ok(Some(term.fence)),
            Standing::Following | Standing::Leading(_) => Err(StoreError::NotLeader),
        }
    }

    /// The term of `fence` is over.
    pub(super) fn lose(&self, fence: Revision) {
        let mut standing = self.standing();
        if let Standing::Leading(term) = &*standing
            && term.fence == fence
        {
            // Who is cut off does not learn of the next leader, and must not go on naming itself.
            self.leader.send_if_modified(|leader| {
                let own = leader.as_ref() == Some(&term.candidate);
                if own {
                    *leader = None;
                }
                own
            });
            term.lose();
            *standing = Standing::Following;
        }
    }

    /// Whatever term it is, it is over.
    pub(super) fn give_up(&self) {
        let fence = match &*self.standing() {
            Standing::Leading(term) => Some(term.fence),
            Standing::Tool | Standing::Following => None,
        };
        if let Some(fence) = fence {
            self.lose(fence);
        }
    }

    fn stand(&self) {
        let mut standing = self.standing();
        if matches!(*standing, Standing::Tool) {
            *standing = Standing::Following;
        }
    }

    pub(super) async fn settled(&self) {
        let mut keeper = self.keeper.lock().await;
        if let Some(running) = keeper.as_mut()
            && !matches!(*self.standing(), Standing::Leading(_))
        {
            // It ends by itself; that it panicked is nothing to wait for either.
            let _ = running.await;
            *keeper = None;
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(follower) = self
            .follower
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            follower.abort();
        }
    }
}

/// Dropping it gives the leadership up: at once here, a moment later in etcd.
struct Resign {
    office: Arc<Office>,
    fence: Revision,
    _keeper: oneshot::Sender<()>,
}

impl Drop for Resign {
    fn drop(&mut self) {
        self.office.lose(self.fence);
    }
}

impl EtcdStore {
    /// Who leads, asked of etcd now.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub async fn leader_now(&self) -> Result<Option<Candidate>, StoreError> {
        Ok(seat(&self.link, &self.keys).await?.leader)
    }

    /// The revision that made this process leader, while it leads: every later leader's is greater.
    #[must_use]
    pub fn fence(&self) -> Option<Revision> {
        self.office.fence(&*self.clock).ok().flatten()
    }

    /// Leads, or says at which revision somebody else did.
    async fn stand_once(&self, candidate: &Candidate) -> Result<Result<Leadership, Revision>, StoreError> {
        let seat = seat(&self.link, &self.keys).await?;
        if seat.leader.is_some() {
            return Ok(Err(seat.revision));
        }
        // Before the lead: what is written from then on is of our schema.
        let schema = self.own_schema().await?;
        let (lease, until) = Lease::grant(&self.link, &*self.clock, self.office.ttl).await?;
        let key = self.keys.election();
        let request = Request::new()
            .when([
                Compare::create_revision(key, CompareOp::Equal, 0),
                schema.unchanged(self.keys.schema()),
            ])
            .and_then([TxnOp::put(
                key,
                encode(candidate),
                Some(PutOptions::new().with_lease(lease.id())),
            )]);
        let take = |client: Client| {
            let request = request.clone();
            async move { client.kv_client().txn(request).await }
        };
        let answer = self.link.once("take the lead", take).await?;
        if !answer.succeeded() {
            let seat = super::seat::seat(&self.link, &self.keys).await?;
            return match seat.leader {
                Some(_) => Ok(Err(seat.revision)),
                None => Err(away(
                    "take the lead",
                    "it was free, and something else had changed",
                )),
            };
        }
        let at = revision_of(answer.header());
        Ok(Ok(self.lead(lease, at, until, candidate)))
    }

    fn lead(&self, lease: Lease, fence: Revision, until: Duration, candidate: &Candidate) -> Leadership {
        tracing::info!(term = %fence, candidate = %candidate.id, "leads");
        let term = Arc::new(Term::new(fence, candidate.clone(), until));
        let held = term.watch();
        *self.office.standing() = Standing::Leading(Arc::clone(&term));
        let (resign, resigned) = oneshot::channel();
        let keeper = tokio::spawn({
            let (term, clock, office) = (
                Arc::clone(&term),
                Arc::clone(&self.clock),
                Arc::downgrade(&self.office),
            );
            async move {
                let over = || match office.upgrade() {
                    Some(office) => office.lose(fence),
                    None => term.lose(),
                };
                lease.keep(Arc::clone(&term), clock, resigned, over).await;
            }
        });
        // Nobody else holds it: campaigns of one process come one after another.
        if let Ok(mut place) = self.office.keeper.try_lock() {
            *place = Some(keeper);
        }
        self.office.leader.send_replace(Some(candidate.clone()));
        let clock = Arc::clone(&self.clock);
        let resign = Resign {
            office: Arc::clone(&self.office),
            fence,
            _keeper: resign,
        };
        Leadership::new(held, move || term.holds(&*clock), resign)
    }

    /// Returns when the election key may be free again; `seen` is when it was not.
    async fn vacant(&self, seen: Revision) -> Result<(), StoreError> {
        let mut stream = open(&self.link, self.keys.election(), None, seen).await?;
        while let Some(answer) = stream
            .message()
            .await
            .map_err(|error| super::meaning("follow the leader", error))?
        {
            if answer.0.canceled || answer.0.events.iter().any(|event| event.r#type == DELETE) {
                break;
            }
        }
        Ok(())
    }

    fn follow(&self) {
        let mut follower = self
            .office
            .follower
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if follower.is_none() {
            let (link, keys) = (Arc::clone(&self.link), self.keys.clone());
            let (clock, leader) = (Arc::clone(&self.clock), self.office.leader.clone());
            *follower = Some(tokio::spawn(follow(link, keys, clock, leader)).abort_handle());
        }
    }
}

#[async_trait]
impl Election for EtcdStore {
    async fn campaign(&self, candidate: &Candidate) -> Result<Leadership, StoreError> {
        self.office.stand();
        self.follow();
        let mut backoff = Backoff::new(&AGAIN);
        loop {
            let failed = match self.stand_once(candidate).await {
                Ok(Ok(leadership)) => return Ok(leadership),
                Ok(Err(seen)) => self.vacant(seen).await.err(),
                Err(error) if error.retryable() => Some(error),
                Err(error) => return Err(error),
            };
            match failed {
                None => backoff.reset(),
                Some(error) => {
                    tracing::debug!(%error, "etcd was not asked for the lead, trying again");
                    self.link.turn_away();
                    let delay = backoff.next_delay();
                    self.clock.sleep(delay).await;
                }
            }
        }
    }

    fn leader(&self) -> watch::Receiver<Option<Candidate>> {
        self.follow();
        self.office.leader.subscribe()
    }
}
