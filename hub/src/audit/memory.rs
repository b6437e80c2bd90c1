//! What was said lately and need not be said again at once: repeated denials, and credentials in use.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Keys that are remembered; one more forgets all, so that strangers cannot make the memory grow.
const MOST: usize = 4096;

/// Whether something was seen within a while.
pub(super) struct Lately {
    within: Duration,
    seen: Mutex<BTreeMap<String, (Duration, u64)>>,
}

impl Lately {
    pub(super) const fn new(within: Duration) -> Self {
        Self {
            within,
            seen: Mutex::new(BTreeMap::new()),
        }
    }

    /// None when the same was said lately; else how often it has come since it was last said.
    pub(super) fn first(&self, key: String, now: Duration) -> Option<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, times)) = seen.get_mut(&key) {
            if now.saturating_sub(*at) < self.within {
                *times += 1;
                return None;
            }
            *at = now;
            return Some(std::mem::take(times));
        }
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(key, (now, 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_with_how_often_it_came() {
        let lately = Lately::new(Duration::from_secs(60));
        let at = |seconds| lately.first("a".into(), Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1), None);
        assert_eq!(at(59), None);
        assert_eq!(lately.first("b".into(), Duration::from_secs(59)), Some(0));
        assert_eq!(at(60), Some(2));
        assert_eq!(at(61), None);
    }

    #[test]
    fn strangers_do_not_make_it_grow() {
        let lately = Lately::new(Duration::from_secs(60));
        for key in 0..3 * MOST {
            lately.first(key.to_string(), Duration::ZERO);
        }
        assert!(lately.seen.lock().unwrap().len() <= MOST);
    }
}
