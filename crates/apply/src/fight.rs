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
}
