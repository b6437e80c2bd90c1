//! When the hub said what: by it an agent's answer is dated, whatever carried it and however long that took.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Older ones date nothing that would still count.
const KEPT: usize = 16;

/// The signs of life of one session, with the moments they were said.
#[derive(Default)]
pub(super) struct Pings(Mutex<VecDeque<(u64, Duration)>>);

impl Pings {
    /// The number of the one that is said now.
    pub(super) fn say(&self, now: Duration) -> u64 {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = said.back().map_or(1, |(last, _)| last + 1);
        if said.len() == KEPT {
            said.pop_front();
        }
        said.push_back((number, now));
        number
    }

    /// How old something can be at most that was said after `answers` was heard; none when that was never said. An agent that does not
    /// say what it answers (0) is taken to have spoken just now.
    pub(super) fn age(&self, answers: u64, now: Duration) -> Option<Duration> {
        if answers == 0 {
            return Some(Duration::ZERO);
        }
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is forgotten is older than all that is kept, which is old enough.
        let found = said.iter().find(|(number, _)| *number >= answers);
        found.map(|(_, at)| now.saturating_sub(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_old_as_what_it_answers() {
        let pings = Pings::default();
        let second = Duration::from_secs;
        let first = pings.say(second(1));
        let next = pings.say(second(4));
        assert_eq!(pings.age(first, second(9)), Some(second(8)));
        assert_eq!(pings.age(next, second(9)), Some(second(5)));
        assert_eq!(pings.age(0, second(9)), Some(Duration::ZERO));
        assert_eq!(
            pings.age(next + 1, second(9)),
            None,
            "nobody answers what was not said"
        );
        for at in 5..25 {
            pings.say(second(at));
        }
        let oldest = pings.age(first, second(30));
        assert_eq!(oldest, Some(second(30 - 9)), "at least so old");
    }
}
