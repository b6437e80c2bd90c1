//! The breaker that stops a mass delete. Pure: time is handed in.

use std::{collections::VecDeque, time::Duration};

/// When deleting stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// That many tenants may always go within the window.
    pub tenants: usize,
    /// That share of the cluster's tenants may go within the window, in percent, when it is more.
    pub percent: usize,
    /// The window.
    pub window: Duration,
}

impl Default for BreakerLimits {
    /// max(3, 10 %) within 10 minutes.
    fn default() -> Self {
        Self {
            tenants: 3,
            percent: 10,
            window: Duration::from_secs(600),
        }
    }
}

/// Whether deleting goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// It does.
    Closed,
    /// It has stopped until an operator releases it.
    Tripped,
}

/// Counts the tenants that go, and stops when they are too many.
#[derive(Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    gone: VecDeque<Duration>,
    tripped: bool,
}

impl Breaker {
    /// Closed, nothing counted.
    #[must_use]
    pub const fn new(limits: BreakerLimits) -> Self {
        Self {
            limits,
            gone: VecDeque::new(),
            tripped: false,
        }
    }

    /// Whether one more tenant may go at `now`, of `held` tenants that the cluster still holds (this one included). Counts it if so.
    pub fn admit(&mut self, now: Duration, held: usize) -> bool {
        while self
            .gone
            .front()
            .is_some_and(|then| now.saturating_sub(*then) >= self.limits.window)
        {
            self.gone.pop_front();
        }
        // The share is of what the cluster held when the window began, so that it does not shrink with every delete.
        let before = held + self.gone.len();
        let allowed = self.limits.tenants.max(before * self.limits.percent / 100);
        if self.tripped || self.gone.len() >= allowed {
            self.tripped = true;
            return false;
        }
        self.gone.push_back(now);
        true
    }

    /// Whether deleting goes on.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        if self.tripped {
            BreakerState::Tripped
        } else {
            BreakerState::Closed
        }
    }

    /// An operator confirms: deleting goes on, and counting starts anew.
    pub fn release(&mut self) {
        self.tripped = false;
        self.gone.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn three_tenants_may_go_at_once_and_a_fourth_trips_it() {
        let mut breaker = Breaker::new(BreakerLimits::default());
        for left in (8..=10).rev() {
            assert!(breaker.admit(Duration::ZERO, left));
        }
        assert!(!breaker.admit(Duration::ZERO, 7));
        assert_eq!(breaker.state(), BreakerState::Tripped);
    }

    #[test]
    fn a_tripped_breaker_stays_tripped_until_it_is_released() {
        let mut breaker = Breaker::new(BreakerLimits {
            tenants: 1,
            percent: 0,
            window: Duration::from_secs(10),
        });
        assert!(breaker.admit(Duration::ZERO, 5));
        assert!(!breaker.admit(Duration::ZERO, 4));
        assert!(!breaker.admit(Duration::from_secs(100), 4));
        breaker.release();
        assert!(breaker.admit(Duration::from_secs(100), 4));
    }

    #[test]
    fn what_went_before_the_window_does_not_count() {
        let mut breaker = Breaker::new(BreakerLimits {
            tenants: 1,
            percent: 0,
            window: Duration::from_secs(10),
        });
        assert!(breaker.admit(Duration::ZERO, 5));
        assert!(breaker.admit(Duration::from_secs(10), 4));
    }

    proptest! {
        #[test]
        fn never_more_than_the_larger_of_three_and_a_tenth_go_within_one_window(tenants in 1_usize..500) {
            let mut breaker = Breaker::new(BreakerLimits::default());
            let gone = (1..=tenants).rev().filter(|held| breaker.admit(Duration::ZERO, *held)).count();
            prop_assert_eq!(gone, tenants.min(3.max(tenants / 10)));
        }
    }
}
