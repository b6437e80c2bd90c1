//! What all parts of the engine share, and the few ways to change it.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use berth_model::{TenantId, TenantReport, Term, report::ApplyState};
use berth_runtime::{
    bell::{Bell, Listener},
    clock::Clock,
};
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::slot::{Slot, Ticket};
use crate::{
    breaker::{Breaker, BreakerMemory, Moment},
    error::{ApplyError, Refused},
    facts::Facts,
    object::{Kind, ObjectRef},
    options::Options,
    plan::Applied,
    pulse::Pulse,
    reports::Desk,
    request::{Caller, Metadata},
    watch::{KindTarget, World},
};

/// What is held, behind one lock that is never kept across a wait.
pub(super) struct State {
    pub(super) highest: Term,
    pub(super) slots: BTreeMap<TenantId, Slot>,
    pub(super) watched: BTreeSet<Kind>,
}

pub(super) struct Core {
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) caller: Caller,
    pub(super) pulse: Arc<Pulse>,
    pub(super) world: Arc<World>,
    pub(super) desk: Desk,
    pub(super) facts: Facts,
    pub(super) released: Bell,
    pub(super) ready: watch::Sender<bool>,
    pub(super) tasks: TaskTracker,
    pub(super) cancel: CancellationToken,
    /// Tenants whose health is to be judged anew.
    pub(super) dirty: Mutex<BTreeSet<TenantId>>,
    pub(super) dirty_news: Notify,
    breaker: Mutex<Breaker>,
    /// What the ledger holds of the breaker; whoever writes it holds this.
    pub(super) breaker_kept: tokio::sync::Mutex<BreakerMemory>,
    state: Mutex<State>,
    me: Weak<Self>,
}

impl Core {
    pub(super) fn new(options: Options) -> Arc<Self> {
        let clock = options.clock.clone();
        let pulse = Arc::new(Pulse::new(clock.monotonic(), clock.now()));
        let caller = Caller::new(options.client.clone(), clock.clone(), pulse.clone(), &options);
        Arc::new_cyclic(|me| Self {
            breaker: Mutex::new(Breaker::new(options.breaker)),
            breaker_kept: tokio::sync::Mutex::default(),
            options,
            clock,
            caller,
            pulse,
            world: Arc::default(),
            desk: Desk::new(),
            facts: Facts::new(),
            released: Bell::new(),
            ready: watch::Sender::new(false),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            dirty: Mutex::default(),
            dirty_news: Notify::new(),
            state: Mutex::new(State {
                highest: Term(0),
                slots: BTreeMap::new(),
                watched: BTreeSet::new(),
            }),
            me: me.clone(),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now, by both clocks.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            wall: self.clock.now(),
            monotonic: self.clock.monotonic(),
        }
    }

    pub(super) fn check_ready(&self) -> Result<(), Refused> {
        if *self.ready.borrow() {
            Ok(())
        } else {
            Err(Refused::NotReady)
        }
    }

    /// Starts something that ends with the engine.
    pub(super) fn spawn<F: Future<Output = ()> + Send + 'static>(&self, work: impl FnOnce(Arc<Self>) -> F) {
        let Some(me) = self.me.upgrade() else { return };
        let cancel = self.cancel.clone();
        let work = work(me);
        self.tasks.spawn(async move {
            let _ = cancel.run_until_cancelled(work).await;
        });
    }

    /// Lets the tenant's worker look at what is to be done; starts one if none is at work.
    pub(super) fn kick(&self, state: &mut State, tenant: &TenantId) {
        let Some(slot) = state.slots.get_mut(tenant) else {
            return;
        };
        if slot.working {
            slot.wake.notify_one();
            return;
        }
        slot.working = true;
        let tenant = tenant.clone();
        self.spawn(|core| super::work::run(core, tenant));
    }

    /// Sees to it that every kind of the tenant's objects is watched.
    pub(super) fn watch_for(&self, state: &mut State, tenant: &TenantId) {
        let Some(slot) = state.slots.get(tenant) else {
            return;
        };
        for kind in slot.kinds() {
            if state.watched.insert(kind) {
                self.spawn(|core| {
                    let target = KindTarget {
                        kind,
                        world: core.world.clone(),
                        observer: core.clone(),
                    };
                    crate::watch::run(
                        target,
                        core.caller.clone(),
                        core.clock.clone(),
                        core.pulse.epoch(),
                    )
                });
            }
        }
    }

    /// Whether nothing newer came for the tenant.
    pub(super) fn is_current(&self, ticket: &Ticket) -> bool {
        self.state()
            .slots
            .get(&ticket.tenant)
            .is_some_and(|slot| slot.serial == ticket.serial)
    }

    pub(super) fn check_current(&self, ticket: &Ticket) -> Result<(), ApplyError> {
        if self.is_current(ticket) {
            Ok(())
        } else {
            Err(ApplyError::Superseded)
        }
    }

    /// Changes the tenant's slot, unless something newer came.
    pub(super) fn with<T>(
        &self,
        ticket: &Ticket,
        change: impl FnOnce(&mut Slot) -> T,
    ) -> Result<T, ApplyError> {
        let mut state = self.state();
        match state
            .slots
            .get_mut(&ticket.tenant)
            .filter(|slot| slot.serial == ticket.serial)
        {
            Some(slot) => Ok(change(slot)),
            None => Err(ApplyError::Superseded),
        }
    }

    /// Remembers how an object looked when it was applied.
    pub(super) fn note(&self, ticket: &Ticket, object: &ObjectRef, metadata: &Metadata, body: u64) {
        let mut state = self.state();
        // Even when something newer came: the object does look like this now.
        let Some(slot) = state
            .slots
            .get_mut(&ticket.tenant)
            .filter(|slot| slot.uid == ticket.uid)
        else {
            return;
        };
        if let Some(own) = slot.own.get_mut(object) {
            own.uid = Some(metadata.uid.clone());
            own.applied = Some(Applied {
                version: metadata.version(),
                fingerprint: metadata.fingerprint(),
                body,
            });
        }
        // What the watch saw meanwhile could not be compared before.
        self.consider(slot, object);
        if !slot.todo.mend.is_empty() {
            self.kick(&mut state, &ticket.tenant);
        }
    }

    /// Sets and tells how far applying has come.
    pub(super) fn set_apply(&self, ticket: &Ticket, apply: ApplyState) -> Result<(), ApplyError> {
        self.with(ticket, |slot| slot.apply = apply)?;
        self.soil(&ticket.tenant);
        self.tell(&ticket.tenant);
        Ok(())
    }

    /// Tells what is known of a tenant. The state stays locked meanwhile: of two who tell at once, the one who knows less must not come last.
    pub(super) fn tell(&self, tenant: &TenantId) {
        let state = self.state();
        let Some(slot) = state.slots.get(tenant) else {
            return;
        };
        self.desk.tell(TenantReport {
            tenant: tenant.clone(),
            uid: slot.uid.clone(),
            generation: slot.generation,
            digest: slot.digest.clone(),
            apply: slot.told(),
            health: slot.health.clone(),
            observed_at: self.pulse.last_success(),
        });
        drop(state);
    }

    /// The tenant's health is to be judged anew.
    pub(super) fn soil(&self, tenant: &TenantId) {
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        if dirty.insert(tenant.clone()) {
            self.dirty_news.notify_one();
        }
    }

    /// Does something to a tenant in a while, if it is still held then.
    pub(super) fn later(
        &self,
        after: Duration,
        ticket: Ticket,
        change: impl FnOnce(&mut Slot) + Send + 'static,
    ) {
        self.spawn(move |core| async move {
            core.clock.sleep(after).await;
            let mut state = core.state();
            if let Some(slot) = state
                .slots
                .get_mut(&ticket.tenant)
                .filter(|slot| slot.serial == ticket.serial)
            {
                change(slot);
                core.kick(&mut state, &ticket.tenant);
            }
            drop(state);
            core.tell(&ticket.tenant);
        });
    }

    /// Waits until anything of the tenant looks different, or for a while: what could not be seen is then asked for.
    pub(super) async fn stirred(&self, stir: &mut Listener, at_most: Duration) {
        tokio::select! {
            biased;
            () = stir.hear() => {}
            () = self.clock.sleep(at_most) => {}
        }
    }

    /// Listens for changes of what the tenant has.
    pub(super) fn stir(&self, ticket: &Ticket) -> Result<Listener, ApplyError> {
        self.with(ticket, |slot| slot.stir.listen())
    }
}

/// Wraps what the API server said.
pub(super) fn failed(
    operation: &'static str,
    object: &ObjectRef,
) -> impl FnOnce(crate::request::RequestError) -> ApplyError {
    let object = object.to_string();
    move |source| ApplyError::Api {
        operation,
        object,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use berth_model::{Assignment, ClusterName, Digest, Generation, Uid};
    use kube::{Client, client::Body};
    use tower::service_fn;

    use super::*;

    /// An engine that asks nobody.
    fn alone() -> Arc<Core> {
        let nobody = service_fn(|_: http::Request<Body>| {
            std::future::pending::<Result<http::Response<Body>, std::io::Error>>()
        });
        Core::new(Options::new(Client::new(nobody, "default")))
    }

    #[tokio::test]
    async fn what_is_told_last_is_what_is_whoever_else_tells_at_the_same_time() {
        let core = alone();
        let tenant = TenantId::new("acme").unwrap();
        let slot = Slot::new(&Assignment {
            tenant: tenant.clone(),
            uid: Uid::new("u").unwrap(),
            cluster: ClusterName::new("eu-1").unwrap(),
            generation: Generation(0),
            digest: Digest::new("0".repeat(64)).unwrap(),
            term: Term(1),
        });
        core.state().slots.insert(tenant.clone(), slot);
        for _ in 0..200 {
            let together = Barrier::new(8);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        together.wait();
                        for _ in 0..20 {
                            if let Some(slot) = core.state().slots.get_mut(&tenant) {
                                slot.generation = slot.generation.next();
                            }
                            core.tell(&tenant);
                            // Whoever reads makes others wait, and not in their order.
                            core.desk.latest(&tenant);
                        }
                    });
                }
            });
            let is = core.state().slots[&tenant].generation;
            assert_eq!(core.desk.latest(&tenant).unwrap().generation, is);
        }
    }
}
