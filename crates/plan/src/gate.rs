//! How many tenants of a cluster may go: its mass-delete breaker. Tenants of one cluster compete for what may go, so it is decided
//! for all of them together, before each tenant's own steps.
//!
//! Whoever asked for the deletions does not matter: a script, a person, a store that was restored wrongly.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_model::{ClusterName, TenantId, Timestamp, breaker::Tripped};

use crate::{
    Scope,
    view::{TenantView, View},
};

/// When a breaker trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// That many tenants of a cluster may always go within the window.
    pub tenants: u32,
    /// That share of the cluster's tenants may go within the window, in percent, when it is more.
    pub percent: u32,
    /// The window.
    pub window: Duration,
}

impl Default for BreakerSettings {
    /// max(3, 10 %) within 10 minutes.
    fn default() -> Self {
        Self {
            tenants: 3,
            percent: 10,
            window: Duration::from_secs(600),
        }
    }
}

impl BreakerSettings {
    /// The moment before which what went does not count any more at `now`.
    #[must_use]
    pub fn oldest(&self, now: Timestamp) -> Timestamp {
        let window = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(now.as_millisecond().saturating_sub(window)).unwrap_or(Timestamp::MIN)
    }
}

/// Whether a tenant may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// An operator has confirmed it.
    Confirmed,
    /// It is counted.
    Counted,
    /// It is the first one too many: that is to be remembered.
    Trips(Tripped),
    /// Nothing goes until an operator has confirmed it.
    Stopped(Tripped),
}

impl View {
    /// Whether an operator has confirmed that this tenant goes: its deletion was asked for before its cluster's breaker was last
    /// released.
    #[must_use]
    pub fn confirmed(&self, known: &TenantView) -> bool {
        let released = known
            .assigned
            .as_ref()
            .and_then(|assigned| self.breakers.get(&assigned.cluster)?.memory.released);
        let Some(released) = released else { return false };
        known
            .tenant
            .deleting_since
            .is_some_and(|since| since <= released.at)
            && known.tenant.revision <= released.revision
    }

    /// The tenants of `cluster` that are to go and were not told to yet.
    pub(crate) fn waiting_to_go<'a>(
        &'a self,
        cluster: &'a ClusterName,
    ) -> impl Iterator<Item = &'a TenantView> {
        let deleting = self.index.deleting.iter();
        deleting
            .filter_map(|id| self.tenants.get(id))
            .filter(move |known| leaves(known) == Some(cluster))
    }
}

/// The cluster that the tenant is to be taken away from, when that was not begun yet.
pub(crate) fn leaves(known: &TenantView) -> Option<&ClusterName> {
    let assigned = known
        .assigned
        .as_ref()
        .filter(|assigned| !assigned.withdrawing && !assigned.withdrawn)?;
    known.tenant.deleting_since.and(Some(&assigned.cluster))
}

/// Who of `scope` may go. Decided among all of their clusters' tenants that are to go, in the order in which it was asked for.
pub(crate) fn decide(view: &View, scope: &Scope) -> BTreeMap<TenantId, Pass> {
    let asked: BTreeSet<&ClusterName> = match scope {
        Scope::All => view
            .index
            .deleting
            .iter()
            .filter_map(|id| leaves(view.tenants.get(id)?))
            .collect(),
        Scope::Tenants(ids) => ids
            .iter()
            .filter(|id| view.index.deleting.contains(*id))
            .filter_map(|id| leaves(view.tenants.get(id)?))
            .collect(),
    };
    let mut passes = BTreeMap::new();
    for cluster in asked {
        of_cluster(view, cluster, &mut passes);
    }
    passes
}

fn of_cluster(view: &View, cluster: &ClusterName, passes: &mut BTreeMap<TenantId, Pass>) {
    let mut waiting: Vec<&TenantView> = view
        .waiting_to_go(cluster)
        // The lint stopped it: it does not go, and so does not count.
        .filter(|known| known.stalled.is_none())
        .collect();
    waiting.sort_by_key(|known| (known.tenant.deleting_since, &known.tenant.id));
    let memory = view.breakers.get(cluster).map(|known| &known.memory);
    let limits = &view.settings.breaker;
    let oldest = limits.oldest(view.now);
    // What the memory says went later than now went by a clock that was set back since: it counts.
    let mut went = memory.map_or(0, |memory| {
        let lately = memory.gone.iter().filter(|gone| gone.at > oldest);
        lately.fold(0_u32, |sum, gone| sum.saturating_add(gone.tenants))
    });
    let there = view
        .placed_on(cluster)
        .filter_map(|id| view.tenants.get(id)?.assigned.as_ref())
        .filter(|assigned| assigned.cluster == *cluster && !assigned.withdrawing && !assigned.withdrawn)
        .count();
    // The share is of what the cluster held when the window began, so that it does not shrink with everyone who goes.
    let held = u32::try_from(there).unwrap_or(u32::MAX).saturating_add(went);
    let share = u64::from(held) * u64::from(limits.percent) / 100;
    let allowed = limits.tenants.max(u32::try_from(share).unwrap_or(u32::MAX));
    let mut tripped = memory.and_then(|memory| memory.tripped);
    for known in waiting {
        let pass = if view.confirmed(known) {
            Pass::Confirmed
        } else if let Some(tripped) = tripped {
            Pass::Stopped(tripped)
        } else if went < allowed {
            went += 1;
            Pass::Counted
        } else {
            let trips = Tripped {
                at: view.now,
                went,
                allowed,
                held,
            };
            tripped = Some(trips);
            Pass::Trips(trips)
        };
        passes.insert(known.tenant.id.clone(), pass);
    }
}

/// What is told of a tripped breaker.
#[must_use]
pub fn told(cluster: &ClusterName, tripped: &Tripped, settings: &BreakerSettings) -> String {
    format!(
        "{} of {} tenants of cluster {cluster} went within {} minutes, and no more than {} may (max({}, {} %)): the rest stays \
         until an operator confirms that it is meant with berth release-breaker {cluster}",
        tripped.went,
        tripped.held,
        settings.window.as_secs() / 60,
        tripped.allowed,
        settings.tenants,
        settings.percent,
    )
}
