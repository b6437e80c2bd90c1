//! Trying again: full jitter, no silent giving up, cancellation, and `Retry-After` honoured.
//!
//! The one wrapper around the crate `backoff`, whose own default gives up after 15 minutes. Whether an error is worth
//! another try is the caller's to say; nothing here looks into errors.

use std::{future::Future, time::Duration};

use ::backoff::{ExponentialBackoff, backoff::Backoff as _};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, entropy};

/// How long to wait between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The longest wait before the second try; doubles with each try after it.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
    /// How many tries there are in all; none means until it works, is stopped or is cancelled.
    pub attempts: Option<u32>,
}

impl Policy {
    /// Waits of at most `base`, twice that, and so on up to `cap`, for ever.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self {
            base,
            cap,
            attempts: None,
        }
    }

    /// The same with at most `attempts` tries in all.
    #[must_use]
    pub const fn attempts(self, attempts: u32) -> Self {
        Self {
            attempts: Some(attempts),
            ..self
        }
    }
}

impl Default for Policy {
    /// 100 ms to 30 s, for ever.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(30))
    }
}

/// Gives one wait after another, each uniformly random between nothing and a growing bound ("full jitter").
#[derive(Debug)]
pub struct Backoff {
    inner: ExponentialBackoff,
    waits: u32,
}

impl Backoff {
    /// Starts at the policy's base.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        // The bounds are its business, the chance is ours.
        let mut inner = ExponentialBackoff {
            initial_interval: policy.base,
            max_interval: policy.cap,
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        inner.reset();
        Self { inner, waits: 0 }
    }

    /// The next wait.
    #[must_use = "a wait that nobody waits makes a hot loop"]
    pub fn next_delay(&mut self) -> Duration {
        self.waits = self.waits.saturating_add(1);
        // `None` only comes with a `max_elapsed_time`, which is never set; the longest wait is the safe answer.
        entropy::up_to(self.inner.next_backoff().unwrap_or(self.inner.max_interval))
    }

    /// The next wait when the other side named the earliest moment: never before it, and jittered after it, so that
    /// everybody told the same moment does not come back at once.
    #[must_use = "a wait that nobody waits makes a hot loop"]
    pub fn next_delay_after(&mut self, at_least: Duration) -> Duration {
        at_least.saturating_add(self.next_delay())
    }

    /// How many waits were given since the start or the last reset.
    #[must_use]
    pub const fn waits(&self) -> u32 {
        self.waits
    }

    /// Starts over: call it when something worked.
    pub fn reset(&mut self) {
        self.inner.reset();
        self.waits = 0;
    }
}

/// What an attempt says when it did not work.
#[derive(Debug)]
pub enum Failure<E> {
    /// Worth another try.
    Retry {
        /// Why it did not work.
        error: E,
        /// The earliest moment that makes sense, as `Retry-After` says it.
        after: Option<Duration>,
    },
    /// No other try will help.
    Stop(E),
}

impl<E> Failure<E> {
    /// Worth another try, whenever.
    pub const fn retry(error: E) -> Self {
        Self::Retry { error, after: None }
    }
}

/// Why [`retry`] ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum RetryError<E> {
    /// An attempt said that no other will help.
    #[error("gave up: no further attempt can help")]
    Stopped(#[source] E),
    /// The policy's attempts are used up.
    #[error("gave up after {attempts} attempts")]
    Exhausted {
        /// How many there were.
        attempts: u32,
        /// What the last one said.
        #[source]
        last: E,
    },
    /// Cancelled meanwhile.
    #[error("cancelled while trying")]
    Cancelled {
        /// What the last attempt said, when there was one.
        last: Option<E>,
    },
}

impl<E> RetryError<E> {
    /// The last attempt's error, when there is one.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Stopped(error) | Self::Exhausted { last: error, .. } => Some(error),
            Self::Cancelled { last } => last,
        }
    }
}

/// Runs `op` until it works, stops, runs out of attempts, or `cancel` fires (which also ends a running attempt by dropping it).
///
/// # Errors
/// See [`RetryError`].
pub async fn retry<T, E, F, Fut>(
    policy: &Policy,
    clock: &dyn Clock,
    cancel: &CancellationToken,
    mut op: F,
) -> Result<T, RetryError<E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Failure<E>>>,
{
    let mut backoff = Backoff::new(policy);
    let mut last = None;
    loop {
        let Some(outcome) = cancel.run_until_cancelled(op()).await else {
            return Err(RetryError::Cancelled { last });
        };
        let (error, after) = match outcome {
            Ok(value) => return Ok(value),
            Err(Failure::Stop(error)) => return Err(RetryError::Stopped(error)),
            Err(Failure::Retry { error, after }) => (error, after),
        };
        let attempts = backoff.waits().saturating_add(1);
        if policy.attempts.is_some_and(|most| attempts >= most) {
            return Err(RetryError::Exhausted {
                attempts,
                last: error,
            });
        }
        let delay = backoff.next_delay_after(after.unwrap_or_default());
        last = Some(error);
        if cancel.run_until_cancelled(clock.sleep(delay)).await.is_none() {
            return Err(RetryError::Cancelled { last });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use std::{cell::Cell, sync::Arc};

    const POLICY: Policy = Policy::new(Duration::from_millis(100), Duration::from_secs(10));

    #[test]
    fn waits_are_jittered_over_the_whole_range_and_the_range_doubles_up_to_the_cap() {
        let mut largest = [Duration::ZERO; 12];
        let mut smallest = [Duration::MAX; 12];
        for _ in 0..2000 {
            let mut backoff = Backoff::new(&POLICY);
            for step in 0..12 {
                let delay = backoff.next_delay();
                largest[step] = largest[step].max(delay);
                smallest[step] = smallest[step].min(delay);
            }
        }
        for (step, (least, most)) in smallest.iter().zip(largest).enumerate() {
            let bound = (POLICY.base * 2_u32.pow(u32::try_from(step).unwrap())).min(POLICY.cap);
            assert!(
                most <= bound + Duration::from_micros(1),
                "step {step}: {most:?} over {bound:?}"
            );
            assert!(
                most > bound * 9 / 10,
                "step {step}: never above {most:?} of {bound:?}"
            );
            assert!(
                *least < bound / 10,
                "step {step}: never below {least:?} of {bound:?}"
            );
        }
    }

    #[test]
    fn a_named_moment_is_never_undercut() {
        let mut backoff = Backoff::new(&POLICY);
        for _ in 0..100 {
            assert!(backoff.next_delay_after(Duration::from_secs(7)) >= Duration::from_secs(7));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_tries_for_longer_than_fifteen_minutes() {
        let clock = SystemClock::new();
        let tries = Cell::new(0_u32);
        let result = retry(&POLICY, &clock, &CancellationToken::new(), || {
            tries.set(tries.get() + 1);
            let done = clock.monotonic() > Duration::from_secs(3600);
            async move {
                if done {
                    Ok("done")
                } else {
                    Err(Failure::retry("not yet"))
                }
            }
        })
        .await;
        assert_eq!(result.unwrap(), "done");
        assert!(tries.get() > 360);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_and_a_stop_ends_at_once() {
        let clock = SystemClock::new();
        let tries = Cell::new(0_u32);
        let result: Result<(), _> = retry(&POLICY.attempts(3), &clock, &CancellationToken::new(), || {
            tries.set(tries.get() + 1);
            async { Err(Failure::retry("no")) }
        })
        .await;
        assert!(matches!(
            result,
            Err(RetryError::Exhausted {
                attempts: 3,
                last: "no"
            })
        ));
        assert_eq!(tries.get(), 3);
        let result: Result<(), _> = retry(&POLICY, &clock, &CancellationToken::new(), || async {
            Err(Failure::Stop("never"))
        })
        .await;
        assert!(matches!(result, Err(RetryError::Stopped("never"))));
    }

    #[tokio::test]
    async fn cancelling_ends_the_wait_and_tells_the_last_error() {
        let clock = Arc::new(ManualClock::default());
        let cancel = CancellationToken::new();
        let task = tokio::spawn({
            let (clock, cancel) = (clock.clone(), cancel.clone());
            async move {
                retry::<(), _, _, _>(&POLICY, &*clock, &cancel, || async {
                    Err(Failure::Retry {
                        error: "busy",
                        after: Some(Duration::from_secs(5)),
                    })
                })
                .await
            }
        });
        clock.wait_for_sleepers(1).await;
        cancel.cancel();
        assert!(matches!(
            task.await.unwrap(),
            Err(RetryError::Cancelled { last: Some("busy") })
        ));
    }
}
