//! Time as a seam: what the parts of Berth read and wait by, so that a test can hold it in its hand.
//!
//! Nothing outside this file reads the system's clocks.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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

    /// Time passed since some fixed moment, for measuring. It goes on while the machine is suspended, as what others hold of this process
    /// (leases, sessions, evidence) grows old meanwhile too.
    fn monotonic(&self) -> Duration;

    /// Returns when `duration` has passed; time for which the machine was suspended may not count.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clocks. Copies share the moment [`Clock::monotonic`] counts from.
///
/// Waits by tokio's timer, so a runtime with paused time pauses [`Clock::monotonic`] and [`Clock::sleep`] too. That timer stands still
/// while the machine is suspended: on Linux the time of it is added, elsewhere it is not known.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: tokio::time::Instant,
    /// For how long the machine had been suspended by then.
    suspended: Duration,
}

impl SystemClock {
    /// A clock whose monotonic time starts here.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: tokio::time::Instant::now(),
            suspended: SUSPENDED.now(),
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
        self.started
            .elapsed()
            .saturating_add(SUSPENDED.now().saturating_sub(self.suspended))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Of this machine.
static SUSPENDED: Suspended = Suspended(AtomicU64::new(0));
/// Milliseconds that may pass between the readings of two clocks without a suspension.
const BETWEEN_READINGS: u64 = 100;

/// For how long the machine has been suspended since it was started, in milliseconds, as far as was noticed. It never gets less.
#[derive(Debug)]
struct Suspended(AtomicU64);

impl Suspended {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        // In this order: what passes between the readings makes the difference less, never more.
        let (with, without) = (read(ClockId::Boottime), read(ClockId::Monotonic));
        self.notice(with, without)
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// Takes what a clock says that counts suspensions, and one that does not.
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "no such clocks are known")
    )]
    fn notice(&self, with: Duration, without: Duration) -> Duration {
        let found = u64::try_from(with.saturating_sub(without).as_millis()).unwrap_or(u64::MAX);
        let before = self.0.load(Ordering::Relaxed);
        if found < before.saturating_add(BETWEEN_READINGS) {
            return Duration::from_millis(before);
        }
        let before = self.0.fetch_max(found, Ordering::Relaxed);
        Duration::from_millis(before.max(found))
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

    #[test]
    fn time_for_which_the_machine_was_suspended_is_noticed_and_never_taken_back() {
        let suspended = Suspended(AtomicU64::new(0));
        let notice =
            |with, without| suspended.notice(Duration::from_millis(with), Duration::from_millis(without));
        assert_eq!(notice(5_000, 5_000), Duration::ZERO);
        assert_eq!(notice(5_999, 6_000), Duration::ZERO);
        // Two clocks of which one started later: from here on it counts.
        assert_eq!(notice(70_000, 10_000), Duration::from_secs(60));
        assert_eq!(
            notice(70_000, 12_000),
            Duration::from_secs(60),
            "another thread was between the readings"
        );
        assert_eq!(
            notice(80_050, 20_000),
            Duration::from_secs(60),
            "clocks are read one after the other"
        );
        assert_eq!(notice(190_050, 30_000), Duration::from_millis(160_050));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_clock_goes_as_far_as_one_that_counts_suspensions() {
        use rustix::time::{ClockId, clock_gettime};
        let boot = || Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap();
        let clock = SystemClock::new();
        let before = boot();
        let from = clock.monotonic();
        for _ in 0..1_000 {
            assert!(clock.monotonic() >= from);
        }
        let (gone, all) = (
            clock.monotonic().saturating_sub(from),
            boot().saturating_sub(before),
        );
        assert!(gone <= all, "{gone:?} of {all:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_follows_a_paused_runtime() {
        let clock = SystemClock::new();
        clock.sleep(Duration::from_secs(3600)).await;
        assert!(clock.monotonic() >= Duration::from_secs(3600));
    }
}
