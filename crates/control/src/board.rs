//! The latest state of every tenant for readers of the API, and what changed since a reader last looked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use berth_model::{AcceptedGaps, ClusterName, Placement, Tenant, TenantId, Timestamp};
use berth_plan::plan::TenantStatus;
use tokio::sync::watch;

/// Deletions kept for readers that were away; a reader that was away longer starts with a new snapshot.
const TOMBSTONES: usize = 10_000;

/// A tenant with its status.
#[derive(Clone, Debug)]
pub struct TenantSnapshot {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// Where it is.
    pub placement: Option<Placement>,
    /// Walls that its cluster could not hold when it was placed there.
    pub accepted_gaps: AcceptedGaps,
    /// How it is; none until it was first looked at.
    pub status: Option<Arc<TenantStatus>>,
}

/// The latest state of every tenant. Copies are the same board.
#[derive(Clone, Debug)]
pub struct Board {
    state: Arc<Mutex<State>>,
    sequence: Arc<watch::Sender<u64>>,
    breakers: Arc<Mutex<TrippedBreakers>>,
}

/// Clusters whose mass-delete breaker is open: since when, and what is told of it.
type TrippedBreakers = BTreeMap<ClusterName, (Timestamp, String)>;

#[derive(Debug, Default)]
struct State {
    tenants: BTreeMap<TenantId, (u64, TenantSnapshot)>,
    order: BTreeMap<u64, TenantId>,
    deleted: BTreeMap<u64, TenantId>,
    sequence: u64,
    /// Deletions up to here are forgotten.
    horizon: u64,
}

/// What happened to a tenant.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is new or changed.
    Upserted(TenantSnapshot),
    /// It is gone.
    Deleted(TenantId),
}

/// What a reader missed.
#[derive(Clone, Debug)]
pub struct News {
    /// The last change of each tenant, in order and with its place in it: a reader that has read up to one goes on there.
    pub changes: Vec<(u64, Change)>,
    /// Where the reader is now.
    pub sequence: u64,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            sequence: Arc::new(watch::Sender::new(0)),
            breakers: Arc::default(),
        }
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts up which clusters' mass-delete breakers are open.
    pub fn put_breakers(&self, tripped: BTreeMap<ClusterName, (Timestamp, String)>) {
        *self.breakers.lock().unwrap_or_else(PoisonError::into_inner) = tripped;
    }

    /// Since when the cluster's mass-delete breaker is open, and what is told of it; none when it is closed.
    #[must_use]
    pub fn breaker(&self, cluster: &ClusterName) -> Option<(Timestamp, String)> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.get(cluster).cloned()
    }

    /// The clusters whose mass-delete breaker is open.
    #[must_use]
    pub fn tripped(&self) -> Vec<ClusterName> {
        let breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.keys().cloned().collect()
    }

    /// Puts the state of a tenant up. The same state again is no news.
    pub fn put(&self, snapshot: TenantSnapshot) {
        let mut guard = self.state();
        let state = &mut *guard;
        let id = snapshot.tenant.id.clone();
        if let Some((at, old)) = state.tenants.get_mut(&id) {
            let same = old.tenant.revision == snapshot.tenant.revision
                && old.placement == snapshot.placement
                && old.accepted_gaps == snapshot.accepted_gaps
                && same_news(old.status.as_deref(), snapshot.status.as_deref());
            if same {
                // A fresher time of the same evidence is for readers, not news.
                *old = snapshot;
                return;
            }
            state.order.remove(at);
        }
        state.sequence += 1;
        let at = state.sequence;
        state.order.insert(at, id.clone());
        state.tenants.insert(id, (at, snapshot));
        drop(guard);
        self.sequence.send_replace(at);
    }

    /// Takes everything down: another hub leads, and whoever read here starts with a snapshot of its.
    pub fn clear(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.tenants.clear();
        state.order.clear();
        state.deleted.clear();
        state.sequence += 1;
        state.horizon = state.sequence;
        let at = state.sequence;
        drop(guard);
        self.sequence.send_replace(at);
    }

    /// Takes a tenant down.
    pub fn remove(&self, id: &TenantId) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some((at, _)) = state.tenants.remove(id) else {
            return;
        };
        state.order.remove(&at);
        state.sequence += 1;
        let at = state.sequence;
        state.deleted.insert(at, id.clone());
        while state.deleted.len() > TOMBSTONES {
            if let Some((gone, _)) = state.deleted.pop_first() {
                state.horizon = gone;
            }
        }
        drop(guard);
        self.sequence.send_replace(at);
    }

    /// The state of one tenant.
    #[must_use]
    pub fn get(&self, id: &TenantId) -> Option<TenantSnapshot> {
        self.state().tenants.get(id).map(|(_, snapshot)| snapshot.clone())
    }

    /// All tenants in order of id, and where the reader is now.
    #[must_use]
    pub fn snapshot(&self) -> (Vec<TenantSnapshot>, u64) {
        let state = self.state();
        (
            state
                .tenants
                .values()
                .map(|(_, snapshot)| snapshot.clone())
                .collect(),
            state.sequence,
        )
    }

    /// What changed after `sequence`; none when that was too long ago to know.
    #[must_use]
    pub fn since(&self, sequence: u64) -> Option<News> {
        let state = self.state();
        if sequence < state.horizon || sequence > state.sequence {
            return None;
        }
        let upserted = state.order.range(sequence + 1..).filter_map(|(at, id)| {
            let (_, snapshot) = state.tenants.get(id)?;
            Some((*at, Change::Upserted(snapshot.clone())))
        });
        // One that went, came and went again is gone once; one that was made again under the name is there.
        let deleted: BTreeMap<&TenantId, u64> = state
            .deleted
            .range(sequence + 1..)
            .filter(|(_, id)| !state.tenants.contains_key(id))
            .map(|(at, id)| (id, *at))
            .collect();
        let deleted = deleted
            .into_iter()
            .map(|(id, at)| (at, Change::Deleted(id.clone())));
        let mut changes: Vec<(u64, Change)> = upserted.chain(deleted).collect();
        changes.sort_by_key(|(at, _)| *at);
        Some(News {
            changes,
            sequence: state.sequence,
        })
    }

    /// Follows the sequence: changes whenever there is news.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }
}

fn same_news(old: Option<&TenantStatus>, new: Option<&TenantStatus>) -> bool {
    match (old, new) {
        (None, None) => true,
        (Some(old), Some(new)) => {
            old.observed_generation == new.observed_generation
                && old.conditions == new.conditions
                && old.health == new.health
                && old.warnings == new.warnings
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{Generation, Revision, TenantSpec, TierName, Uid};

    use super::*;

    fn snapshot(id: &str, revision: u64) -> TenantSnapshot {
        TenantSnapshot {
            tenant: Arc::new(Tenant {
                id: TenantId::new(id).unwrap(),
                uid: Uid::new("u").unwrap(),
                generation: Generation(1),
                revision: Revision(revision),
                created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
                deleting_since: None,
                spec: TenantSpec::of_tier(TierName::new("free").unwrap()),
            }),
            placement: None,
            accepted_gaps: AcceptedGaps::new(),
            status: None,
        }
    }

    #[test]
    fn a_reader_sees_only_the_latest_state_of_what_changed_since() {
        let board = Board::default();
        board.put(snapshot("a", 1));
        board.put(snapshot("b", 2));
        let (all, at) = board.snapshot();
        assert_eq!(all.len(), 2);
        board.put(snapshot("a", 3));
        board.put(snapshot("a", 4));
        board.put(snapshot("b", 2));
        board.remove(&TenantId::new("b").unwrap());
        let news = board.since(at).unwrap();
        assert_eq!(shown(&news), [(4, "a@4".to_owned()), (5, "b gone".to_owned())]);
        assert!(board.since(news.sequence).unwrap().changes.is_empty());
    }

    fn shown(news: &News) -> Vec<(u64, String)> {
        let shown = |change: &Change| match change {
            Change::Upserted(snapshot) => format!("{}@{}", snapshot.tenant.id, snapshot.tenant.revision),
            Change::Deleted(id) => format!("{id} gone"),
        };
        news.changes
            .iter()
            .map(|(at, change)| (*at, shown(change)))
            .collect()
    }

    #[test]
    fn a_reader_that_stops_in_the_middle_goes_on_there() {
        let board = Board::default();
        let b = TenantId::new("b").unwrap();
        for (revision, id) in (1..).zip(["a", "b", "c"]) {
            board.put(snapshot(id, revision));
        }
        board.remove(&b);
        board.put(snapshot("b", 5));
        board.remove(&b);
        board.put(snapshot("a", 6));
        let all = shown(&board.since(0).unwrap());
        let expected = [(3, "c@3"), (6, "b gone"), (7, "a@6")];
        assert_eq!(all, expected.map(|(at, text)| (at, text.to_owned())));
        for (read, (at, _)) in all.iter().enumerate() {
            assert_eq!(shown(&board.since(*at).unwrap()), all[read + 1..]);
        }
    }

    #[test]
    fn a_token_from_the_future_starts_a_new_snapshot() {
        assert!(Board::default().since(7).is_none());
    }
}
