//! Time as a seam: what the parts of Berth read and wait by, so that a test can hold it in its hand.
//!
//! Nothing outside this file reads the system's clocks.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// A clock and a way to wait by it.
///
/// # Guarantees
/// - [`monotonic`](Self::monotonic) never goes back; [`now`](Self::now) may, as wall clocks do.
/// - [`sleep`](Self::sleep) follows the monotonic clock and may be dropped at any time.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day, for what people and other machines read.
    fn now(&self) -> Timestamp;

    /// Time passed since some fixed moment, for measuring.
    fn monotonic(&self) -> Duration;

    /// Returns when `duration` has passed.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clocks. Copies share the moment [`Clock::monotonic`] counts from.
///
/// Waits by tokio's timer, so a runtime with paused time pauses [`Clock::monotonic`] and [`Clock::sleep`] too.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts here.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: tokio::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that moves only when told to. Copies are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What [`Clock::now`] said when nothing had passed; changed by [`ManualClock::set`].
    origin: Mutex<Timestamp>,
    elapsed: watch::Sender<Duration>,
    sleepers: watch::Sender<usize>,
}

impl ManualClock {
    /// A clock that says `now` until it is moved.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        let shared = Shared {
            origin: Mutex::new(now),
            elapsed: watch::Sender::new(Duration::ZERO),
            sleepers: watch::Sender::new(0),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Lets `by` pass on both clocks and wakes whoever has slept long enough.
    pub fn advance(&self, by: Duration) {
        self.shared
            .elapsed
            .send_modify(|elapsed| *elapsed = elapsed.saturating_add(by));
    }

    /// Moves the time of day alone, back or forth, as an operator or NTP does.
    pub fn set(&self, now: Timestamp) {
        let elapsed = *self.shared.elapsed.borrow();
        let origin = now.saturating_sub(signed(elapsed)).unwrap_or(now);
        *self.shared.origin.lock().unwrap_or_else(PoisonError::into_inner) = origin;
    }

    /// Returns once at least `count` sleeps are waiting: what a test waits for before it moves the clock.
    pub async fn wait_for_sleepers(&self, count: usize) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self
            .shared
            .sleepers
            .subscribe()
            .wait_for(|sleeping| *sleeping >= count)
            .await;
    }
}

impl Default for ManualClock {
    /// Starts at the Unix epoch.
    fn default() -> Self {
        Self::new(Timestamp::UNIX_EPOCH)
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Counts one sleep for as long as it waits, dropped or finished.
struct Sleeping<'a>(&'a watch::Sender<usize>);

impl<'a> Sleeping<'a> {
    fn new(sleepers: &'a watch::Sender<usize>) -> Self {
        sleepers.send_modify(|count| *count += 1);
        Self(sleepers)
    }
}

impl Drop for Sleeping<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let origin = *self.shared.origin.lock().unwrap_or_else(PoisonError::into_inner);
        origin
            .saturating_add(signed(*self.shared.elapsed.borrow()))
            .unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        *self.shared.elapsed.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut elapsed = self.shared.elapsed.subscribe();
        let until = elapsed.borrow().saturating_add(duration);
        let _sleeping = Sleeping::new(&self.shared.sleepers);
        let _ = elapsed.wait_for(|elapsed| *elapsed >= until).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_a_sleeper_only_when_its_time_has_come() {
        let clock = ManualClock::default();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(10)).await }
        });
        clock.wait_for_sleepers(1).await;
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.unwrap();
        assert_eq!(clock.monotonic(), Duration::from_secs(10));
        assert_eq!(clock.now(), Timestamp::from_second(10).unwrap());
    }

    #[tokio::test]
    async fn a_dropped_sleep_is_no_longer_counted() {
        let clock = ManualClock::default();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(1)).await }
        });
        clock.wait_for_sleepers(1).await;
        sleeper.abort();
        assert!(sleeper.await.unwrap_err().is_cancelled());
        assert_eq!(*clock.shared.sleepers.borrow(), 0);
    }

    #[test]
    fn setting_the_time_of_day_leaves_the_monotonic_clock_alone() {
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(100));
        clock.set(Timestamp::from_second(50).unwrap());
        assert_eq!(clock.monotonic(), Duration::from_secs(100));
        assert_eq!(clock.now(), Timestamp::from_second(50).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_follows_a_paused_runtime() {
        let clock = SystemClock::new();
        clock.sleep(Duration::from_secs(3600)).await;
        assert!(clock.monotonic() >= Duration::from_secs(3600));
    }
}
