//! Applying a namespace: the one object whose name may already be somebody else's.
//!
//! Server-side apply would adopt whatever is there. So a namespace is first created, which never touches what exists, and
//! from then on applied under its uid, which never touches another one of that name.

use std::time::Duration;

use berth_model::{assignment::AppliedAs, label};
use serde_json::{Value, json};

use super::{
    core::{Core, failed},
    slot::{Ticket, applying},
};
use crate::{
    error::ApplyError,
    object::Item,
    request::{Lane, Metadata, RequestError},
};

/// How often it is asked for when no watch shows it.
const ASK_AGAIN: Duration = Duration::from_secs(2);

impl Core {
    pub(super) async fn apply_namespace(&self, ticket: &Ticket, item: &Item) -> Result<Metadata, ApplyError> {
        let object = &item.object;
        let deadline = self.clock.monotonic() + self.options.settle_timeout;
        let mut known = self.with(ticket, |slot| {
            slot.own.get(object).and_then(|own| own.uid.clone())
        })?;
        loop {
            self.check_current(ticket)?;
            let uid = match known.take() {
                Some(uid) => Some(uid),
                None => self.create_namespace(ticket, item).await?,
            };
            if let Some(uid) = uid
                && let Some(metadata) = self
                    .apply_under(ticket, item, &uid)
                    .await
                    .map_err(failed("apply", object))?
            {
                if metadata.deletion_timestamp.is_none() {
                    return Ok(metadata);
                }
                self.wait_until_free(ticket, item, deadline).await?;
                continue;
            }
            // It is gone, another one, or on its way out.
            match self
                .caller
                .metadata(ticket.lane, object)
                .await
                .map_err(failed("look at", object))?
            {
                None => {}
                Some(there) if there.deletion_timestamp.is_some() => {
                    self.wait_until_free(ticket, item, deadline).await?;
                }
                Some(there) if belongs(ticket, &there) => known = Some(there.uid),
                Some(_) => return Err(conflict(ticket, item)),
            }
        }
    }

    /// Creates it with nothing but what says whose it is. `None` when one is there.
    async fn create_namespace(&self, ticket: &Ticket, item: &Item) -> Result<Option<String>, ApplyError> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": item.object.name(),
                "labels": { (label::TENANT): ticket.tenant.as_str(), (label::TENANT_UID): ticket.uid.as_str() },
            },
        });
        match self
            .caller
            .create(ticket.lane, &item.object, body.to_string().as_bytes())
            .await
        {
            Ok(created) => {
                self.forget_contents(ticket, item)?;
                Ok(Some(created.uid))
            }
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(failed("create", &item.object)(error)),
        }
    }

    /// What was applied into an earlier namespace of that name went with it.
    fn forget_contents(&self, ticket: &Ticket, item: &Item) -> Result<(), ApplyError> {
        self.with(ticket, |slot| {
            for (object, own) in &mut slot.own {
                if object.home() == item.object.name() {
                    own.applied = None;
                }
            }
        })
    }

    /// Applies it if it is still the one with this uid.
    async fn apply_under(
        &self,
        ticket: &Ticket,
        item: &Item,
        uid: &str,
    ) -> Result<Option<Metadata>, RequestError> {
        let mut body: Value =
            serde_json::from_slice(&item.body).map_err(|error| RequestError::Malformed(error.to_string()))?;
        body["metadata"]["uid"] = uid.into();
        match self
            .caller
            .apply(
                ticket.lane,
                &item.object,
                AppliedAs::Agent,
                body.to_string().as_bytes(),
            )
            .await
        {
            Ok(metadata) if metadata.uid == uid => Ok(Some(metadata)),
            Ok(_) => Ok(None),
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until an earlier namespace of that name is gone.
    async fn wait_until_free(
        &self,
        ticket: &Ticket,
        item: &Item,
        deadline: Duration,
    ) -> Result<(), ApplyError> {
        let object = &item.object;
        let mut stir = self.stir(ticket)?;
        self.set_apply(
            ticket,
            applying(format!("{object}, which is being deleted, to be gone")),
        )?;
        loop {
            let there = self
                .caller
                .metadata(Lane::Look, object)
                .await
                .map_err(failed("look at", object))?;
            if there.is_none_or(|there| there.deletion_timestamp.is_none()) {
                return Ok(());
            }
            if self.clock.monotonic() >= deadline {
                let seconds = self.options.settle_timeout.as_secs();
                return Err(ApplyError::Overdue {
                    what: format!("the end of an earlier {object}"),
                    seconds,
                });
            }
            self.stirred(&mut stir, ASK_AGAIN).await;
            self.check_current(ticket)?;
        }
    }
}

pub(super) fn belongs(ticket: &Ticket, metadata: &Metadata) -> bool {
    metadata.label(label::TENANT) == Some(ticket.tenant.as_str())
        && metadata.label(label::TENANT_UID) == Some(ticket.uid.as_str())
}

pub(super) fn conflict(ticket: &Ticket, item: &Item) -> ApplyError {
    ApplyError::NameConflict {
        namespace: item.object.name().to_owned(),
        tenant: ticket.tenant.clone(),
        uid: ticket.uid.clone(),
    }
}
