//! Recounts the mass-delete breakers from the view alone.

use std::collections::BTreeMap;

use berth_model::{ClusterName, TenantId};

use super::{Lint, Rule};
use crate::{Plan, plan::Step};

impl Lint<'_> {
    /// Recounts how many tenants of each cluster begin to go.
    pub(super) fn breakers(&mut self, plan: &Plan) {
        let mut going: BTreeMap<&ClusterName, Vec<&TenantId>> = BTreeMap::new();
        for step in &plan.steps {
            let Step::Withdraw { tenant, cluster, .. } = step else {
                continue;
            };
            let Some(known) = self.view.tenants.get(tenant) else {
                continue;
            };
            let released = self
                .view
                .breakers
                .get(cluster)
                .and_then(|breaker| breaker.memory.released);
            let pardoned = released.is_some_and(|released| {
                known.tenant.revision.0 <= released.revision.0
                    && known
                        .tenant
                        .deleting_since
                        .is_some_and(|since| since.as_millisecond() <= released.at.as_millisecond())
            });
            let begun = known
                .assigned
                .as_ref()
                .is_none_or(|assigned| assigned.withdrawing);
            if !pardoned && !begun {
                going.entry(cluster).or_default().push(tenant);
            }
        }
        let limits = self.view.settings.breaker;
        for (cluster, tenants) in going {
            let memory = self.view.breakers.get(cluster).map(|breaker| &breaker.memory);
            let window = i64::try_from(limits.window.as_millis()).unwrap_or(i64::MAX);
            let mut went: u64 = 0;
            for gone in memory.iter().flat_map(|memory| &memory.gone) {
                let age = self
                    .view
                    .now
                    .as_millisecond()
                    .saturating_sub(gone.at.as_millisecond());
                if age < window {
                    went = went.saturating_add(u64::from(gone.tenants));
                }
            }
            let stays = self.view.tenants.values().filter(|known| {
                known
                    .assigned
                    .as_ref()
                    .is_some_and(|a| a.cluster == *cluster && !(a.withdrawing || a.withdrawn))
            });
            let held = went.saturating_add(stays.count() as u64);
            let most = u64::from(limits.tenants).max(held.saturating_mul(u64::from(limits.percent)) / 100);
            let tripped = memory.is_some_and(|memory| memory.tripped.is_some());
            let left = if tripped { 0 } else { most.saturating_sub(went) };
            for tenant in tenants.iter().skip(usize::try_from(left).unwrap_or(usize::MAX)) {
                self.find(
                    tenant,
                    Rule::Breaker,
                    format!(
                        "would go from cluster {cluster} although no more than {left} of its tenants may now"
                    ),
                );
            }
        }
    }
}
