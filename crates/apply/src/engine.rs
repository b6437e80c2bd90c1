//! The engine: options in, a cheap handle and one task out. It holds what tenants are assigned and makes the cluster so.
//!
//! It deliberately decides nothing: what may be accepted is [`ledger`](crate::ledger)'s, what differs is [`plan`](crate::plan)'s,
//! how things are is [`health`](crate::health)'s to say.

mod apply;
mod core;
mod drift;
mod judge;
mod namespace;
mod probe;
mod prune;
mod review;
mod slot;
mod start;
mod token;
mod withdraw;
mod work;

use std::{fmt, sync::Arc, time::Duration};

use berth_model::{
    Assignment, ClusterFacts, Digest, Generation, Object, TenantId, TenantReport, Term, Timestamp, Uid,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{core::Core, slot::Slot};
use crate::{
    breaker::BreakerState,
    error::{ApplyError, Refused},
    ledger::{Decision, LedgerError, decide_assign, decide_keep, decide_withdraw},
    object,
    options::Options,
    reports::Reports,
};

/// A handle to the engine; copies are the same engine.
///
/// # Guarantees
/// - What is refused is not held and changes nothing.
/// - Only what a withdrawal names is deleted, and what an accepted newer assignment leaves out; and of that only what carries
///   the tenant's labels and was applied here. Absence of anything deletes nothing.
/// - Tenants do not wait for each other, except for room among the requests under way.
/// - Everything is written to the ledger before the cluster is changed by it.
#[derive(Clone)]
pub struct Engine {
    core: Arc<Core>,
}

/// The engine's work; nothing happens until it is run.
#[must_use = "an engine works only while its task runs"]
pub struct EngineTask {
    core: Arc<Core>,
}

/// What is held of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// Of the assignment.
    pub generation: Generation,
    /// Of the assignment.
    pub digest: Digest,
}

/// Whether what the hub wants kept is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Held so.
    Held,
    /// Not held so: it has to be assigned with its objects.
    Missing,
}

impl Engine {
    /// An engine and the task that runs it.
    pub fn new(options: Options) -> (Self, EngineTask) {
        let core = Core::new(options);
        (Self { core: core.clone() }, EngineTask { core })
    }

    /// Returns once the ledger is read: before that nothing is accepted, and [`held`](Self::held) is empty.
    /// `false` when the engine ended before.
    pub async fn ready(&self) -> bool {
        self.core.ready.subscribe().wait_for(|ready| *ready).await.is_ok()
    }

    /// What a tenant is to have. The latest wins; returns at once, and progress is told by [`reports`](Self::reports).
    ///
    /// # Errors
    /// [`Refused`]; assigning again what is held is accepted.
    pub async fn assign(&self, assignment: Assignment, objects: Vec<Object>) -> Result<(), Refused> {
        self.core.check_ready()?;
        let tenant = &assignment.tenant;
        // Checked before the lock is taken: it is the long part.
        let items = object::check(&assignment, &objects);
        {
            let mut state = self.core.state();
            let held = state.slots.get(tenant).map(Slot::held_as);
            if decide_assign(&assignment, held.as_ref(), state.highest)? == Decision::Same {
                state.highest = state.highest.max(assignment.term);
                drop(state);
                self.core.tell(tenant);
                return Ok(());
            }
            let items = items.map_err(|problems| Refused::Invalid {
                tenant: tenant.clone(),
                problems,
            })?;
            state.highest = state.highest.max(assignment.term);
            let slot = state
                .slots
                .entry(tenant.clone())
                .or_insert_with(|| Slot::new(&assignment));
            slot.assign(&assignment, items);
            self.core.watch_for(&mut state, tenant);
            self.core.kick(&mut state, tenant);
        }
        self.core.tell(tenant);
        Ok(())
    }

    /// The hub says what should be held. Nothing is written for it.
    ///
    /// # Errors
    /// [`Refused`].
    #[expect(clippy::unused_async, reason = "the session awaits every command alike")]
    pub async fn keep(
        &self,
        tenant: TenantId,
        uid: Uid,
        generation: Generation,
        digest: Digest,
        term: Term,
    ) -> Result<Kept, Refused> {
        self.core.check_ready()?;
        let mut state = self.core.state();
        let held = state.slots.get(&tenant).map(Slot::held_as);
        let decision = decide_keep(&uid, generation, &digest, term, held.as_ref(), state.highest)?;
        state.highest = state.highest.max(term);
        Ok(if decision == Decision::Same {
            Kept::Held
        } else {
            Kept::Missing
        })
    }

    /// A tenant is to go, with everything that was applied for it. Returns at once; the last report says `Withdrawn`.
    ///
    /// # Errors
    /// [`Refused`]; withdrawing again is accepted.
    pub async fn withdraw(&self, tenant: TenantId, uid: Uid, term: Term) -> Result<(), Refused> {
        self.withdraw_as(tenant, uid, term, false)
    }

    /// The same for a tenant of which an operator has confirmed that it goes: the breaker neither counts nor stops it.
    ///
    /// # Errors
    /// As [`withdraw`](Self::withdraw).
    #[expect(clippy::unused_async, reason = "the session awaits every command alike")]
    pub async fn withdraw_confirmed(&self, tenant: TenantId, uid: Uid, term: Term) -> Result<(), Refused> {
        self.withdraw_as(tenant, uid, term, true)
    }

    fn withdraw_as(&self, tenant: TenantId, uid: Uid, term: Term, confirmed: bool) -> Result<(), Refused> {
        self.core.check_ready()?;
        {
            let mut state = self.core.state();
            let held = state.slots.get(&tenant).map(Slot::held_as);
            let decision = decide_withdraw(&tenant, &uid, term, held.as_ref(), state.highest)?;
            state.highest = state.highest.max(term);
            match decision {
                Decision::Same => {
                    if let Some(slot) = state.slots.get_mut(&tenant).filter(|_| confirmed) {
                        slot.confirmed = true;
                        self.core.released.ring();
                    }
                }
                Decision::NotHeld => {
                    drop(state);
                    self.core.confirm_absence(tenant, uid);
                    return Ok(());
                }
                Decision::Take => {
                    if let Some(slot) = state.slots.get_mut(&tenant) {
                        slot.withdraw(term);
                        slot.confirmed = confirmed;
                    }
                    self.core.kick(&mut state, &tenant);
                }
            }
        }
        self.core.tell(&tenant);
        Ok(())
    }

    /// Everything that is held, what is being withdrawn included; by tenant.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let state = self.core.state();
        let held = |(tenant, slot): (&TenantId, &Slot)| Held {
            tenant: tenant.clone(),
            uid: slot.uid.clone(),
            generation: slot.generation,
            digest: slot.digest.clone(),
        };
        let mut all: Vec<_> = state.slots.iter().map(held).collect();
        all.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        all
    }

    /// The highest term that was accepted.
    #[must_use]
    pub fn highest_term(&self) -> Term {
        self.core.state().highest
    }

    /// What changes of tenants' reports; starts with the latest of each. Every reader has its own place.
    #[must_use]
    pub fn reports(&self) -> Reports {
        self.core.desk.reports()
    }

    /// The latest report of one tenant.
    #[must_use]
    pub fn report(&self, tenant: &TenantId) -> Option<TenantReport> {
        self.core.desk.latest(tenant)
    }

    /// When the API server last answered; the Unix epoch when it never did.
    #[must_use]
    pub fn last_success(&self) -> Timestamp {
        self.core.pulse.last_success()
    }

    /// How long ago the API server last answered, whatever was done to the wall clock since; none when it never did.
    #[must_use]
    pub fn evidence_age(&self) -> Option<Duration> {
        let answered = self.core.pulse.last_success() != Timestamp::UNIX_EPOCH;
        answered.then(|| self.core.pulse.age(self.core.clock.monotonic()))
    }

    /// What the cluster is. `api_url` and `api_ca_pem` are left empty: a client does not tell.
    ///
    /// # Errors
    /// The API server did not answer.
    pub async fn facts(&self) -> Result<ClusterFacts, ApplyError> {
        self.core.facts.read(&self.core.caller).await
    }

    /// Changes when facts may have changed: nodes came, went, or turned ready.
    #[must_use]
    pub fn facts_changed(&self) -> watch::Receiver<u64> {
        self.core.facts.changed()
    }

    /// Whether deleting goes on.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.core.breaker().state()
    }

    /// An operator confirms that the tenants may go that wait for it; what comes later is counted anew.
    #[expect(clippy::unused_async, reason = "the session awaits every command alike")]
    pub async fn release_breaker(&self) {
        self.core.release_breaker();
    }
}

impl EngineTask {
    /// Works until `cancel` fires or this future is dropped; either ends everything the engine started, wherever it is:
    /// the ledger tells the next engine where to go on.
    ///
    /// # Errors
    /// The ledger was written by a newer agent.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), LedgerError> {
        let stop = self.core.cancel.clone().drop_guard();
        let ran = cancel.run_until_cancelled(start::run(self.core.clone())).await;
        drop(stop);
        self.core.tasks.close();
        self.core.tasks.wait().await;
        ran.unwrap_or(Ok(()))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl fmt::Debug for EngineTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineTask").finish_non_exhaustive()
    }
}
