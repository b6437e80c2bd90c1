//! When the API server last answered. Evidence is as old as this.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::Duration;

use berth_model::Timestamp;
use berth_runtime::bell::{Bell, Listener};

/// The last answer, and how often contact was lost.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: Mutex<(Duration, Timestamp)>,
    answers: AtomicU64,
    /// Raised when the server answers again after it did not: watches that were open then may be dead and start anew.
    epoch: Bell,
}

impl Pulse {
    pub(crate) fn new(monotonic: Duration, now: Timestamp) -> Self {
        Self {
            last: Mutex::new((monotonic, now)),
            answers: AtomicU64::new(0),
            epoch: Bell::new(),
        }
    }

    /// The server answered.
    pub(crate) fn beat(&self, monotonic: Duration, now: Timestamp) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (monotonic, now);
    }

    /// Contact is back after it was lost.
    pub(crate) fn recovered(&self) {
        self.epoch.ring();
    }

    /// Changes when watches should start anew.
    pub(crate) fn epoch(&self) -> Listener {
        self.epoch.listen()
    }

    /// How long ago, by the monotonic clock.
    pub(crate) fn age(&self, monotonic: Duration) -> Duration {
        monotonic.saturating_sub(self.last.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// When, by the time of day; the epoch when never.
    pub(crate) fn last_success(&self) -> Timestamp {
        if self.answers.load(Ordering::Relaxed) == 0 {
            return Timestamp::UNIX_EPOCH;
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}
