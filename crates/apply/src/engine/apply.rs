//! Applying a tenant: remember, then phase after phase, then prune, then remember that it is done.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use berth_model::{
    assignment::{AppliedAs, ApplyPhase},
    report::ApplyState,
};
use futures::future::join_all;

use super::{
    core::{Core, failed},
    slot::{Ticket, applying},
};
use crate::{
    error::ApplyError,
    ledger::{Record, Stage},
    object::{Item, Kind, ObjectRef},
    plan::{Drift, Fingerprint, PHASES, judge, phase_name},
    request::{Metadata, RequestError},
};

/// How often an object of a bundle is tried again when the rights it needs were granted a moment ago.
const RIGHTS_TRIES: u32 = 7;

/// One run over a tenant.
pub(super) struct Run<'a> {
    pub(super) ticket: &'a Ticket,
    /// Rights were written in this run; the API server may not have taken them in yet.
    rights_are_fresh: AtomicBool,
}

impl Core {
    /// Brings everything about, in order.
    pub(super) async fn apply_whole(&self, ticket: &Ticket) -> Result<(), ApplyError> {
        self.remember(ticket, Stage::Applying).await?;
        let run = Run {
            ticket,
            rights_are_fresh: AtomicBool::new(false),
        };
        for phase in PHASES {
            let items: Vec<&Item> = ticket.items.iter().filter(|item| item.phase == phase).collect();
            if items.is_empty() {
                continue;
            }
            self.check_current(ticket)?;
            self.set_apply(ticket, applying(phase_name(phase)))?;
            self.apply_phase(&run, &items).await?;
            if phase == ApplyPhase::Walls {
                self.wait_for_quotas(ticket, &items).await?;
            }
        }
        self.prune(ticket).await?;
        self.settle(ticket).await?;
        self.set_apply(ticket, ApplyState::Applied)
    }

    /// Writes down what is about to be done, unless it is written down.
    pub(super) async fn remember(&self, ticket: &Ticket, stage: Stage) -> Result<(), ApplyError> {
        let record = self.with(ticket, |slot| {
            let items = if stage == Stage::Withdrawing {
                [].into()
            } else {
                ticket.items.clone()
            };
            (!slot.remembered).then(|| Record {
                head: slot.head(&ticket.tenant, stage),
                items,
            })
        })?;
        let Some(record) = record else { return Ok(()) };
        let written = self.options.ledger.remember(&record).await;
        written.map_err(|source| ApplyError::Ledger {
            operation: "write",
            source,
        })?;
        self.with(ticket, |slot| slot.remembered = true)
    }

    /// Writes down that everything is done, and how it looks.
    pub(super) async fn settle(&self, ticket: &Ticket) -> Result<(), ApplyError> {
        let head = self.with(ticket, |slot| slot.head(&ticket.tenant, Stage::Applied))?;
        let written = self.options.ledger.settle(&head).await;
        written.map_err(|source| ApplyError::Ledger {
            operation: "write",
            source,
        })
    }

    /// Everything of a phase is tried, whatever becomes of the rest; the first failure that no retry mends is told first.
    async fn apply_phase(&self, run: &Run<'_>, items: &[&Item]) -> Result<(), ApplyError> {
        let mut applying = Vec::with_capacity(items.len());
        for item in items {
            applying.push(self.apply_item(run, item));
        }
        let mut failures: Vec<_> = join_all(applying)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        let lasting =
            |error: &ApplyError| !matches!(error, ApplyError::Api { source, .. } if source.retryable());
        failures.sort_by_key(|error| !lasting(error));
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    async fn apply_item(&self, run: &Run<'_>, item: &Item) -> Result<(), ApplyError> {
        let ticket = run.ticket;
        let body = Fingerprint::of(&item.body);
        match self.still_so(ticket, item, body)? {
            Standing::AsWanted | Standing::Fought => return Ok(()),
            Standing::ToDo => {}
        }
        let metadata = if item.object.kind() == Kind::Namespace {
            self.apply_namespace(ticket, item).await?
        } else {
            self.apply_with_fresh_rights(run, item)
                .await
                .map_err(|error| refusal(&item.object, error))?
        };
        if item.phase == ApplyPhase::Access {
            run.rights_are_fresh.store(true, Ordering::Relaxed);
        }
        self.note(ticket, &item.object, &metadata, body);
        Ok(())
    }

    /// Whether an object needs to be written.
    fn still_so(&self, ticket: &Ticket, item: &Item, body: u64) -> Result<Standing, ApplyError> {
        let sight = self.world.sight(&item.object);
        let now = self.clock.monotonic();
        self.with(ticket, |slot| {
            let Some(own) = slot.own.get_mut(&item.object) else {
                return Standing::ToDo;
            };
            let Some(applied) = own.applied.filter(|applied| applied.body == body) else {
                return Standing::ToDo;
            };
            match judge(applied, sight) {
                Drift::None => Standing::AsWanted,
                Drift::Pending if applied.version > 0 => Standing::AsWanted,
                Drift::Changed if slot.fights.contains_key(&item.object) || !own.forced.admit(now) => {
                    Standing::Fought
                }
                Drift::Pending | Drift::Changed | Drift::Deleted => Standing::ToDo,
            }
        })
    }

    /// A right that was granted a moment ago may be unknown to the server for another one.
    async fn apply_with_fresh_rights(&self, run: &Run<'_>, item: &Item) -> Result<Metadata, RequestError> {
        let mut tries = 0;
        loop {
            match self
                .caller
                .apply(run.ticket.lane, &item.object, item.applied_as, &item.body)
                .await
            {
                Err(error)
                    if error.is_forbidden()
                        && !error.is_terminating()
                        && item.applied_as == AppliedAs::Deployer
                        && run.rights_are_fresh.load(Ordering::Relaxed)
                        && tries < RIGHTS_TRIES =>
                {
                    self.clock.sleep(Duration::from_millis(10 << tries)).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// A quota enforces nothing until its controller has counted; nobody is let in before.
    async fn wait_for_quotas(&self, ticket: &Ticket, items: &[&Item]) -> Result<(), ApplyError> {
        let mut stir = self.stir(ticket)?;
        let quotas = items
            .iter()
            .map(|item| &item.object)
            .filter(|object| object.kind() == Kind::ResourceQuota);
        let deadline = self.clock.monotonic() + self.options.settle_timeout;
        for quota in quotas {
            while !self.in_force(ticket, quota)? {
                self.set_apply(ticket, applying(format!("{quota} to be in force")))?;
                let left = deadline.saturating_sub(self.clock.monotonic());
                if left.is_zero() {
                    let seconds = self.options.settle_timeout.as_secs();
                    return Err(ApplyError::Overdue {
                        what: format!("{quota} in force"),
                        seconds,
                    });
                }
                self.stirred(&mut stir, left).await;
            }
        }
        Ok(())
    }

    fn in_force(&self, ticket: &Ticket, quota: &ObjectRef) -> Result<bool, ApplyError> {
        let applied = self.with(ticket, |slot| slot.own.get(quota).and_then(|own| own.applied))?;
        let applied = applied.map_or(0, |applied| applied.version);
        Ok(self
            .world
            .get(quota)
            .is_some_and(|seen| seen.version >= applied && seen.verdict.is_none()))
    }
}

/// A namespace is there before anything in it is applied: what is not found then is the kind.
fn refusal(object: &ObjectRef, error: RequestError) -> ApplyError {
    if object.kind() == Kind::ExternalSecret && error.is_not_found() {
        return ApplyError::NotServed {
            object: object.to_string(),
            api_version: Kind::ExternalSecret.api_version(),
            product: "External Secrets",
            instead: "give the bundle's parameter as existingSecret",
        };
    }
    failed("apply", object)(error)
}

enum Standing {
    AsWanted,
    /// Left alone, because another manager wants it otherwise.
    Fought,
    ToDo,
}
