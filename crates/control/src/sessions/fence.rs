//! What agents know that a hub must heed before it commands: that another one acts, or that its own store was set back.

use std::{collections::BTreeMap, fmt};

use berth_model::{ClusterName, StorePoint, Term};

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
    /// A hub has told an agent that an operator let it take command, and this hub's store knows nothing of that: that one acts. Its term
    /// need not be the higher one, as every leader on etcd raises its own.
    TakenOver {
        /// Whose agent.
        cluster: ClusterName,
        /// The term from which on that hub was let.
        since: Term,
    },
    /// An earlier leader knew of more than the store had when this one read it: the store was set back.
    SetBack {
        /// The cluster whose agent was told; none when this very process was that leader.
        cluster: Option<ClusterName>,
        /// What it was told.
        told: StorePoint,
        /// How far the store went when it was read.
        ours: StorePoint,
    },
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HigherTerm { cluster, term } => write!(
                f,
                "the agent of cluster {cluster} has accepted term {term}, higher than this hub's, so another hub acts"
            ),
            Self::TakenOver { cluster, since } => write!(
                f,
                "the agent of cluster {cluster} was told that a hub was let take command from term {since} on, of which this hub's store knows nothing, so another hub acts"
            ),
            Self::SetBack { cluster, told, ours } => {
                match cluster {
                    Some(cluster) => write!(f, "the agent of cluster {cluster} was told of ")?,
                    None => f.write_str("this hub has led before and known of ")?,
                }
                if told.revision > ours.revision {
                    let (told, ours) = (told.revision, ours.revision);
                    write!(
                        f,
                        "revision {told}, and the store ended at {ours} when this hub began"
                    )?;
                } else {
                    // A restore that raises revisions.
                    let (told, ours) = (told.writes, ours.writes.saturating_sub(1));
                    write!(
                        f,
                        "{told} transactions, and the store had {ours} when this hub began"
                    )?;
                }
                f.write_str(", so it was set back")
            }
        }
    }
}

/// What is known of hubs that lead or have led.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the agent of each cluster has accepted and was told.
    agents: BTreeMap<ClusterName, (Term, Option<StorePoint>)>,
    /// How far the store had come when this process last knew, in this period of leading or an earlier one.
    own: Option<StorePoint>,
}

impl Known {
    /// An agent says what it has accepted and was told. Who told it leads in that term, whether it commanded or not: an operator who lets
    /// a hub take command takes it above that too.
    pub(super) fn heard(&mut self, cluster: &ClusterName, term: Term, told: Option<StorePoint>) {
        let told = told.filter(|told| is_plausible(told.term) && told.command_term <= told.term);
        let terms = [
            Some(term).filter(|term| is_plausible(*term)),
            told.map(|told| told.term),
        ];
        let known = self.agents.entry(cluster.clone()).or_default();
        known.0 = terms.into_iter().flatten().fold(known.0, Term::max);
        known.1 = known.1.max(told);
    }

    /// This process leads, and its store has come so far. What it knew before of more than the store had when it `began` stays.
    pub(super) fn came_to(&mut self, began: StorePoint, point: StorePoint) {
        if self.own.is_none_or(|own| !lacks(began, own)) {
            self.own = Some(point);
        }
    }

    /// What that cluster's agent said does not count any more.
    pub(super) fn forget(&mut self, cluster: &ClusterName) {
        self.agents.remove(cluster);
    }

    /// An operator takes command above it.
    pub(super) fn highest_term(&self) -> Term {
        let own = self.own.map(|own| own.term);
        let terms = self.agents.values().map(|known| known.0);
        terms.chain(own).max().unwrap_or_default()
    }

    /// Whether the agent of that cluster was told of more than there was at `ours`.
    pub(super) fn knows_more(&self, cluster: &ClusterName, ours: StorePoint) -> bool {
        let told = self.agents.get(cluster).and_then(|known| known.1);
        told.is_some_and(|told| lacks(ours, told) || told.command_term > ours.command_term)
    }

    /// `ours` is how far the store went when this process read it: what it has written since says nothing.
    pub(super) fn fence(&self, ours: StorePoint) -> Option<Fence> {
        let agents = self
            .agents
            .iter()
            .filter_map(|(name, known)| Some((Some(name), known.1?)));
        let told = self.own.map(|own| (None, own)).into_iter();
        let told = told.chain(agents.clone());
        let more = told.filter(|(_, told)| lacks(ours, *told));
        if let Some((cluster, told)) = more.max_by_key(|(_, told)| (told.writes, told.revision)) {
            let cluster = cluster.cloned();
            return Some(Fence::SetBack { cluster, told, ours });
        }
        let later = agents.filter(|(_, told)| told.command_term > ours.command_term);
        if let Some((Some(cluster), told)) = later.max_by_key(|(_, told)| told.command_term) {
            return Some(Fence::TakenOver {
                cluster: cluster.clone(),
                since: told.command_term,
            });
        }
        let terms = self.agents.iter().map(|(name, known)| (name, known.0));
        let (cluster, term) = terms.max_by_key(|(_, term)| *term)?;
        (term > ours.term).then(|| Fence::HigherTerm {
            cluster: cluster.clone(),
            term,
        })
    }
}

/// Whether a store that was read at `ours` lacks something that somebody was `told` of.
fn lacks(ours: StorePoint, told: StorePoint) -> bool {
    if told.incarnation == ours.incarnation {
        // More than a process began with is what it has written since.
        return false;
    }
    let same_store = if told.term > ours.term {
        // Where an operator has let a hub take command since, that one acts, on whatever store.
        told.command_term == ours.command_term
    } else {
        // Of terms before that an operator has decided, or their revisions are of another store.
        told.term >= ours.command_term
    };
    // The first transaction of a period of leading is that leader's own, and nobody was told of it before.
    same_store && (told.revision > ours.revision || (ours.writes > 0 && told.writes >= ours.writes))
}

/// A term no fleet reaches is of an agent that lies, and not heeded: there would be none above it to take command in.
const fn is_plausible(term: Term) -> bool {
    term.0 <= HIGHEST_TERM
}

#[cfg(test)]
mod tests {
    use berth_model::Revision;

    use super::*;

    fn point(term: u64, revision: u64) -> StorePoint {
        StorePoint {
            term: Term(term),
            revision: Revision(revision),
            incarnation: 1,
            ..StorePoint::default()
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
        let since = |point| StorePoint {
            command_term: Term(2),
            ..point
        };
        let mut known = Known::default();
        known.heard(&name("a"), Term(3), Some(point(3, 40)));
        known.heard(&name("b"), Term(3), Some(point(3, 90)));
        // Before an operator let a hub take command: revisions of a store that is no more.
        known.heard(&name("c"), Term(1), Some(point(1, 500)));
        assert_eq!(known.fence(since(own(3, 90))), None);
        assert_eq!(
            known.fence(since(own(3, 89))),
            Some(Fence::SetBack {
                cluster: name("b").into(),
                told: point(3, 90),
                ours: since(own(3, 89)),
            })
        );
        // What this process has told since it began is more than it began with, and no sign of anything.
        known.heard(&name("b"), Term(3), Some(own(3, 95)));
        assert_eq!(known.fence(since(own(3, 60))), None);
        // The next leader on an etcd that was put back is found out too, though its term is its own.
        let next = StorePoint {
            incarnation: 3,
            ..since(own(4, 89))
        };
        assert!(matches!(known.fence(next), Some(Fence::SetBack { .. })));
        // An operator let the hub take command.
        let decided = StorePoint {
            command_term: Term(4),
            ..next
        };
        assert_eq!(known.fence(decided), None);
        assert_eq!(
            known.fence(since(own(2, 900))),
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
        for term in [6, 7] {
            assert!(matches!(known.fence(own(term, 60)), Some(Fence::SetBack { .. })));
        }
        let above = known.highest_term().0 + 1;
        let above = StorePoint {
            command_term: Term(above),
            ..own(above, 60)
        };
        assert_eq!(known.fence(above), None);
        known.heard(&name("liar"), Term(0), Some(point(u64::MAX, u64::MAX)));
        assert_eq!(known.fence(above), None);
    }

    #[test]
    fn what_a_cluster_said_that_is_revoked_does_not_count() {
        let mut known = Known::default();
        known.heard(&name("liar"), Term(7), Some(point(3, u64::MAX)));
        known.heard(&name("a"), Term(3), None);
        assert!(matches!(
            known.fence(own(3, 1)),
            Some(Fence::SetBack { cluster, .. }) if cluster == name("liar").into()
        ));
        known.forget(&name("liar"));
        assert_eq!(known.fence(own(3, 1)), None);
        known.heard(&name("liar"), Term(7), None);
        assert!(matches!(
            known.fence(own(3, 1)),
            Some(Fence::HigherTerm { cluster, .. }) if cluster == name("liar")
        ));
        known.forget(&name("liar"));
        assert_eq!(known.fence(own(3, 1)), None);
        assert_eq!(known.highest_term(), Term(3));
    }

    fn counted(point: StorePoint, writes: u64) -> StorePoint {
        StorePoint { writes, ..point }
    }

    #[test]
    fn a_store_that_was_set_back_with_its_revisions_raised_is_found_by_its_transactions() {
        let mut known = Known::default();
        known.heard(&name("a"), Term(3), Some(counted(point(3, 90), 40)));
        // Its own first transaction is the forty-first.
        assert_eq!(known.fence(counted(own(4, 1_000_000), 41)), None);
        let fence = known.fence(counted(own(4, 1_000_000), 40)).unwrap();
        assert_eq!(
            fence.to_string(),
            "the agent of cluster a was told of 40 transactions, and the store had 39 when this hub began, so it was set back"
        );
        assert!(known.knows_more(&name("a"), counted(own(4, 1_000_000), 40)));
        // One that does not count, or did not then.
        assert_eq!(known.fence(own(4, 1_000_000)), None);
        known.forget(&name("a"));
        known.heard(&name("a"), Term(3), Some(point(3, 90)));
        assert_eq!(known.fence(counted(own(4, 1_000_000), 1)), None);
    }

    #[test]
    fn a_later_leader_is_another_hub_only_where_an_operator_has_decided_since() {
        let mut known = Known::default();
        // Leaders came and went before the store was set back.
        known.heard(&name("a"), Term(6), Some(point(6, 90)));
        assert!(matches!(known.fence(own(3, 60)), Some(Fence::SetBack { .. })));
        let taken = StorePoint {
            command_term: Term(5),
            ..point(6, 95)
        };
        known.heard(&name("a"), Term(6), Some(taken));
        // Also when leaders that were fenced have raised their own terms above it.
        for term in [3, 90] {
            let other = Fence::TakenOver {
                cluster: name("a"),
                since: Term(5),
            };
            assert_eq!(known.fence(own(term, 900)), Some(other));
            assert!(known.knows_more(&name("a"), own(term, 900)));
        }
        let decided = StorePoint {
            command_term: Term(91),
            ..own(91, 900)
        };
        assert_eq!(known.fence(decided), None);
    }

    #[test]
    fn a_process_that_led_before_knows_by_itself_that_its_store_was_set_back() {
        let mut known = Known::default();
        known.came_to(point(1, 10), counted(point(1, 90), 40));
        let began = counted(own(1, 500), 30);
        known.came_to(began, began);
        assert!(matches!(
            known.fence(began),
            Some(Fence::SetBack { cluster: None, .. })
        ));
        // Also after it has written more than was lost, as long as nobody has decided.
        known.came_to(began, counted(own(1, 900), 400));
        assert!(known.fence(began).is_some());
        let decided = StorePoint {
            incarnation: 3,
            command_term: Term(2),
            ..counted(own(3, 902), 402)
        };
        known.came_to(decided, decided);
        assert_eq!(known.fence(decided), None);
    }
}
