//! Which tenants a change concerns.

use std::collections::BTreeSet;

use berth_model::{
    BundleName, BundleRef, BundleVersion, ClusterName, OrganisationName, TenantId, TenantSpec, TierName,
};

use crate::{gate, view::View};

/// Which tenants are planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// These.
    Tenants(BTreeSet<TenantId>),
}

impl Scope {
    /// Whether it has nobody in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Tenants(tenants) if tenants.is_empty())
    }
}

/// What changed since the last plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Tenants that are new or gone, or of which something changed: record, placement, assignment, infrastructure, report.
    pub tenants: BTreeSet<TenantId>,
    /// Clusters that are new or gone, or of which something changed: record, facts, session.
    pub clusters: BTreeSet<ClusterName>,
    /// Tiers that are new or gone or changed.
    pub tiers: BTreeSet<TierName>,
    /// Organisations that are new or gone or changed.
    pub organisations: BTreeSet<OrganisationName>,
    /// Bundle versions that are new or gone.
    pub bundles: BTreeSet<(BundleName, BundleVersion)>,
    /// Clusters whose mass-delete breaker counted, tripped or was released.
    pub breakers: BTreeSet<ClusterName>,
    /// Somebody took room or gave it back.
    pub room: bool,
    /// The settings changed.
    pub settings: bool,
}

impl Changes {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
            && self.clusters.is_empty()
            && self.tiers.is_empty()
            && self.organisations.is_empty()
            && self.bundles.is_empty()
            && self.breakers.is_empty()
            && !self.room
            && !self.settings
    }

    /// Takes what `other` has.
    pub fn merge(&mut self, mut other: Self) {
        self.tenants.append(&mut other.tenants);
        self.clusters.append(&mut other.clusters);
        self.tiers.append(&mut other.tiers);
        self.organisations.append(&mut other.organisations);
        self.bundles.append(&mut other.bundles);
        self.breakers.append(&mut other.breakers);
        self.room |= other.room;
        self.settings |= other.settings;
    }
}

/// Whether one of the bundles of a tenant or of its tier is such.
fn uses(view: &View, spec: &TenantSpec, such: impl Fn(&BundleRef) -> bool) -> bool {
    let of_tier = view.tiers.get(&spec.tier).into_iter();
    of_tier
        .flat_map(|tier| &tier.spec.bundles)
        .chain(&spec.bundles)
        .any(such)
}

/// Everybody whom `changes` concern: planning them gives what planning everybody gives.
///
/// Tenants without a place compete for the same room and for what their organisations may hold, so they are all in or all out: in when
/// a cluster, a tier, an organisation or somebody's claim on room changed.
#[must_use]
pub fn closure(view: &View, changes: &Changes) -> Scope {
    if changes.settings {
        return Scope::All;
    }
    let mut scope: BTreeSet<TenantId> = BTreeSet::new();
    let mut room = changes.room
        || !changes.clusters.is_empty()
        || !changes.tiers.is_empty()
        || !changes.organisations.is_empty();
    // Tenants of one cluster that are to go compete for how many may.
    let mut breakers: BTreeSet<&ClusterName> = changes.breakers.iter().collect();
    for id in &changes.tenants {
        let Some(known) = view.tenants.get(id) else {
            room = true;
            continue;
        };
        // One that is being deleted may have been in line until now.
        room |= known.tenant.deleting_since.is_some() || view.index.contenders.contains(id);
        breakers.extend(gate::leaves(known));
        scope.insert(id.clone());
    }
    for cluster in breakers {
        let waiting = view.waiting_to_go(cluster);
        scope.extend(waiting.map(|known| known.tenant.id.clone()));
    }
    for cluster in &changes.clusters {
        scope.extend(view.placed_on(cluster).cloned());
    }
    if !changes.tiers.is_empty() || !changes.bundles.is_empty() {
        // Rare, and the only scan of everybody here.
        let concerned = view.tenants.iter().filter(|(_, known)| {
            let spec = &known.tenant.spec;
            changes.tiers.contains(&spec.tier)
                || uses(view, spec, |used| {
                    changes
                        .bundles
                        .contains(&(used.name.clone(), used.version.clone()))
                })
        });
        for (id, _) in concerned {
            room |= view.index.contenders.contains(id);
            scope.insert(id.clone());
        }
    }
    if room {
        scope.extend(view.index.contenders.iter().cloned());
    }
    Scope::Tenants(scope)
}
