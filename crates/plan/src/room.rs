//! How much room there is while one plan is made: the view's reservations and what this plan has decided so far.

use std::{cell::OnceCell, collections::BTreeMap};

use berth_model::{
    ClusterName, ClusterPurpose, Isolation, OrganisationName, Tenant, TenantId, TierSpec,
    tenant::PlacementConstraints,
};

use crate::{
    owners::Books,
    place::{Place, Refusal, Site},
    view::{Placed, Reserved, TenantView, View},
};

/// The room, counted down as the plan decides.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    pub(crate) view: &'a View,
    /// The shared clusters, by name.
    pub(crate) sites: Vec<Site<'a>>,
    made: BTreeMap<String, u32>,
    refused: Vec<(Ask<'a>, Refusal)>,
    /// Of the organisations that were asked for so far.
    books: BTreeMap<OrganisationName, Books<'a>>,
    /// Tenants whose place is open and that an agent holds all the same, with the first such cluster; counted when first asked for.
    held: OnceCell<BTreeMap<&'a TenantId, usize>>,
}

/// What decides where a tenant fits, its name apart: who asks the same after a refusal is refused the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask<'a> {
    pub(crate) isolation: Isolation,
    pub(crate) constraints: &'a PlacementConstraints,
    pub(crate) capacity: berth_model::Capacity,
    pub(crate) namespaces: u32,
    /// The name of the pool to be made; empty where none is.
    pub(crate) pool: String,
}

/// Refusals remembered while one plan is made.
const MOST_REFUSALS: usize = 64;

impl<'a> Room<'a> {
    pub(crate) fn new(view: &'a View) -> Self {
        let sites = view
            .clusters
            .values()
            .filter(|known| known.cluster.purpose == ClusterPurpose::Shared)
            .map(|known| Site::new(known, &view.settings, view.now))
            .collect();
        Self {
            view,
            sites,
            made: BTreeMap::new(),
            refused: Vec::new(),
            books: BTreeMap::new(),
            held: OnceCell::new(),
        }
    }

    /// The shared cluster whose agent holds this very tenant, whose place is open.
    pub(crate) fn holder(&self, tenant: &TenantId) -> Option<&Site<'a>> {
        let held = self.held.get_or_init(|| {
            let mut found = BTreeMap::new();
            for (at, site) in self.sites.iter().enumerate() {
                for (id, (uid, ..)) in site.held.into_iter().flatten() {
                    let open = self.view.index.contenders.contains(id);
                    if open
                        && self
                            .view
                            .tenants
                            .get(id)
                            .is_some_and(|known| known.tenant.uid == *uid)
                    {
                        found.entry(id).or_insert(at);
                    }
                }
            }
            found
        });
        held.get(tenant).map(|at| &self.sites[*at])
    }

    /// Counts a tenant without a place in its organisation, behind those that have one and those that came before it. Who has a
    /// place keeps it, whatever the sums are.
    pub(crate) fn own(&mut self, known: &'a TenantView, tier: &TierSpec) -> Result<(), Refusal> {
        let spec = &known.tenant.spec;
        let view = self.view;
        if spec.owner.organisation.is_empty() {
            return Ok(());
        }
        let Some((name, organisation)) = OrganisationName::new(&*spec.owner.organisation)
            .ok()
            .and_then(|name| view.organisations.get_key_value(&name))
        else {
            return Ok(());
        };
        let books = self.books.entry(name.clone()).or_insert_with(|| {
            let mut books = Books::new(name.as_str(), &organisation.spec);
            let there = view.index.by_organisation.get(name.as_str());
            for (id, known) in there
                .into_iter()
                .flatten()
                .filter_map(|id| view.tenants.get_key_value(id))
                .filter(|(_, known)| known.placed.is_some())
            {
                let tier = view.tiers.get(&known.tenant.spec.tier);
                books.add(id.as_str(), &known.tenant.spec, tier.map(|tier| &tier.spec));
            }
            books
        });
        let id = known.tenant.id.as_str();
        books
            .try_add(id, spec, Some(tier))
            .map_err(|over| Refusal::stuck("OwnerQuotaExceeded", over.join("; ")))
    }

    pub(crate) fn site(&self, name: &ClusterName) -> Option<&Site<'a>> {
        self.position(name).map(|at| &self.sites[at])
    }

    /// An operator has let a hub take command of a store that had forgotten something since the tenant was there: where it is is
    /// known when every shared cluster of then has said whom it holds.
    pub(crate) fn may_be_elsewhere(&self, tenant: &Tenant) -> Option<Refusal> {
        let commanded_at = self.view.commanded_at?;
        if tenant.created_at > commanded_at {
            return None;
        }
        let of_then = |site: &&Site<'_>| site.cluster.joined_at.is_some_and(|at| at <= commanded_at);
        let silent: Vec<&str> = self
            .sites
            .iter()
            .filter(of_then)
            .filter(|site| site.held.is_none() && site.cluster.revoked.is_none())
            .map(|site| site.cluster.name.as_str())
            .collect();
        if silent.is_empty() {
            return None;
        }
        let message = format!(
            "the store was put back, and may have forgotten that it is in a cluster whose agent is away: {}; bring the agent back, or \
             revoke or delete the cluster",
            silent.join(", ")
        );
        Some(Refusal::waiting("WaitingForClusters", message))
    }

    fn position(&self, name: &ClusterName) -> Option<usize> {
        self.sites
            .binary_search_by(|site| site.cluster.name.cmp(name))
            .ok()
    }

    /// Counts a decision. What a tenant gives back is there for others only when that is saved.
    pub(crate) fn take(&mut self, old: Option<&Placed>, place: &Place) {
        if let berth_model::Placement::Cluster { .. } = &place.placement {
            if old.is_none() {
                *self.made.entry(place.region.clone()).or_default() += 1;
            }
            return;
        }
        let Some(at) = self.position(place.placement.cluster()) else {
            return;
        };
        let held = old.map(|old| old.reserved).unwrap_or_default();
        let more = Reserved {
            capacity: place.reserved.minus(held),
            namespaces: place
                .namespaces
                .saturating_sub(old.map_or(0, |old| old.namespaces)),
            pools: u32::from(old.is_none() && place.placement.pool().is_some()),
            tenants: u32::from(old.is_none()),
        };
        let reserved = &mut self.sites[at].reserved;
        *reserved = Reserved {
            capacity: reserved.capacity.plus(more.capacity),
            namespaces: reserved.namespaces.saturating_add(more.namespaces),
            pools: reserved.pools.saturating_add(more.pools),
            tenants: reserved.tenants.saturating_add(more.tenants),
        };
    }

    /// Leaves out what a tenant has reserved, to ask as if it came now.
    pub(crate) fn give_back(&mut self, placed: &Placed) {
        if let Some(at) = self.position(placed.placement.cluster()) {
            self.sites[at].reserved = self.sites[at].reserved.without(placed);
        }
    }

    /// Clusters made in `region`, this plan's own included.
    pub(crate) fn made_in(&self, region: &str) -> u32 {
        let there = self
            .view
            .index
            .made_by_region
            .get(region)
            .copied()
            .unwrap_or_default();
        there.saturating_add(self.made.get(region).copied().unwrap_or_default())
    }

    /// What the same ask was refused with earlier in this plan. Room only shrinks meanwhile.
    pub(crate) fn refused(&self, ask: &Ask<'_>) -> Option<&Refusal> {
        self.refused
            .iter()
            .find(|(before, _)| before == ask)
            .map(|(_, refusal)| refusal)
    }

    pub(crate) fn note_refusal(&mut self, ask: Ask<'a>, refusal: Refusal) {
        if self.refused.len() < MOST_REFUSALS {
            self.refused.push((ask, refusal));
        }
    }
}
