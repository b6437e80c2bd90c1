//! Drift: what the watches show is compared with what was applied, and mended at once.

use std::{collections::BTreeSet, time::Duration};

use berth_model::TenantId;
use futures::future::join_all;

use super::{
    core::{Core, State, failed},
    slot::{Slot, Ticket},
};
use crate::{
    error::ApplyError,
    fight::{self, Putting},
    object::{Item, Kind, Look, ObjectRef, tenant_of_namespace},
    plan::{Drift, Fingerprint, judge},
    request::Lane,
    watch::Observer,
};

/// After mending, the ledger is written when nothing happened for so long.
const SETTLE_AFTER: Duration = Duration::from_secs(5);

impl Observer for Core {
    fn changed(&self, object: &ObjectRef) {
        let Some(tenant) = tenant_of_namespace(object.home()) else {
            return;
        };
        let mut state = self.state();
        let Some(slot) = state.slots.get_mut(&tenant) else {
            return;
        };
        slot.stir.ring();
        self.consider(slot, object);
        // What was applied is missing or back, whatever else is known of its kind.
        let told = object.kind().look() != Look::Metadata || slot.own.contains_key(object);
        self.kick_if_drifted(&mut state, &tenant);
        drop(state);
        if told {
            self.soil(&tenant);
        }
    }

    fn looked(&self, kind: Kind) {
        let mut state = self.state();
        let tenants: Vec<TenantId> = state.slots.keys().cloned().collect();
        for tenant in &tenants {
            if let Some(slot) = state.slots.get_mut(tenant) {
                let objects: Vec<_> = slot
                    .own
                    .keys()
                    .filter(|object| object.kind() == kind)
                    .cloned()
                    .collect();
                for object in objects {
                    self.consider(slot, &object);
                }
                slot.stir.ring();
            }
            self.kick_if_drifted(&mut state, tenant);
        }
        drop(state);
        for tenant in &tenants {
            self.soil(tenant);
        }
    }
}

/// What is to be done about one object.
enum Mending {
    Nothing,
    Apply,
    /// It was forced often enough.
    Fight,
    /// It is put back after a pause: somebody keeps deleting it.
    Later(Duration),
}

impl Core {
    fn kick_if_drifted(&self, state: &mut State, tenant: &TenantId) {
        if state
            .slots
            .get(tenant)
            .is_some_and(|slot| !slot.todo.mend.is_empty())
        {
            self.kick(state, tenant);
        }
    }

    /// Puts an object on the list if it is not as it was applied.
    pub(super) fn consider(&self, slot: &mut Slot, object: &ObjectRef) {
        if slot.withdrawing || slot.fights.contains_key(object) {
            return;
        }
        let Some(applied) = slot
            .own
            .get(object)
            .filter(|own| own.wanted)
            .and_then(|own| own.applied)
        else {
            return;
        };
        if matches!(
            judge(applied, self.world.sight(object)),
            Drift::Changed | Drift::Deleted
        ) {
            slot.todo.mend.insert(object.clone());
        }
    }

    pub(super) async fn mend(&self, ticket: &Ticket, objects: BTreeSet<ObjectRef>) -> Result<(), ApplyError> {
        let mut mending = Vec::with_capacity(objects.len());
        for item in ticket.items.iter() {
            if objects.contains(&item.object) {
                mending.push(self.mend_one(ticket, item));
            }
        }
        let outcomes = join_all(mending).await;
        if !self.with(ticket, |slot| {
            std::mem::replace(&mut slot.todo.settle_comes, true)
        })? {
            self.later(SETTLE_AFTER, ticket.clone(), |slot| {
                slot.todo.settle_comes = false;
                slot.todo.settle = !slot.todo.whole;
            });
        }
        // A fight may be over.
        self.tell(&ticket.tenant);
        outcomes.into_iter().collect()
    }

    /// Puts an object back in a while, and says that somebody keeps deleting it, until nobody did for a whole window.
    fn put_back_later(&self, ticket: &Ticket, object: &ObjectRef, pause: Duration) -> Result<(), ApplyError> {
        let message = format!(
            "{object} is deleted again and again by somebody else: it was put back {} times and more within {} minutes, and is put \
             back more slowly now",
            fight::AT_ONCE,
            fight::WINDOW.as_secs() / 60
        );
        tracing::warn!(tenant = %ticket.tenant, %object, ?pause, "somebody keeps deleting it");
        self.with(ticket, |slot| slot.deleted.insert(object.clone(), message))?;
        self.tell(&ticket.tenant);
        let again = object.clone();
        self.later(pause, ticket.clone(), move |slot| {
            slot.todo.mend.insert(again);
        });
        let (clock, quiet) = (self.clock.clone(), object.clone());
        self.later(pause.saturating_add(fight::WINDOW), ticket.clone(), move |slot| {
            let own = slot.own.get_mut(&quiet);
            if own.is_none_or(|own| own.put_back.quiet(clock.monotonic())) {
                slot.deleted.remove(&quiet);
            }
        });
        Ok(())
    }

    async fn mend_one(&self, ticket: &Ticket, item: &Item) -> Result<(), ApplyError> {
        let object = &item.object;
        let lost_home = object.namespace().is_some_and(|namespace| {
            let home = ObjectRef::namespace_called(namespace)
                .ok()
                .and_then(|home| self.world.get(&home));
            home.is_none_or(|home| home.deleting)
        });
        match self.mending(ticket, object, lost_home)? {
            Mending::Nothing => Ok(()),
            // Where a namespace is gone everything is, and comes back in order.
            Mending::Later(pause) => self.put_back_later(ticket, object, pause),
            Mending::Apply if object.kind() == Kind::Namespace || lost_home => {
                self.with(ticket, |slot| slot.todo.whole = true)
            }
            Mending::Apply => {
                let applied = self
                    .caller
                    .apply(Lane::Mend, object, item.applied_as, &item.body)
                    .await;
                let metadata = applied.map_err(failed("mend", object))?;
                tracing::info!(tenant = %ticket.tenant, %object, "mended");
                self.note(ticket, object, &metadata, Fingerprint::of(&item.body));
                Ok(())
            }
            Mending::Fight => self.stop_fighting(ticket, object).await,
        }
    }

    fn mending(&self, ticket: &Ticket, object: &ObjectRef, lost_home: bool) -> Result<Mending, ApplyError> {
        let sight = self.world.sight(object);
        let now = self.clock.monotonic();
        self.with(ticket, |slot| {
            let Some(own) = slot.own.get_mut(object).filter(|own| own.wanted) else {
                return Mending::Nothing;
            };
            match own.applied.map(|applied| judge(applied, sight)) {
                None | Some(Drift::None | Drift::Pending) => Mending::Nothing,
                // What went with its namespace comes back with it.
                Some(Drift::Deleted) if lost_home => Mending::Apply,
                Some(Drift::Deleted) => match own.put_back.admit(now) {
                    Putting::Now => Mending::Apply,
                    Putting::After(pause) => Mending::Later(pause),
                    Putting::Waits => Mending::Nothing,
                },
                Some(Drift::Changed) if own.forced.admit(now) => Mending::Apply,
                Some(Drift::Changed) => Mending::Fight,
            }
        })
    }

    /// Leaves an object as another manager wants it, says so, and looks again when the time is over.
    async fn stop_fighting(&self, ticket: &Ticket, object: &ObjectRef) -> Result<(), ApplyError> {
        let there = self
            .caller
            .metadata(Lane::Mend, object)
            .await
            .map_err(failed("look at", object))?;
        let others = there
            .as_ref()
            .map(crate::request::Metadata::other_managers)
            .unwrap_or_default();
        let other = others.first().copied().unwrap_or("an unknown field manager");
        let message = format!(
            "{object}: field manager {other} keeps changing what is assigned; it was set back {} times within {} minutes and is left alone for as long",
            fight::LIMIT,
            fight::WINDOW.as_secs() / 60
        );
        tracing::warn!(tenant = %ticket.tenant, %message, "fight");
        self.with(ticket, |slot| slot.fights.insert(object.clone(), message))?;
        self.tell(&ticket.tenant);
        let again = object.clone();
        self.later(fight::WINDOW, ticket.clone(), move |slot| {
            slot.fights.remove(&again);
            slot.todo.mend.insert(again);
        });
        Ok(())
    }
}
