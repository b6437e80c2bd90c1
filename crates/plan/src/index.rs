//! What is counted from the view: reservations, who is where, who waits for room. Kept by the methods that change the view, and
//! equal to what [`View::rebuild`] counts from scratch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use berth_model::{Cluster, ClusterName, ClusterPurpose, TenantId};

use crate::view::{ClusterView, Placed, Reserved, TenantView, View};

/// What is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// By cluster, also by ones that are not in the fleet (any more).
    pub(crate) reserved: BTreeMap<ClusterName, Reserved>,
    /// Tenants by the cluster they are placed on.
    pub(crate) by_cluster: BTreeMap<ClusterName, BTreeSet<TenantId>>,
    /// Tenants that need a decision about their place: without one, or changed since.
    pub(crate) contenders: BTreeSet<TenantId>,
    /// Tenants that are being deleted.
    pub(crate) deleting: BTreeSet<TenantId>,
    /// Clusters made for tenants, by region.
    pub(crate) made_by_region: BTreeMap<String, u32>,
    /// Tenants by the organisation that their owner names, whether there is one of that name or not.
    pub(crate) by_organisation: BTreeMap<String, BTreeSet<TenantId>>,
    /// The organisation under which each of them is there.
    organisation_of: BTreeMap<TenantId, String>,
}

impl View {
    /// Puts a tenant in, in place of what was known of it.
    pub fn set_tenant(&mut self, tenant: TenantView) {
        let id = tenant.tenant.id.clone();
        self.uncount(&id);
        self.tenants.insert(id.clone(), tenant);
        self.count(&id);
    }

    /// Takes a tenant out.
    pub fn remove_tenant(&mut self, id: &TenantId) {
        self.uncount(id);
        self.tenants.remove(id);
        self.index.contenders.remove(id);
        self.index.deleting.remove(id);
        self.owned(id, "");
    }

    /// Says where a tenant was decided to be, and gives whether there is more or less room for others now ([`Changes::room`]). Nothing
    /// happens for a tenant that is not in the view.
    ///
    /// [`Changes::room`]: crate::Changes::room
    #[must_use]
    pub fn set_placed(&mut self, id: &TenantId, placed: Option<Placed>) -> bool {
        self.uncount(id);
        let Some(known) = self.tenants.get_mut(id) else {
            return false;
        };
        let room = |placed: &Placed| (placed.placement.clone(), placed.reserved, placed.namespaces);
        let moved = known.placed.as_ref().map(room) != placed.as_ref().map(room);
        known.placed = placed;
        self.count(id);
        moved
    }

    /// To be called after the record of a tenant (`tenant`) was changed in place.
    pub fn retouch(&mut self, id: &TenantId) {
        let deleting = |known: &TenantView| known.tenant.deleting_since.is_some();
        if self.tenants.get(id).is_some_and(deleting) {
            self.index.deleting.insert(id.clone());
        } else {
            self.index.deleting.remove(id);
        }
        let organisation = self
            .tenants
            .get(id)
            .map(|known| known.tenant.spec.owner.organisation.clone())
            .unwrap_or_default();
        self.owned(id, &organisation);
        let waits = self.tenants.get(id).is_some_and(waits_for_a_decision);
        if waits {
            self.index.contenders.insert(id.clone());
        } else {
            self.index.contenders.remove(id);
        }
    }

    /// Puts a cluster in or changes its record. Session and evidence of one that is there stay.
    pub fn set_cluster(&mut self, cluster: Arc<Cluster>) {
        let name = cluster.name.clone();
        let reserved = self.index.reserved.get(&name).copied().unwrap_or_default();
        match self.clusters.get_mut(&name) {
            Some(known) => {
                let old = std::mem::replace(&mut known.cluster, cluster.clone());
                known.reserved = reserved;
                self.count_made(&old, false);
            }
            None => {
                let fresh = ClusterView {
                    cluster: cluster.clone(),
                    session: None,
                    evidence_at: None,
                    reserved,
                };
                self.clusters.insert(name, fresh);
            }
        }
        self.count_made(&cluster, true);
    }

    /// Takes a cluster out.
    pub fn remove_cluster(&mut self, name: &ClusterName) {
        if let Some(known) = self.clusters.remove(name) {
            self.count_made(&known.cluster, false);
        }
    }

    /// Counts everything from scratch.
    pub fn rebuild(&mut self) {
        self.index = Index::default();
        let ids: Vec<TenantId> = self.tenants.keys().cloned().collect();
        for id in &ids {
            self.count(id);
        }
        let clusters: Vec<Arc<Cluster>> = self
            .clusters
            .values()
            .map(|known| known.cluster.clone())
            .collect();
        for cluster in clusters {
            self.count_made(&cluster, true);
            if let Some(known) = self.clusters.get_mut(&cluster.name) {
                known.reserved = self
                    .index
                    .reserved
                    .get(&cluster.name)
                    .copied()
                    .unwrap_or_default();
            }
        }
    }

    /// Notes to which organisation a tenant belongs; to none when it is empty.
    fn owned(&mut self, id: &TenantId, organisation: &str) {
        let index = &mut self.index;
        if index.organisation_of.get(id).map_or("", String::as_str) == organisation {
            return;
        }
        if let Some(old) = index.organisation_of.remove(id)
            && let Some(there) = index.by_organisation.get_mut(&old)
        {
            there.remove(id);
            if there.is_empty() {
                index.by_organisation.remove(&old);
            }
        }
        if !organisation.is_empty() {
            let there = index.by_organisation.entry(organisation.to_owned()).or_default();
            there.insert(id.clone());
            index.organisation_of.insert(id.clone(), organisation.to_owned());
        }
    }

    /// Tenants placed on `cluster`.
    pub fn placed_on(&self, cluster: &ClusterName) -> impl Iterator<Item = &TenantId> {
        self.index.by_cluster.get(cluster).into_iter().flatten()
    }

    fn count(&mut self, id: &TenantId) {
        self.retouch(id);
        let Some(placed) = self.tenants.get(id).and_then(|known| known.placed.as_ref()) else {
            return;
        };
        let cluster = placed.placement.cluster().clone();
        let held = self.index.reserved.entry(cluster.clone()).or_default();
        *held = held.with(placed);
        let held = *held;
        self.index
            .by_cluster
            .entry(cluster.clone())
            .or_default()
            .insert(id.clone());
        if let Some(known) = self.clusters.get_mut(&cluster) {
            known.reserved = held;
        }
    }

    fn uncount(&mut self, id: &TenantId) {
        let Some(placed) = self.tenants.get(id).and_then(|known| known.placed.as_ref()) else {
            return;
        };
        let cluster = placed.placement.cluster().clone();
        let held = self
            .index
            .reserved
            .get(&cluster)
            .copied()
            .unwrap_or_default()
            .without(placed);
        if held == Reserved::default() {
            self.index.reserved.remove(&cluster);
        } else {
            self.index.reserved.insert(cluster.clone(), held);
        }
        if let Some(here) = self.index.by_cluster.get_mut(&cluster) {
            here.remove(id);
            if here.is_empty() {
                self.index.by_cluster.remove(&cluster);
            }
        }
        if let Some(known) = self.clusters.get_mut(&cluster) {
            known.reserved = held;
        }
    }

    fn count_made(&mut self, cluster: &Cluster, add: bool) {
        if !matches!(cluster.purpose, ClusterPurpose::Dedicated { .. }) {
            return;
        }
        // As written: what an agent reports must not move a count.
        let region = &*cluster.region;
        let count = self.index.made_by_region.get(region).copied().unwrap_or_default();
        let count = if add {
            count.saturating_add(1)
        } else {
            count.saturating_sub(1)
        };
        if count == 0 {
            self.index.made_by_region.remove(region);
        } else {
            self.index.made_by_region.insert(region.to_owned(), count);
        }
    }
}

impl Reserved {
    /// This and what `placed` reserves.
    #[must_use]
    pub fn with(self, placed: &Placed) -> Self {
        Self {
            capacity: self.capacity.plus(placed.reserved),
            namespaces: self.namespaces.saturating_add(placed.namespaces),
            pools: self
                .pools
                .saturating_add(u32::from(placed.placement.pool().is_some())),
            tenants: self.tenants.saturating_add(1),
        }
    }

    /// This without what `placed` reserves.
    #[must_use]
    pub fn without(self, placed: &Placed) -> Self {
        Self {
            capacity: self.capacity.minus(placed.reserved),
            namespaces: self.namespaces.saturating_sub(placed.namespaces),
            pools: self
                .pools
                .saturating_sub(u32::from(placed.placement.pool().is_some())),
            tenants: self.tenants.saturating_sub(1),
        }
    }
}

/// Whether a decision about the tenant's place is open.
pub(crate) fn waits_for_a_decision(known: &TenantView) -> bool {
    known.tenant.deleting_since.is_none()
        && known
            .placed
            .as_ref()
            .is_none_or(|placed| placed.generation != known.tenant.generation)
}

/// The region of a cluster: as written, else as reported.
pub(crate) fn region_of(cluster: &Cluster) -> &str {
    match (&*cluster.region, &cluster.facts) {
        ("", Some(facts)) => &facts.region,
        (written, _) => written,
    }
}
