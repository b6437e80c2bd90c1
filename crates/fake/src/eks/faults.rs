//! What goes wrong next, as a test or a demonstration asks for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::refusal::Refusal;

/// What ails something: code and words.
pub(super) type Issue = (String, String);

#[derive(Debug, Default)]
struct Queued {
    refusals: Vec<(Option<String>, Refusal)>,
    lost_answers: u32,
    broken_nodegroups: Vec<Issue>,
    broken_clusters: Vec<Issue>,
}

/// Faults that are still to come. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    queued: Arc<Mutex<Queued>>,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Queued> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses the next call of `operation`, such as `CreateCluster`, or `Create*` for whichever comes first, doing nothing.
    pub fn refuse_next(&self, operation: &str, status: u16, code: &str, message: &str) {
        self.lock()
            .refusals
            .push((Some(operation.to_owned()), Refusal::new(status, code, message)));
    }

    /// Refuses the next `calls` calls, whatever they are, as too many.
    pub fn throttle(&self, calls: u32) {
        let refusal = Refusal::new(429, "ThrottlingException", "Rate exceeded");
        for _ in 0..calls {
            self.lock().refusals.push((None, refusal.clone()));
        }
    }

    /// Does the next call that changes something, and closes the connection instead of answering.
    pub fn lose_next_answer(&self) {
        self.lock().lost_answers += 1;
    }

    /// The next node group ends as CREATE_FAILED with this health issue.
    pub fn break_next_nodegroup(&self, code: &str, message: &str) {
        self.lock()
            .broken_nodegroups
            .push((code.to_owned(), message.to_owned()));
    }

    /// The next cluster ends as FAILED with this health issue.
    pub fn break_next_cluster(&self, code: &str, message: &str) {
        self.lock()
            .broken_clusters
            .push((code.to_owned(), message.to_owned()));
    }

    pub(super) fn refusal(&self, operation: &str) -> Option<Refusal> {
        let mut queued = self.lock();
        let meant = |of: &str| {
            of.strip_suffix('*')
                .map_or(of == operation, |start| operation.starts_with(start))
        };
        let at = queued
            .refusals
            .iter()
            .position(|(of, _)| of.as_deref().is_none_or(meant))?;
        Some(queued.refusals.remove(at).1)
    }

    pub(super) fn answer_is_lost(&self) -> bool {
        let mut queued = self.lock();
        let lost = queued.lost_answers > 0;
        queued.lost_answers = queued.lost_answers.saturating_sub(1);
        lost
    }

    pub(super) fn broken_nodegroup(&self) -> Option<Issue> {
        let mut queued = self.lock();
        (!queued.broken_nodegroups.is_empty()).then(|| queued.broken_nodegroups.remove(0))
    }

    pub(super) fn broken_cluster(&self) -> Option<Issue> {
        let mut queued = self.lock();
        (!queued.broken_clusters.is_empty()).then(|| queued.broken_clusters.remove(0))
    }
}
