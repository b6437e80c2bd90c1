//! Between a played process and everything outside it. A process that is killed is cut off here: whatever of it still runs can
//! change nothing and learns nothing, which is what being dead is. Knows nothing of what passes.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

const ALIVE: u8 = 0;
const PAUSED: u8 = 1;
const DEAD: u8 = 2;
const DEAD_SILENTLY: u8 = 3;

/// The gate of one process, from its start to its end. Copies are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: AtomicU8,
    turned: Notify,
    resumed: Mutex<Option<Instant>>,
}

impl Gate {
    /// Of a process that begins.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn turn(&self, state: u8) {
        if !self.dead() {
            self.0.state.store(state, Ordering::Relaxed);
            self.0.turned.notify_waiters();
        }
    }

    fn state(&self) -> u8 {
        self.0.state.load(Ordering::Relaxed)
    }

    /// The process is stopped, and will go on as if no time had passed.
    pub fn pause(&self) {
        self.turn(PAUSED);
    }

    /// The process goes on.
    pub fn resume(&self) {
        if self.paused() {
            *self.0.resumed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        self.turn(ALIVE);
    }

    /// The process is killed; its peers hear of it at once unless it dies `silently`, as with its machine.
    pub fn kill(&self, silently: bool) {
        self.turn(if silently { DEAD_SILENTLY } else { DEAD });
    }

    /// Whether it was killed.
    #[must_use]
    pub fn dead(&self) -> bool {
        self.state() >= DEAD
    }

    /// Whether it was killed with nobody told.
    #[must_use]
    pub fn silent(&self) -> bool {
        self.state() == DEAD_SILENTLY
    }

    /// Whether it went on less than `while_` ago.
    #[must_use]
    pub fn resumed_within(&self, while_: Duration) -> bool {
        let resumed = *self.0.resumed.lock().unwrap_or_else(PoisonError::into_inner);
        resumed.is_some_and(|at| at.elapsed() < while_)
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.state() == PAUSED
    }

    /// Returns when the process may act: at once, or when it goes on; never when it is dead.
    pub async fn pass(&self) {
        loop {
            let turned = self.0.turned.notified();
            let mut turned = std::pin::pin!(turned);
            turned.as_mut().enable();
            match self.state() {
                ALIVE => return,
                PAUSED => turned.await,
                _ => std::future::pending().await,
            }
        }
    }
}

impl Gate {
    /// Waits like [`pass`](Self::pass), but not longer than somebody outside would.
    pub async fn pass_within(&self, patience: Duration) {
        // Too long is the caller's to notice: it is not answered either.
        let _ = tokio::time::timeout(patience, self.pass()).await;
    }
}
