//! Token buckets: a rate that may be passed for a moment and not for long. Knows no clock: whoever asks says what time it is.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A rate and how far it may be passed for a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens a second.
    pub per_second: f64,
    /// Tokens at most.
    pub burst: f64,
}

impl Rate {
    /// That many a second, that many at once.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: per_second.into(),
            burst: burst.into(),
        }
    }

    /// How long until an empty bucket is full.
    fn refill(self) -> Duration {
        Duration::from_secs_f64(self.burst / self.per_second)
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// Takes a token; how long to wait when there is none.
    fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = passed.mul_add(rate.per_second, self.tokens).min(rate.burst);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / rate.per_second))
    }
}

/// A bucket for each key, and memory for no more than a number of them: who comes when it is full of others shares one bucket with
/// all who come then, so nobody who is known already is slowed by a flood of strangers.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    most: usize,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    known: BTreeMap<K, Bucket>,
    others: Bucket,
    /// When full buckets were last thrown away: they are as good as none.
    swept: Duration,
}

impl<K: Ord + Clone> Buckets<K> {
    /// Buckets of this rate for at most `most` keys.
    #[must_use]
    pub const fn new(rate: Rate, most: usize) -> Self {
        Self {
            rate,
            most,
            state: Mutex::new(State {
                known: BTreeMap::new(),
                others: Bucket {
                    tokens: rate.burst,
                    at: Duration::ZERO,
                },
                swept: Duration::ZERO,
            }),
        }
    }

    /// Takes a token of `key`.
    ///
    /// # Errors
    /// There is none; how long to wait for the next.
    pub fn take(&self, key: &K, now: Duration) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = self.rate;
        if let Some(bucket) = state.known.get_mut(key) {
            return bucket.take(rate, now);
        }
        let refill = rate.refill();
        if state.known.len() >= self.most
            && now.saturating_sub(state.swept) >= refill.min(Duration::from_secs(1))
        {
            state.swept = now;
            state
                .known
                .retain(|_, bucket| now.saturating_sub(bucket.at) < refill);
        }
        if state.known.len() >= self.most {
            return state.others.take(rate, now);
        }
        let mut bucket = Bucket {
            tokens: rate.burst,
            at: now,
        };
        let taken = bucket.take(rate, now);
        state.known.insert(key.clone(), bucket);
        taken
    }

    #[cfg(test)]
    fn known(&self) -> usize {
        self.state.lock().unwrap().known.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_the_wait_is_told() {
        let buckets = Buckets::new(Rate::new(10, 3), 8);
        for _ in 0..3 {
            assert_eq!(buckets.take(&"a", at(0)), Ok(()));
        }
        assert_eq!(buckets.take(&"a", at(0)), Err(at(100)));
        assert_eq!(buckets.take(&"b", at(0)), Ok(()), "others have their own");
        assert_eq!(buckets.take(&"a", at(100)), Ok(()));
        assert!(buckets.take(&"a", at(150)).is_err());
    }

    #[test]
    fn a_flood_of_strangers_takes_no_memory_and_slows_nobody_who_is_known() {
        let buckets = Buckets::new(Rate::new(1, 2), 16);
        assert_eq!(buckets.take(&0, at(0)), Ok(()));
        let passed = (1..10_000).filter(|key| buckets.take(key, at(1)).is_ok()).count();
        assert_eq!(buckets.known(), 16);
        assert!(passed <= 15 + 2, "{passed}");
        assert_eq!(buckets.take(&0, at(2)), Ok(()));
        // Once the flood is over, its places are free again.
        assert_eq!(buckets.take(&20_000, at(10_000)), Ok(()));
        assert_eq!(buckets.known(), 1);
    }

    proptest! {
        #[test]
        fn no_more_passes_than_burst_and_rate_allow(waits in prop::collection::vec(0_u64..400, 1..300)) {
            let rate = Rate::new(7, 5);
            let buckets = Buckets::new(rate, 4);
            let (mut now, mut passed) = (0, 0.0);
            for wait in waits {
                now += wait;
                if buckets.take(&(), at(now)).is_ok() {
                    passed += 1.0;
                }
                prop_assert!(passed <= rate.burst + at(now).as_secs_f64() * rate.per_second + 1e-6);
            }
        }
    }
}
