//! Judging tenants' health whenever something of them changed.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use berth_model::{Health, HealthState, TenantId, report::ApplyState};

use super::core::Core;
use crate::{
    health::{Verdict, summarize},
    object::Look,
    plan::{Drift, judge},
};

/// Changes come in bursts; one judgement serves for all of one.
const BURST: Duration = Duration::from_millis(20);

/// Judges for ever.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        core.dirty_news.notified().await;
        core.clock.sleep(BURST).await;
        let dirty = std::mem::take(&mut *core.dirty.lock().unwrap_or_else(PoisonError::into_inner));
        for tenant in dirty {
            if core.judge(&tenant) {
                core.tell(&tenant);
            }
        }
    }
}

impl Core {
    /// Judges one tenant; says whether its health changed.
    fn judge(&self, tenant: &TenantId) -> bool {
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(tenant) else {
            return false;
        };
        let health = self.health_of(slot);
        let changed = slot.health != health;
        slot.health = health;
        changed
    }

    fn health_of(&self, slot: &super::slot::Slot) -> Health {
        if !self.world.has_looked_at(slot.kinds()) {
            return Health::new(
                HealthState::Unknown,
                "the first look at the cluster is not complete",
            );
        }
        if let Some(kind) = self.world.lost(&slot.kinds()) {
            let message = format!("{} objects cannot be looked at now", kind.name());
            return Health::new(HealthState::Unknown, message);
        }
        let namespaces = slot.namespaces();
        let homes: BTreeSet<&str> = namespaces.iter().map(|(object, _)| object.name()).collect();
        let mut objects = self.world.judged(&homes, |object, seen| {
            // Without a verdict it is well; such objects matter only for telling whether anything runs.
            Some((
                object.clone(),
                seen.verdict.as_deref().cloned().unwrap_or_default(),
            ))
        });
        objects.extend(
            slot.own
                .iter()
                .filter(|(_, own)| own.wanted)
                .filter_map(|(object, own)| {
                    let drift = own
                        .applied
                        .map(|applied| judge(applied, self.world.sight(object)));
                    let told = match drift {
                        Some(Drift::Deleted) => "is missing",
                        Some(Drift::Pending) if object.kind().look() != Look::Metadata => "was not seen yet",
                        _ => return None,
                    };
                    Some((
                        object.clone(),
                        Verdict {
                            state: HealthState::Progressing,
                            message: told.to_owned(),
                        },
                    ))
                }),
        );
        let health = summarize(objects);
        match &slot.apply {
            ApplyState::Applying { waiting_for } if health.state < HealthState::Progressing => Health::new(
                HealthState::Progressing,
                format!("is being applied, waiting for {waiting_for}"),
            ),
            _ => health,
        }
    }
}
