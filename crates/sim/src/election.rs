//! The election of the played store: a lease in true time, judged by the store and by nobody else.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use berth_store::{Candidate, Election, Leadership, StoreError};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::store::Reached;

/// How long a lease lasts unless it is renewed.
const TTL: Duration = Duration::from_secs(10);

/// Who holds the lease. Copies are the same lease.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    state: Arc<Mutex<State>>,
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    until: Option<Instant>,
    holder: Option<Candidate>,
}

impl Lease {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether writes under `epoch` are taken.
    #[must_use]
    pub fn is_held_by(&self, epoch: u64) -> bool {
        let state = self.state();
        state.epoch == epoch && state.until.is_some_and(|until| Instant::now() < until)
    }

    /// Who holds it.
    #[must_use]
    pub fn holder(&self) -> Option<Candidate> {
        let state = self.state();
        let held = state.until.is_some_and(|until| Instant::now() < until);
        state.holder.clone().filter(|_| held)
    }

    /// Takes it if it is free; else when to ask again.
    fn take(&self, candidate: &Candidate) -> Result<u64, Duration> {
        let mut state = self.state();
        let now = Instant::now();
        match state.until {
            Some(until) if now < until => Err(until - now),
            _ => {
                state.epoch += 1;
                state.until = Some(now + TTL);
                state.holder = Some(candidate.clone());
                Ok(state.epoch)
            }
        }
    }

    fn renew(&self, epoch: u64) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        if state.epoch != epoch || state.until.is_none_or(|until| now >= until) {
            return false;
        }
        state.until = Some(now + TTL);
        true
    }

    fn give_up(&self, epoch: u64) {
        let mut state = self.state();
        if state.epoch == epoch {
            state.until = None;
        }
        drop(state);
        self.freed.notify_waiters();
    }
}

/// The election as one hub process stands in it.
pub struct Stand {
    reached: Reached,
    lease: Lease,
    leader: watch::Sender<Option<Candidate>>,
}

impl Stand {
    /// Of a process that reaches the store so.
    #[must_use]
    pub fn new(reached: Reached, lease: Lease) -> Self {
        let leader = watch::Sender::new(None);
        let (told, seen, gate, road) = (
            leader.clone(),
            lease.clone(),
            reached.gate.clone(),
            reached.road.clone(),
        );
        tokio::spawn(async move {
            while !gate.dead() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                gate.pass().await;
                if !road.blocked() {
                    told.send_if_modified(|told| {
                        let holder = seen.holder();
                        let news = *told != holder;
                        *told = holder;
                        news
                    });
                }
            }
        });
        Self {
            reached,
            lease,
            leader,
        }
    }
}

/// Gives the lease up when a living process drops its leadership.
struct Resign {
    lease: Lease,
    epoch: u64,
    reached: Reached,
}

impl Drop for Resign {
    fn drop(&mut self) {
        // The dead give nothing up, and the unreachable are not heard.
        if !self.reached.gate.dead() && !self.reached.gate.paused() && !self.reached.road.blocked() {
            self.lease.give_up(self.epoch);
        }
    }
}

#[async_trait]
impl Election for Stand {
    async fn campaign(&self, candidate: &Candidate) -> Result<Leadership, StoreError> {
        let reached = &self.reached;
        let epoch = loop {
            reached.gate.pass().await;
            let freed = self.lease.freed.notified();
            let mut freed = std::pin::pin!(freed);
            freed.as_mut().enable();
            if reached.road.blocked() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            match self.lease.take(candidate) {
                Ok(epoch) => break epoch,
                Err(busy) => {
                    tokio::select! {
                        biased;
                        () = freed => {}
                        () = tokio::time::sleep(busy) => {}
                    }
                    // Candidates do not wake in the order of their names.
                    tokio::time::sleep(reached.truth_dice().millis(0, 50)).await;
                }
            }
        };
        *reached.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
        let held = watch::Sender::new(true);
        let until = Arc::new(Mutex::new(Instant::now() + TTL));
        let leadership = Leadership::new(
            held.subscribe(),
            {
                let until = until.clone();
                move || Instant::now() < *until.lock().unwrap_or_else(PoisonError::into_inner)
            },
            Resign {
                lease: self.lease.clone(),
                epoch,
                reached: reached.clone(),
            },
        );
        let (lease, reached) = (self.lease.clone(), reached.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(TTL / 3).await;
                reached.gate.pass().await;
                let asked = Instant::now();
                if !reached.road.blocked() {
                    if !lease.renew(epoch) {
                        break;
                    }
                    *until.lock().unwrap_or_else(PoisonError::into_inner) = asked + TTL;
                } else if asked >= *until.lock().unwrap_or_else(PoisonError::into_inner) {
                    break;
                }
                if held.is_closed() {
                    return;
                }
            }
            held.send_replace(false);
        });
        Ok(leadership)
    }

    fn leader(&self) -> watch::Receiver<Option<Candidate>> {
        self.leader.subscribe()
    }
}
