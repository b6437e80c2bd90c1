//! What agents know that a hub must heed before it commands: that another one acts, or that its own store was set back.

use std::{collections::BTreeMap, fmt};

use berth_model::{ClusterName, Revision, StorePoint, Term};

/// More leaders than a fleet ever has.
const HIGHEST_TERM: u64 = 1 << 48;

/// Why a hub must not command. It names the cluster whose agent says so: one that lies is revoked, and does not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fence {
    /// An agent has accepted a higher term than this hub's: another hub acts.
    HigherTerm {
        /// Whose agent.
        cluster: ClusterName,
        /// The term.
        term: Term,
    },
    /// An earlier process told an agent of a later revision than the store had when this process read it: the store was set back.
    SetBack {
        /// Whose agent.
        cluster: ClusterName,
        /// What it was told.
        told: Revision,
        /// How far the store went when it was read.
        ours: Revision,
    },
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HigherTerm { cluster, term } => write!(
                f,
                "the agent of cluster {cluster} has accepted term {term}, higher than this hub's, so another hub acts"
            ),
            Self::SetBack { cluster, told, ours } => write!(
                f,
                "the agent of cluster {cluster} was told of revision {told}, and the store ended at {ours} when this hub began, so it was set back"
            ),
        }
    }
}

/// What the agent of each cluster has said of hubs.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<ClusterName, (Term, Option<StorePoint>)>);

impl Known {
    /// An agent says what it has accepted and was told. Who told it leads in that term, whether it commanded or not: an operator who lets
    /// a hub take command takes it above that too.
    pub(super) fn heard(&mut self, cluster: &ClusterName, term: Term, told: Option<StorePoint>) {
        let told = told.filter(|told| is_plausible(told.term));
        let terms = [
            Some(term).filter(|term| is_plausible(*term)),
            told.map(|told| told.term),
        ];
        let known = self.0.entry(cluster.clone()).or_default();
        known.0 = terms.into_iter().flatten().fold(known.0, Term::max);
        known.1 = known.1.max(told);
    }

    /// What that cluster's agent said does not count any more.
    pub(super) fn forget(&mut self, cluster: &ClusterName) {
        self.0.remove(cluster);
    }

    pub(super) fn highest_term(&self) -> Term {
        self.0.values().map(|known| known.0).max().unwrap_or_default()
    }

    /// `ours` is how far the store went when this process read it: what it has written since says nothing. Of terms before `since` an
    /// operator has decided, or their revisions are of another store.
    pub(super) fn fence(&self, ours: StorePoint, since: Term) -> Option<Fence> {
        let (cluster, term) = self
            .0
            .iter()
            .map(|(name, known)| (name, known.0))
            .max_by_key(|(_, term)| *term)?;
        if term > ours.term {
            let cluster = cluster.clone();
            return Some(Fence::HigherTerm { cluster, term });
        }
        let told = self
            .0
            .iter()
            .filter_map(|(name, known)| Some((name, known.1?)))
            .filter(|(_, told)| told.term >= since && told.incarnation != ours.incarnation);
        let (cluster, told) = told.max_by_key(|(_, told)| told.revision)?;
        (told.revision > ours.revision).then(|| Fence::SetBack {
            cluster: cluster.clone(),
            told: told.revision,
            ours: ours.revision,
        })
    }
}

/// A term no fleet reaches is of an agent that lies, and not heeded: there would be none above it to take command in.
const fn is_plausible(term: Term) -> bool {
    term.0 <= HIGHEST_TERM
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(term: u64, revision: u64) -> StorePoint {
        StorePoint {
            term: Term(term),
            revision: Revision(revision),
            incarnation: 1,
        }
    }

    /// Of the hub's process.
    fn own(term: u64, revision: u64) -> StorePoint {
        StorePoint {
            incarnation: 2,
            ..point(term, revision)
        }
    }

    fn name(text: &str) -> ClusterName {
        ClusterName::new(text).unwrap()
    }

    #[test]
    fn a_store_that_ends_before_what_agents_were_told_was_set_back() {
        let since = Term(2);
        let mut known = Known::default();
        known.heard(&name("a"), Term(3), Some(point(3, 40)));
        known.heard(&name("b"), Term(3), Some(point(3, 90)));
        // Before an operator let a hub take command: revisions of a store that is no more.
        known.heard(&name("c"), Term(1), Some(point(1, 500)));
        assert_eq!(known.fence(own(3, 90), since), None);
        assert_eq!(
            known.fence(own(3, 89), since),
            Some(Fence::SetBack {
                cluster: name("b"),
                told: Revision(90),
                ours: Revision(89),
            })
        );
        // What this process has told since it began is more than it began with, and no sign of anything.
        known.heard(&name("b"), Term(3), Some(own(3, 95)));
        assert_eq!(known.fence(own(3, 60), since), None);
        // The next leader on an etcd that was put back is found out too, though its term is its own.
        let next = StorePoint {
            incarnation: 3,
            ..own(4, 89)
        };
        assert!(matches!(known.fence(next, since), Some(Fence::SetBack { .. })));
        // An operator let the hub take command.
        assert_eq!(known.fence(next, Term(4)), None);
        assert_eq!(
            known.fence(own(2, 900), since),
            Some(Fence::HigherTerm {
                cluster: name("b"),
                term: Term(3),
            })
        );
    }

    #[test]
    fn whatever_agents_were_told_an_operator_can_take_command_above_it() {
        let mut known = Known::default();
        // By a leader that commanded nobody before its store was put back, so that the next one has its term again.
        known.heard(&name("a"), Term(5), Some(point(7, 90)));
        assert_eq!(known.highest_term(), Term(7));
        assert!(matches!(
            known.fence(own(6, 60), Term(0)),
            Some(Fence::HigherTerm { .. })
        ));
        assert!(matches!(
            known.fence(own(7, 60), Term(0)),
            Some(Fence::SetBack { .. })
        ));
        let above = Term(known.highest_term().0 + 1);
        assert_eq!(known.fence(own(above.0, 60), above), None);
        known.heard(&name("liar"), Term(0), Some(point(u64::MAX, u64::MAX)));
        assert_eq!(known.fence(own(above.0, 60), above), None);
    }

    #[test]
    fn what_a_cluster_said_that_is_revoked_does_not_count() {
        let mut known = Known::default();
        known.heard(&name("liar"), Term(7), Some(point(3, u64::MAX)));
        known.heard(&name("a"), Term(3), None);
        assert!(matches!(
            known.fence(own(3, 1), Term(0)),
            Some(Fence::HigherTerm { cluster, .. }) if cluster == name("liar")
        ));
        known.forget(&name("liar"));
        assert_eq!(known.fence(own(3, 1), Term(0)), None);
        assert_eq!(known.highest_term(), Term(3));
    }
}
