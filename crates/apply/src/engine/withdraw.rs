//! Withdrawing a tenant: the breaker, the ledger, its namespaces, and the ledger again.

use berth_model::{
    Digest, Generation, Health, HealthState, TenantId, TenantReport, Uid, label, report::ApplyState,
};
use berth_runtime::retry::{Backoff, Policy};
use futures::future::try_join_all;
use serde::Deserialize;

use super::{core::Core, slot::Ticket};
use crate::{
    error::ApplyError,
    ledger::Stage,
    object::{Kind, ObjectRef},
    request::{Meta, RequestError},
};

impl Core {
    pub(super) async fn withdraw_whole(&self, ticket: &Ticket) -> Result<(), ApplyError> {
        self.pass_breaker(ticket).await?;
        self.remember(ticket, Stage::Withdrawing).await?;
        let namespaces = self.with(ticket, |slot| slot.namespaces())?;
        let names: Vec<String> = namespaces.iter().map(|(object, _)| object.to_string()).collect();
        let waiting_for = format!("{} to be gone", names.join(", "));
        self.set_apply(ticket, ApplyState::Withdrawing { waiting_for })?;
        let mut ending = Vec::with_capacity(namespaces.len());
        for (object, _) in &namespaces {
            ending.push(self.end_namespace(ticket, object));
        }
        try_join_all(ending).await?;
        let term = self.state().highest;
        let forgotten = self.options.ledger.forget(&ticket.tenant, term).await;
        forgotten.map_err(|source| ApplyError::Ledger {
            operation: "write",
            source,
        })?;
        self.set_apply(ticket, ApplyState::Withdrawn)?;
        {
            let mut state = self.state();
            if state
                .slots
                .get(&ticket.tenant)
                .is_some_and(|slot| slot.serial == ticket.serial)
            {
                state.slots.remove(&ticket.tenant);
            }
        }
        self.world.forget(&ticket.tenant);
        Ok(())
    }

    async fn end_namespace(&self, ticket: &Ticket, object: &ObjectRef) -> Result<(), ApplyError> {
        match self.delete_own(ticket, object).await? {
            Some(uid) => self.wait_gone(ticket, object, &uid, None).await,
            None => Ok(()),
        }
    }

    /// Returns once this tenant may go, and that is remembered.
    async fn pass_breaker(&self, ticket: &Ticket) -> Result<(), ApplyError> {
        let mut released = self.released.listen();
        let mut stir = self.stir(ticket)?;
        loop {
            released.catch_up();
            let (free, held) = {
                let state = self.state();
                let slot = state.slots.get(&ticket.tenant);
                (
                    slot.is_some_and(|slot| slot.admitted || slot.confirmed),
                    state.slots.values().filter(|slot| !slot.admitted).count(),
                )
            };
            let admitted = free || {
                let admitted = self.breaker().admit(&ticket.uid, self.moment(), held);
                self.keep_breaker().await?;
                admitted
            };
            if admitted {
                return self.with(ticket, |slot| slot.admitted = true);
            }
            tracing::error!(tenant = %ticket.tenant, "the breaker stopped a withdrawal: too many tenants would go at once");
            let limits = self.options.breaker;
            let message = format!(
                "more than max({}, {} %) of the cluster's tenants would go within {} minutes; an operator has to confirm it (berth release-breaker)",
                limits.tenants,
                limits.percent,
                limits.window.as_secs() / 60
            );
            self.set_apply(
                ticket,
                ApplyState::WithdrawFailed {
                    reason: "BreakerOpen".to_owned(),
                    message,
                },
            )?;
            while !released.rang() {
                tokio::select! {
                    biased;
                    () = released.hear() => break,
                    () = stir.hear() => self.check_current(ticket)?,
                }
            }
        }
    }

    /// Writes down what the breaker must remember, unless it is written down.
    async fn keep_breaker(&self) -> Result<(), ApplyError> {
        let mut kept = self.breaker_kept.lock().await;
        let memory = self.breaker().memory();
        if *kept != memory {
            let written = self.options.ledger.keep_breaker(&memory).await;
            written.map_err(|source| ApplyError::Ledger {
                operation: "write",
                source,
            })?;
            *kept = memory;
        }
        Ok(())
    }

    /// An operator confirms every withdrawal that waits; counting starts anew. Remembered as soon as the ledger can be written:
    /// an agent that ends before that has to be released again.
    pub(super) fn release_breaker(&self) {
        {
            let mut state = self.state();
            for slot in state.slots.values_mut().filter(|slot| slot.withdrawing) {
                slot.confirmed = true;
            }
        }
        self.breaker().release(self.moment());
        self.released.ring();
        self.spawn(|core| async move {
            let mut backoff = Backoff::new(&Policy::new(core.options.retry.0, core.options.retry.1));
            while let Err(error) = core.keep_breaker().await {
                let message = error.message();
                tracing::warn!(%message, "the release of the breaker is not remembered yet; trying again");
                core.clock.sleep(backoff.next_delay()).await;
            }
        });
    }

    /// A withdrawal of what is not held: nothing is deleted, but nothing is called gone that is not.
    pub(super) fn confirm_absence(&self, tenant: TenantId, uid: Uid) {
        self.spawn(|core| async move {
            let mut backoff = Backoff::new(&Policy::new(core.options.retry.0, core.options.retry.1));
            loop {
                let found = core.namespaces_of(&tenant, &uid).await;
                let answered = found.is_ok();
                // Only if it is not held by now.
                if !core.tell_absent(&tenant, &uid, found) || answered {
                    return;
                }
                core.clock.sleep(backoff.next_delay()).await;
            }
        });
    }

    /// Tells of a tenant that is not held. `false` when it is by now, or that cannot be.
    fn tell_absent(&self, tenant: &TenantId, uid: &Uid, found: Result<Vec<String>, RequestError>) -> bool {
        let apply = match found {
            Ok(names) if names.is_empty() => ApplyState::Withdrawn,
            Ok(names) => ApplyState::Failed {
                reason: "NotInInventory".to_owned(),
                message: format!(
                    "namespaces {} carry the tenant's labels, but nothing was applied here that is remembered; \
                     assign the tenant again before it is withdrawn, or delete them by hand",
                    names.join(", ")
                ),
            },
            Err(error) => ApplyState::Withdrawing {
                waiting_for: format!("the API server: {error}"),
            },
        };
        // There is no content: the digest says so in the only way it can.
        let Ok(digest) = Digest::new("0".repeat(64)) else {
            return false;
        };
        // Locked until it is told, as in [`Core::tell`].
        let state = self.state();
        if state.slots.contains_key(tenant) {
            return false;
        }
        self.desk.tell(TenantReport {
            tenant: tenant.clone(),
            uid: uid.clone(),
            generation: Generation(0),
            digest,
            apply,
            health: Health::new(HealthState::Unknown, ""),
            observed_at: self.pulse.last_success(),
        });
        drop(state);
        true
    }

    async fn namespaces_of(&self, tenant: &TenantId, uid: &Uid) -> Result<Vec<String>, RequestError> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default, deserialize_with = "crate::request::or_empty")]
            items: Vec<Meta>,
        }
        let (of_tenant, of_uid) = (label::TENANT, label::TENANT_UID);
        let collection = Kind::Namespace.collection(None);
        let path = format!("{collection}?limit=20&labelSelector={of_tenant}={tenant},{of_uid}={uid}");
        let page: Page = self.caller.page(path, true).await?;
        Ok(page.items.into_iter().map(|found| found.metadata.name).collect())
    }
}
