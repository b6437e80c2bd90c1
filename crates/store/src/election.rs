//! Who may act on the store, when several hubs share it.
//!
//! Leading is a lease: whoever leads may write, and the store itself refuses the writes of everybody else
//! ([`StoreError::NotLeader`](crate::StoreError::NotLeader)), so that a hub that was paused past its lease does no harm when it goes on.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::error::StoreError;

/// A hub that may lead, and where it is reached when it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Which process; another one every start.
    pub id: String,
    /// Its API, `https://HOST:PORT`.
    pub api_url: String,
    /// Where agents dial, `https://HOST:PORT`.
    pub agent_url: String,
}

/// Who may act.
///
/// # Guarantees
/// - At most one leadership holds at a time, by the store's own judgement: while one holds, no other's writes are taken.
/// - Once [`campaign`](Self::campaign) was called, the store that belongs to this election takes writes only while the
///   leadership got from it holds.
#[async_trait]
pub trait Election: Send + Sync + 'static {
    /// Returns when this candidate leads. Cancel safe: dropped, it stands no more.
    ///
    /// # Errors
    /// When the store cannot be asked and another try may not help; being one of several candidates is no error, nor is a store
    /// that is away for a while.
    async fn campaign(&self, candidate: &Candidate) -> Result<Leadership, StoreError>;

    /// Who leads as far as this process knows; none between two leaders and before the store was first asked.
    fn leader(&self) -> watch::Receiver<Option<Candidate>>;
}

/// Leading, until it is lost or dropped. Dropping it gives it up, so that the next leader need not wait for the lease to end.
#[must_use = "dropping a leadership gives it up"]
pub struct Leadership {
    held: watch::Receiver<bool>,
    valid: Box<dyn Fn() -> bool + Send + Sync>,
    _resign: Option<Box<dyn std::any::Any + Send + Sync>>,
}

impl Leadership {
    /// A leadership that is lost when `held` turns false or its sender is dropped, that `valid` judges at once (by the lease's
    /// own time, so that a process that was paused knows before it is told), and that gives up by dropping `resign`.
    pub fn new(
        held: watch::Receiver<bool>,
        valid: impl Fn() -> bool + Send + Sync + 'static,
        resign: impl std::any::Any + Send + Sync,
    ) -> Self {
        Self {
            held,
            valid: Box::new(valid),
            _resign: Some(Box::new(resign)),
        }
    }

    /// Whether it holds at this moment: asked before anything is said or answered in the leader's name.
    #[must_use]
    pub fn holds(&self) -> bool {
        *self.held.borrow() && (self.valid)()
    }

    /// Returns when it is lost. Cancel safe.
    pub async fn lost(&self) {
        let mut held = self.held.clone();
        // An error means that nobody keeps it any more.
        let _ = held.wait_for(|held| !held).await;
    }
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership")
            .field("holds", &self.holds())
            .finish_non_exhaustive()
    }
}

/// The election of a store that only one process can open: whoever has it leads.
#[derive(Debug)]
pub struct SoleCandidate {
    leader: watch::Sender<Option<Candidate>>,
}

impl SoleCandidate {
    /// Nobody leads yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            leader: watch::Sender::new(None),
        }
    }
}

impl Default for SoleCandidate {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Election for SoleCandidate {
    async fn campaign(&self, candidate: &Candidate) -> Result<Leadership, StoreError> {
        self.leader.send_replace(Some(candidate.clone()));
        let held = watch::Sender::new(true);
        Ok(Leadership::new(held.subscribe(), || true, held))
    }

    fn leader(&self) -> watch::Receiver<Option<Candidate>> {
        self.leader.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_has_the_only_store_leads_until_it_gives_up() {
        let election = SoleCandidate::new();
        assert_eq!(*election.leader().borrow(), None);
        let candidate = Candidate {
            id: "a".into(),
            ..Candidate::default()
        };
        let leadership = election.campaign(&candidate).await.unwrap();
        assert!(leadership.holds());
        assert_eq!(*election.leader().borrow(), Some(candidate));
    }

    #[tokio::test]
    async fn a_leadership_that_is_lost_says_so() {
        let held = watch::Sender::new(true);
        let leadership = Leadership::new(held.subscribe(), || true, ());
        held.send_replace(false);
        leadership.lost().await;
        assert!(!leadership.holds());
    }
}
