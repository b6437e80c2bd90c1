//! The breaker that stops a mass delete. Pure: time is handed in.
//!
//! It is remembered by wall-clock time and judged by how much time passed while the agent ran: a clock that is set back or on
//! meanwhile changes nothing, and what a memory says went later than now went just now.

use std::{collections::VecDeque, time::Duration};

use berth_model::{Timestamp, Uid};
use serde::{Deserialize, Serialize};

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

/// What has to be remembered of a breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BreakerMemory {
    /// Tenants that went within the window, oldest first.
    pub gone: Vec<Gone>,
    /// When it tripped, until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tripped_at: Option<Timestamp>,
    /// When it was last released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<Timestamp>,
}

/// A tenant that went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gone {
    /// Its uid: it goes once, however often that is tried.
    pub uid: Uid,
    /// When it was let go.
    pub at: Timestamp,
}

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What is remembered.
    pub wall: Timestamp,
    /// What is judged by.
    pub monotonic: Duration,
}

/// Counts the tenants that go, and stops when they are too many.
#[derive(Debug)]
pub struct Breaker {
    limits: BreakerLimits,
    gone: VecDeque<Counted>,
    tripped_at: Option<Timestamp>,
    released_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Counted {
    gone: Gone,
    /// How old it was at `since`, which is by the monotonic clock.
    age: Duration,
    since: Duration,
}

impl Breaker {
    /// Closed, nothing counted.
    #[must_use]
    pub const fn new(limits: BreakerLimits) -> Self {
        Self {
            limits,
            gone: VecDeque::new(),
            tripped_at: None,
            released_at: None,
        }
    }

    /// Goes on where `memory` ends. What it says went in the future went now.
    pub fn recall(&mut self, memory: BreakerMemory, now: Moment) {
        let counted = |gone: Gone| Counted {
            age: Duration::try_from(now.wall.duration_since(gone.at)).unwrap_or(Duration::ZERO),
            since: now.monotonic,
            gone,
        };
        self.gone = memory.gone.into_iter().map(counted).collect();
        self.tripped_at = memory.tripped_at;
        self.released_at = memory.released_at;
    }

    /// What has to be remembered.
    #[must_use]
    pub fn memory(&self) -> BreakerMemory {
        BreakerMemory {
            gone: self.gone.iter().map(|counted| counted.gone.clone()).collect(),
            tripped_at: self.tripped_at,
            released_at: self.released_at,
        }
    }

    /// Whether one more tenant may go, of `held` tenants that the cluster still holds (this one included). Counts it if so, once.
    pub fn admit(&mut self, uid: &Uid, now: Moment, held: usize) -> bool {
        let window = self.limits.window;
        self.gone.retain(|counted| {
            counted
                .age
                .saturating_add(now.monotonic.saturating_sub(counted.since))
                < window
        });
        if self.gone.iter().any(|counted| counted.gone.uid == *uid) {
            return true;
        }
        // The share is of what the cluster held when the window began, so that it does not shrink with every delete.
        let before = held + self.gone.len();
        let allowed = self.limits.tenants.max(before * self.limits.percent / 100);
        if self.tripped_at.is_some() || self.gone.len() >= allowed {
            self.tripped_at.get_or_insert(now.wall);
            return false;
        }
        self.gone.push_back(Counted {
            gone: Gone {
                uid: uid.clone(),
                at: now.wall,
            },
            age: Duration::ZERO,
            since: now.monotonic,
        });
        true
    }

    /// Whether deleting goes on.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        if self.tripped_at.is_some() {
            BreakerState::Tripped
        } else {
            BreakerState::Closed
        }
    }

    /// An operator confirms: deleting goes on, and counting starts anew.
    pub fn release(&mut self, now: Moment) {
        self.tripped_at = None;
        self.gone.clear();
        self.released_at = Some(now.wall);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Moment {
        by_clock(1_000_000 + i64::try_from(second).unwrap(), second)
    }

    fn by_clock(wall: i64, second: u64) -> Moment {
        Moment {
            wall: Timestamp::from_second(wall).unwrap(),
            monotonic: Duration::from_secs(second),
        }
    }

    fn uid(n: usize) -> Uid {
        Uid::new(format!("u{n}")).unwrap()
    }

    /// One tenant within ten seconds.
    fn strict() -> Breaker {
        Breaker::new(BreakerLimits {
            tenants: 1,
            percent: 0,
            window: Duration::from_secs(10),
        })
    }

    #[test]
    fn three_tenants_may_go_at_once_and_a_fourth_trips_it() {
        let mut breaker = Breaker::new(BreakerLimits::default());
        for left in (8..=10).rev() {
            assert!(breaker.admit(&uid(left), at(0), left));
        }
        assert!(!breaker.admit(&uid(7), at(0), 7));
        assert_eq!(breaker.state(), BreakerState::Tripped);
    }

    #[test]
    fn a_tripped_breaker_stays_tripped_until_it_is_released() {
        let mut breaker = strict();
        assert!(breaker.admit(&uid(1), at(0), 5));
        assert!(!breaker.admit(&uid(2), at(0), 4));
        assert!(!breaker.admit(&uid(2), at(100), 4));
        breaker.release(at(100));
        assert!(breaker.admit(&uid(2), at(100), 4));
    }

    #[test]
    fn what_went_before_the_window_does_not_count() {
        let mut breaker = strict();
        assert!(breaker.admit(&uid(1), at(0), 5));
        assert!(breaker.admit(&uid(2), at(10), 4));
    }

    #[test]
    fn a_tenant_counts_once_however_often_it_is_tried() {
        let mut breaker = strict();
        assert!(breaker.admit(&uid(1), at(0), 5));
        assert!(breaker.admit(&uid(1), at(1), 5));
        assert_eq!(breaker.memory().gone.len(), 1);
    }

    #[test]
    fn a_restart_neither_forgets_what_went_nor_that_it_tripped_nor_that_it_was_released() {
        let mut first = strict();
        assert!(first.admit(&uid(1), at(0), 5));
        let mut second = strict();
        second.recall(first.memory(), at(5));
        assert!(!second.admit(&uid(2), at(9), 4), "the window is not over");
        let mut third = strict();
        third.recall(second.memory(), by_clock(2_000_000, 0));
        assert_eq!(third.state(), BreakerState::Tripped);
        assert!(!third.admit(&uid(2), by_clock(2_000_000, 1_000), 4));
        third.release(by_clock(2_000_000, 1_000));
        let mut fourth = strict();
        fourth.recall(third.memory(), by_clock(2_000_001, 0));
        assert!(fourth.admit(&uid(2), by_clock(2_000_001, 0), 4));
        assert_eq!(
            fourth.memory().released_at,
            Timestamp::from_second(2_000_000).ok()
        );
    }

    #[test]
    fn a_clock_that_is_set_back_or_on_opens_nothing() {
        let mut breaker = strict();
        assert!(breaker.admit(&uid(1), by_clock(1_000_000, 0), 5));
        // A day on, while only a second has passed.
        assert!(!breaker.admit(&uid(2), by_clock(1_086_400, 1), 4));
        breaker.release(by_clock(1_086_400, 1));
        assert!(breaker.admit(&uid(2), by_clock(1_086_400, 1), 4));
        // A day back, over a restart: it went just now.
        let mut again = strict();
        again.recall(breaker.memory(), by_clock(1_000_000, 0));
        assert!(!again.admit(&uid(3), by_clock(1_000_009, 9), 3));
        again.release(by_clock(1_000_009, 9));
        assert!(again.admit(&uid(3), by_clock(1_000_009, 9), 3));
    }

    proptest! {
        #[test]
        fn never_more_than_the_larger_of_three_and_a_tenth_go_within_one_window_whatever_restarts(
            tenants in 1_usize..300,
            restarts in proptest::collection::btree_set(0_usize..300, 0..8),
        ) {
            let mut breaker = Breaker::new(BreakerLimits::default());
            let mut gone = 0;
            for held in (1..=tenants).rev() {
                if restarts.contains(&held) {
                    let memory = breaker.memory();
                    breaker = Breaker::new(BreakerLimits::default());
                    breaker.recall(memory, at(1));
                }
                gone += usize::from(breaker.admit(&uid(held), at(1), held));
            }
            prop_assert_eq!(gone, tenants.min(3.max(tenants / 10)));
        }
    }
}
