//! What there is in clusters that a store was made to forget by putting it back: it stays there, and may stand in somebody's way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use berth_control::keys;
use berth_model::TenantId;
use berth_store::{Entry, MemoryStore, snapshot};
use berth_wire::record;

use crate::world::World;

/// What was forgotten in this run. Copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Forgotten(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Clusters with the uids of tenants that the store does not have there.
    strays: BTreeSet<(String, String)>,
    /// Tenants that were gone, or on their way out.
    gone: BTreeMap<TenantId, String>,
}

impl Forgotten {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the store that was there, and what is in clusters, with what is in the store now.
    pub(super) async fn learn(
        &self,
        world: &World,
        before: &MemoryStore,
        now: &[Entry],
    ) -> anyhow::Result<()> {
        let (_, before) = snapshot::contents(before).await?;
        let mut there = places(&before);
        for (name, site) in world.sites() {
            let uids = site.member.tenants().await?.into_values();
            there.extend(uids.map(|uid| (name.to_string(), uid)));
        }
        let here = places(now);
        let (lived, live) = (alive(&before), alive(now));
        let mut state = self.state();
        state.strays.extend(there.difference(&here).cloned());
        state.gone = live;
        state.gone.retain(|id, uid| lived.get(id) != Some(uid));
        Ok(())
    }

    /// Whether the tenant with that uid may be in that cluster although the store does not have it there.
    #[must_use]
    pub fn strays(&self, cluster: &str, uid: &str) -> bool {
        self.state()
            .strays
            .contains(&(cluster.to_owned(), uid.to_owned()))
    }

    /// Tenants that the store has although they were gone, or on their way out.
    #[must_use]
    pub fn came_back(&self) -> Vec<(TenantId, String)> {
        self.state().gone.clone().into_iter().collect()
    }

    /// Somebody has seen to it.
    pub(super) fn seen_to(&self, id: &TenantId) {
        self.state().gone.remove(id);
    }
}

/// Where which tenant is assigned.
fn places(entries: &[Entry]) -> BTreeSet<(String, String)> {
    entries
        .iter()
        .filter(|entry| entry.key.as_str().starts_with(keys::ASSIGNMENTS))
        .filter_map(|entry| record::decode_assignment(&entry.value).ok())
        .filter(|assigned| !assigned.withdrawn)
        .map(|assigned| (assigned.cluster.to_string(), assigned.tenant_uid.to_string()))
        .collect()
}

/// Tenants that nobody wants gone, with their uids.
fn alive(entries: &[Entry]) -> BTreeMap<TenantId, String> {
    entries
        .iter()
        .filter(|entry| entry.key.as_str().starts_with(keys::TENANTS))
        .filter_map(|entry| record::decode_tenant(&entry.value, entry.revision).ok())
        .filter(|record| record.tenant.deleting_since.is_none())
        .map(|record| (record.tenant.id.clone(), record.tenant.uid.to_string()))
        .collect()
}
