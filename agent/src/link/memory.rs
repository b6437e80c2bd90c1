//! What an agent knows of its hubs that outlives a session.

use std::sync::{Arc, Mutex, PoisonError};

use berth_model::StorePoint;
use http::Uri;

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The furthest that a hub has said its store had come. In memory alone: to keep it would be a write in the cluster every few seconds.
    pub(crate) told: Option<StorePoint>,
    /// The hub that was lost or not reached last, as it is dialled; empty when the last one answered.
    pub(crate) lost: String,
}

/// What is known, shared by all sessions of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Known>>);

impl Memory {
    pub(crate) fn known(&self) -> Known {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A hub says how far its store has come. A lower term says nothing of a higher one's store.
    pub(crate) fn remember(&self, told: StorePoint) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.told = known.told.max(Some(told));
    }

    /// That hub does not answer.
    pub(crate) fn lost(&self, hub: &Uri) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lost = hub.to_string();
    }

    /// A hub leads and listens.
    pub(crate) fn found(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).lost.clear();
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{Revision, Term};

    use super::*;

    #[test]
    fn the_furthest_point_is_remembered_and_a_later_term_is_further_than_any_revision() {
        let memory = Memory::default();
        let point = |term, revision| StorePoint {
            term: Term(term),
            revision: Revision(revision),
            incarnation: 1,
            ..StorePoint::default()
        };
        for told in [point(1, 900), point(2, 10), point(1, 950), point(2, 4)] {
            memory.remember(told);
        }
        assert_eq!(memory.known().told, Some(point(2, 10)));
    }
}
