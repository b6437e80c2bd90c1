//! Tells mending from fighting: who forces the same object back again and again argues with another manager. Pure.

use std::{collections::VecDeque, time::Duration};

/// An object may be forced that often within the window.
pub(crate) const LIMIT: usize = 3;
/// The window.
pub(crate) const WINDOW: Duration = Duration::from_secs(600);

/// When one object was forced back lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forced(VecDeque<Duration>);

impl Forced {
    /// Whether the object may be forced once more at `now`; counts it if so.
    pub(crate) fn admit(&mut self, now: Duration) -> bool {
        while self
            .0
            .front()
            .is_some_and(|then| now.saturating_sub(*then) >= WINDOW)
        {
            self.0.pop_front();
        }
        if self.0.len() >= LIMIT {
            return false;
        }
        self.0.push_back(now);
        true
    }
}

/// An object that somebody deleted may be put back at once that often within the window: people and their scripts delete things, and
/// bringing back what is gone forces nobody. More is a program that insists.
pub(crate) const AT_ONCE: usize = 100;
/// Longest pause before an object that keeps being deleted is put back.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When one object was put back lately after somebody had deleted it. It always comes back: what it is there for may be the wall
/// around a tenant. But the more often it was put back, the longer that takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct PutBack {
    at: VecDeque<Duration>,
    not_before: Option<Duration>,
}

/// Whether an object is put back now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Putting {
    /// It is.
    Now,
    /// After that pause, which begins now.
    After(Duration),
    /// A pause is under way.
    Waits,
}

impl PutBack {
    /// Whether the object is put back at `now`; counts it if so.
    pub(crate) fn admit(&mut self, now: Duration) -> Putting {
        self.forget(now);
        match self.not_before {
            Some(moment) if now < moment => return Putting::Waits,
            Some(_) => {}
            None if self.at.len() >= AT_ONCE => {
                let doubled = u32::try_from(self.at.len() - AT_ONCE).unwrap_or(u32::MAX);
                let pause = Duration::from_secs(1_u64.checked_shl(doubled).unwrap_or(u64::MAX));
                let pause = pause.min(LONGEST_PAUSE);
                self.not_before = Some(now.saturating_add(pause));
                return Putting::After(pause);
            }
            None => {}
        }
        self.not_before = None;
        self.at.push_back(now);
        Putting::Now
    }

    /// Whether nobody insists any more.
    pub(crate) fn quiet(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.at.len() < LIMIT
    }

    fn forget(&mut self, now: Duration) {
        while self
            .at
            .front()
            .is_some_and(|then| now.saturating_sub(*then) >= WINDOW)
        {
            self.at.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_time_within_ten_minutes_is_a_fight() {
        let mut forced = Forced::default();
        assert!((0..3).all(|second| forced.admit(Duration::from_secs(second))));
        assert!(!forced.admit(Duration::from_secs(3)));
        assert!(!forced.admit(Duration::from_secs(599)));
        assert!(
            forced.admit(Duration::from_secs(600)),
            "the first is forgotten by now"
        );
    }

    #[test]
    fn what_keeps_being_deleted_always_comes_back_but_more_and_more_slowly() {
        let mut put_back = PutBack::default();
        let mut now = Duration::ZERO;
        let mut times = Vec::new();
        // Deleted the very moment it is back, for ten minutes.
        while now < WINDOW {
            match put_back.admit(now) {
                Putting::Now => times.push(now.as_secs()),
                Putting::After(pause) => {
                    assert_eq!(put_back.admit(now), Putting::Waits);
                    now += pause;
                }
                Putting::Waits => panic!("a pause that is over is over"),
            }
        }
        assert_eq!(times[..AT_ONCE], [0; AT_ONCE]);
        assert_eq!(times[AT_ONCE..][..6], [1, 3, 7, 15, 31, 63]);
        assert!(times.len() < AT_ONCE + 20, "{times:?}");
        assert!(!put_back.quiet(now));
        assert!(put_back.quiet(now + WINDOW));
        assert_eq!(put_back.admit(now + WINDOW), Putting::Now);
    }
}
