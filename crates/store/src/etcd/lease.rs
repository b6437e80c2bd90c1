//! One term of office: the lease behind it, kept alive until it is given up or lost.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use berth_model::Revision;
use berth_runtime::Clock;
use etcd_client::{Client, Error};
use tokio::sync::{oneshot, watch};

use super::link::Link;
use crate::{election::Candidate, error::StoreError};

/// How soon a keepalive that failed is tried again.
const SOON: Duration = Duration::from_millis(100);

/// A leadership as the store knows it.
#[derive(Debug)]
pub(super) struct Term {
    /// The revision that created the election key: every write compares it.
    pub(super) fence: Revision,
    /// Who leads.
    pub(super) candidate: Candidate,
    /// Until when, by the monotonic clock, etcd cannot have given the lease up.
    until: Mutex<Duration>,
    held: watch::Sender<bool>,
}

impl Term {
    pub(super) fn new(fence: Revision, candidate: Candidate, until: Duration) -> Self {
        Self {
            fence,
            candidate,
            until: Mutex::new(until),
            held: watch::Sender::new(true),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    /// Whether it holds, by the lease's own time.
    pub(super) fn holds(&self, clock: &dyn Clock) -> bool {
        *self.held.borrow() && clock.monotonic() < self.until()
    }

    pub(super) fn lose(&self) {
        self.held.send_replace(false);
    }

    fn until(&self) -> Duration {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn extend(&self, until: Duration) {
        let mut known = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *known = until.max(*known);
    }
}

/// A lease that is given up when this is dropped, so that a campaign that is given up leaves nothing behind.
#[derive(Debug)]
pub(super) struct Lease {
    link: Arc<Link>,
    id: Option<i64>,
    ttl: Duration,
}

impl Lease {
    /// Takes a lease of about `ttl`, and says until when it holds at least.
    pub(super) async fn grant(
        link: &Arc<Link>,
        clock: &dyn Clock,
        ttl: Duration,
    ) -> Result<(Self, Duration), StoreError> {
        let asked = clock.monotonic();
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let grant = |client: Client| async move { client.lease_client().grant(seconds, None).await };
        let granted = link.once("take a lease", grant).await?;
        let lease = Self {
            link: Arc::clone(link),
            id: Some(granted.id()),
            // etcd may give more than it was asked for.
            ttl: Duration::from_secs(granted.ttl().unsigned_abs()),
        };
        let until = asked + lease.certain();
        Ok((lease, until))
    }

    pub(super) fn id(&self) -> i64 {
        self.id.unwrap_or_default()
    }

    /// How long after a keepalive was sent the lease cannot have ended, though our clock be a little slower than etcd's.
    fn certain(&self) -> Duration {
        self.ttl - self.ttl / 20
    }

    /// Keeps the lease of `term` until `resigned` or lost, says `over`, and gives it up then.
    pub(super) async fn keep(
        mut self,
        term: Arc<Term>,
        clock: Arc<dyn Clock>,
        mut resigned: oneshot::Receiver<()>,
        over: impl FnOnce() + Send,
    ) {
        let every = self.ttl / 3;
        let mut wait = every;
        loop {
            let left = term.until().saturating_sub(clock.monotonic());
            tokio::select! {
                biased;
                _ = &mut resigned => break,
                () = clock.sleep(wait.min(left)) => {}
            }
            let sent = clock.monotonic();
            let left = term.until().saturating_sub(sent);
            if left.is_zero() {
                tracing::warn!(term = %term.fence, "leadership is lost: etcd was not reached within the lease");
                break;
            }
            tokio::select! {
                biased;
                _ = &mut resigned => break,
                kept = self.renew(every.min(left)) => match kept {
                    Ok(true) => {
                        term.extend(sent + self.certain());
                        wait = every;
                    }
                    Ok(false) => {
                        tracing::warn!(term = %term.fence, "leadership is lost: the lease has ended");
                        self.id = None;
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(term = %term.fence, %error, "lease was not renewed, trying again");
                        wait = SOON;
                    }
                },
            }
        }
        // Before the lease is given up: etcd may not answer for a while.
        over();
        if let Some(id) = self.id.take() {
            revoke(&self.link, id).await;
        }
    }

    /// Whether the lease still was there.
    async fn renew(&self, within: Duration) -> Result<bool, StoreError> {
        let id = self.id();
        let renew = |client: Client| async move {
            match client.lease_client().keep_alive(id).await {
                Ok(_) => Ok(true),
                // What the client says of a lease whose time to live is zero.
                Err(Error::LeaseKeepAliveError(_)) => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.link.once_within(within, "renew the lease", renew).await
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            let link = Arc::clone(&self.link);
            runtime.spawn(async move { revoke(&link, id).await });
        }
    }
}

/// Best effort: a lease that is not given up ends by itself.
async fn revoke(link: &Link, id: i64) {
    let revoke = |client: Client| async move { client.lease_client().revoke(id).await.map(drop) };
    if let Err(error) = link.ask("give up the lease", revoke).await {
        tracing::debug!(%error, "lease was not given up, it ends by itself");
    }
}
