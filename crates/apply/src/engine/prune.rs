//! Taking away what an earlier generation had and the current one has not.

use std::time::Duration;

use futures::future::join_all;

use super::{
    core::{Core, failed},
    namespace::belongs,
    slot::{Ticket, applying},
};
use crate::{
    error::ApplyError,
    object::{Kind, ObjectRef},
    plan::Sight,
    request::Lane,
};

/// How often it is asked for when no watch shows it.
const ASK_AGAIN: Duration = Duration::from_secs(5);

impl Core {
    pub(super) async fn prune(&self, ticket: &Ticket) -> Result<(), ApplyError> {
        let mut superfluous = self.with(ticket, |slot| {
            let own = slot.own.iter().filter(|(_, own)| !own.wanted);
            own.map(|(object, _)| object.clone()).collect::<Vec<_>>()
        })?;
        if superfluous.is_empty() {
            return Ok(());
        }
        self.set_apply(ticket, applying("what is not assigned any more to be gone"))?;
        // Namespaces last: they take everything else with them.
        superfluous.sort_by_key(|object| object.kind() == Kind::Namespace);
        let mut removing = Vec::with_capacity(superfluous.len());
        for object in &superfluous {
            removing.push(self.remove(ticket, object));
        }
        join_all(removing).await.into_iter().collect()
    }

    /// Deletes an object that is ours, and waits until it is gone.
    async fn remove(&self, ticket: &Ticket, object: &ObjectRef) -> Result<(), ApplyError> {
        if let Some(uid) = self.delete_own(ticket, object).await? {
            let deadline = self.clock.monotonic() + self.options.settle_timeout;
            self.wait_gone(ticket, object, &uid, Some(deadline)).await?;
        }
        self.with(ticket, |slot| drop(slot.own.remove(object)))
    }

    /// Deletes an object if label, inventory and uid say that it is the tenant's. The uid of what was told to go, if anything was.
    pub(super) async fn delete_own(
        &self,
        ticket: &Ticket,
        object: &ObjectRef,
    ) -> Result<Option<String>, ApplyError> {
        let inventory = self.with(ticket, |slot| {
            slot.own
                .get(object)
                .map(|own| (own.uid.clone(), own.applied_as()))
        })?;
        let Some((remembered, applied_as)) = inventory else {
            return Ok(None);
        };
        let there = self
            .caller
            .metadata(ticket.lane, object)
            .await
            .map_err(failed("look at", object))?;
        let Some(there) = there else { return Ok(None) };
        if !belongs(ticket, &there) || remembered.is_some_and(|uid| uid != there.uid) {
            tracing::warn!(tenant = %ticket.tenant, %object, "left alone: it is not the object that was applied");
            return Ok(None);
        }
        self.check_current(ticket)?;
        let deleted = self
            .caller
            .delete(ticket.lane, object, applied_as, &there.uid)
            .await;
        Ok(deleted.map_err(failed("delete", object))?.then_some(there.uid))
    }

    /// Waits until the object with this uid is gone.
    pub(super) async fn wait_gone(
        &self,
        ticket: &Ticket,
        object: &ObjectRef,
        uid: &str,
        deadline: Option<Duration>,
    ) -> Result<(), ApplyError> {
        let mut stir = self.stir(ticket)?;
        let mut ask = false;
        loop {
            self.check_current(ticket)?;
            if let Sight::Gone(_) = self.world.sight(object) {
                return Ok(());
            }
            if std::mem::replace(&mut ask, false) {
                let there = self
                    .caller
                    .metadata(Lane::Look, object)
                    .await
                    .map_err(failed("look at", object))?;
                if there.is_none_or(|there| there.uid != uid) {
                    return Ok(());
                }
            }
            let now = self.clock.monotonic();
            if deadline.is_some_and(|deadline| now >= deadline) {
                let seconds = self.options.settle_timeout.as_secs();
                return Err(ApplyError::Overdue {
                    what: format!("the end of {object}"),
                    seconds,
                });
            }
            let before = now + ASK_AGAIN;
            self.stirred(&mut stir, ASK_AGAIN).await;
            ask = self.clock.monotonic() >= before;
        }
    }
}
