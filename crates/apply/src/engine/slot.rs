//! What the engine knows of one tenant, and what is to be done next. Pure state: nothing here waits or asks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use berth_model::{
    Assignment, ClusterName, Digest, Generation, Health, TenantId, Term, Uid, assignment::AppliedAs,
    report::ApplyState,
};
use berth_runtime::Bell;
use tokio::sync::Notify;

use crate::{
    fight::{Forced, PutBack},
    ledger::{Head, HeldAs, Record, Remembered, Stage},
    object::{Item, Kind, ObjectRef},
    plan::{Applied, Fingerprint},
    request::Lane,
};

/// One tenant.
pub(super) struct Slot {
    pub(super) uid: Uid,
    pub(super) cluster: ClusterName,
    pub(super) generation: Generation,
    pub(super) digest: Digest,
    pub(super) term: Term,
    pub(super) items: Arc<[Item]>,
    /// The inventory: what may be in the cluster because of this tenant.
    pub(super) own: BTreeMap<ObjectRef, Own>,
    pub(super) withdrawing: bool,
    /// An operator confirmed that it goes.
    pub(super) confirmed: bool,
    /// The breaker let it go.
    pub(super) admitted: bool,
    /// Raised by every assignment and withdrawal: what runs for an older one stops.
    pub(super) serial: u64,
    /// The ledger holds this serial.
    pub(super) remembered: bool,
    pub(super) todo: Todo,
    pub(super) working: bool,
    /// Wakes a worker that waits to try again.
    pub(super) wake: Arc<Notify>,
    /// Raised when anything of the tenant looks different.
    pub(super) stir: Bell,
    pub(super) apply: ApplyState,
    pub(super) health: Health,
    /// The last run ended because the API server did not answer in time.
    pub(super) slow: bool,
    /// Objects that are no longer forced back, and why.
    pub(super) fights: BTreeMap<ObjectRef, String>,
    /// Objects that somebody deletes again and again, and what is done about it.
    pub(super) deleted: BTreeMap<ObjectRef, String>,
}

/// One object of the inventory.
#[derive(Default)]
pub(super) struct Own {
    pub(super) by_deployer: bool,
    pub(super) uid: Option<String>,
    pub(super) applied: Option<Applied>,
    pub(super) forced: Forced,
    pub(super) put_back: PutBack,
    /// Part of the assignment; what is not is pruned.
    pub(super) wanted: bool,
}

impl Own {
    pub(super) const fn applied_as(&self) -> AppliedAs {
        if self.by_deployer {
            AppliedAs::Deployer
        } else {
            AppliedAs::Agent
        }
    }
}

/// What is to be done.
#[derive(Default)]
pub(super) struct Todo {
    /// Everything: apply, wait, prune; or withdraw.
    pub(super) whole: bool,
    /// Not before this moment, after a failure.
    pub(super) not_before: Option<Duration>,
    /// These objects.
    pub(super) mend: BTreeSet<ObjectRef>,
    /// Write down how the objects look after mending.
    pub(super) settle: bool,
    /// That is on its way.
    pub(super) settle_comes: bool,
}

/// What a worker does next.
pub(super) enum Next {
    Whole(Ticket),
    Withdraw(Ticket),
    Mend(Ticket, BTreeSet<ObjectRef>),
    Settle(Ticket),
    /// Nothing before this moment.
    Wait(Duration, Arc<Notify>),
    Done,
}

/// For whom something is done, and in whose stead nothing newer came.
#[derive(Clone)]
pub(super) struct Ticket {
    pub(super) tenant: TenantId,
    pub(super) uid: Uid,
    pub(super) serial: u64,
    pub(super) items: Arc<[Item]>,
    /// Where its requests stand in line.
    pub(super) lane: Lane,
}

impl Slot {
    pub(super) fn new(assignment: &Assignment) -> Self {
        Self {
            uid: assignment.uid.clone(),
            cluster: assignment.cluster.clone(),
            generation: assignment.generation,
            digest: assignment.digest.clone(),
            term: assignment.term,
            items: Arc::from([]),
            own: BTreeMap::new(),
            withdrawing: false,
            confirmed: false,
            admitted: false,
            serial: 0,
            remembered: false,
            todo: Todo::default(),
            working: false,
            wake: Arc::new(Notify::new()),
            stir: Bell::new(),
            apply: applying("its turn"),
            health: Health::default(),
            slow: false,
            fights: BTreeMap::new(),
            deleted: BTreeMap::new(),
        }
    }

    /// From what the ledger remembers. Nothing is to be done when it had come to its end.
    pub(super) fn remembered(record: Record) -> Self {
        let Record { head, items } = record;
        let assignment = Assignment {
            tenant: head.tenant,
            uid: head.uid,
            cluster: head.cluster,
            generation: head.generation,
            digest: head.digest,
            term: head.term,
        };
        let mut slot = Self::new(&assignment);
        let bodies: BTreeMap<_, _> = items
            .iter()
            .map(|item| (&item.object, Fingerprint::of(&item.body)))
            .collect();
        for kept in head.inventory {
            let body = bodies.get(&kept.object).copied();
            let applied = match (head.stage, kept.fingerprint, body) {
                // Only then is it known that what was applied is the content that is held.
                (Stage::Applied, Some(fingerprint), Some(body)) => Some(Applied {
                    version: 0,
                    fingerprint,
                    body,
                }),
                _ => None,
            };
            let own = Own {
                by_deployer: kept.applied_as == AppliedAs::Deployer,
                uid: kept.uid,
                applied,
                forced: Forced::default(),
                put_back: PutBack::default(),
                wanted: body.is_some(),
            };
            slot.own.insert(kept.object, own);
        }
        slot.items = items;
        slot.remembered = true;
        slot.withdrawing = head.stage == Stage::Withdrawing;
        slot.admitted = slot.withdrawing;
        slot.todo.whole = head.stage != Stage::Applied;
        slot.apply = match head.stage {
            Stage::Applied => ApplyState::Applied,
            Stage::Applying => applying("its turn"),
            Stage::Withdrawing => ApplyState::Withdrawing {
                waiting_for: "its turn".to_owned(),
            },
        };
        slot
    }

    /// A newer assignment takes the place of what is held.
    pub(super) fn assign(&mut self, assignment: &Assignment, items: Vec<Item>) {
        self.cluster = assignment.cluster.clone();
        self.generation = assignment.generation;
        self.digest = assignment.digest.clone();
        self.term = assignment.term;
        for own in self.own.values_mut() {
            own.wanted = false;
            own.forced = Forced::default();
            own.put_back = PutBack::default();
        }
        for item in &items {
            let own = self.own.entry(item.object.clone()).or_default();
            own.wanted = true;
            own.by_deployer = item.applied_as == AppliedAs::Deployer;
        }
        self.items = items.into();
        self.fights.clear();
        self.deleted.clear();
        self.apply = applying("its turn");
        self.supersede();
    }

    /// It is to go.
    pub(super) fn withdraw(&mut self, term: Term) {
        self.withdrawing = true;
        self.term = term;
        self.fights.clear();
        self.deleted.clear();
        self.apply = ApplyState::Withdrawing {
            waiting_for: "its turn".to_owned(),
        };
        self.supersede();
    }

    fn supersede(&mut self) {
        self.serial += 1;
        self.remembered = false;
        self.todo.whole = true;
        self.todo.not_before = None;
        self.todo.settle_comes = false;
        self.wake.notify_one();
        self.stir.ring();
    }

    pub(super) fn held_as(&self) -> HeldAs {
        HeldAs {
            uid: self.uid.clone(),
            generation: self.generation,
            digest: self.digest.clone(),
            withdrawing: self.withdrawing,
        }
    }

    /// What a worker does next at `now`. Mending goes first: it is short, and what was there is missed.
    pub(super) fn next(&mut self, tenant: &TenantId, now: Duration) -> Next {
        let ticket = Ticket {
            tenant: tenant.clone(),
            uid: self.uid.clone(),
            serial: self.serial,
            items: self.items.clone(),
            lane: if self.slow { Lane::Slow } else { Lane::Work },
        };
        let todo = &mut self.todo;
        if self.withdrawing {
            todo.mend.clear();
            todo.settle = false;
        }
        if !todo.mend.is_empty() {
            return Next::Mend(ticket, std::mem::take(&mut todo.mend));
        }
        if todo.whole {
            return match todo.not_before {
                Some(moment) if now < moment => Next::Wait(moment.saturating_sub(now), self.wake.clone()),
                _ => {
                    todo.whole = false;
                    todo.not_before = None;
                    if self.withdrawing {
                        Next::Withdraw(ticket)
                    } else {
                        Next::Whole(ticket)
                    }
                }
            };
        }
        if std::mem::take(&mut todo.settle) {
            return Next::Settle(ticket);
        }
        self.working = false;
        Next::Done
    }

    /// What the ledger is to hold.
    pub(super) fn head(&self, tenant: &TenantId, stage: Stage) -> Head {
        let remember = |(object, own): (&ObjectRef, &Own)| Remembered {
            object: object.clone(),
            applied_as: own.applied_as(),
            uid: own.uid.clone(),
            fingerprint: own.applied.map(|applied| applied.fingerprint),
        };
        Head {
            tenant: tenant.clone(),
            uid: self.uid.clone(),
            cluster: self.cluster.clone(),
            generation: self.generation,
            digest: self.digest.clone(),
            term: self.term,
            stage,
            inventory: self.own.iter().map(remember).collect(),
        }
    }

    /// What is told of applying: a fight is a failure of what was applied otherwise.
    pub(super) fn told(&self) -> ApplyState {
        let fights = self.fights.values().chain(self.deleted.values());
        match (&self.apply, fights.clone().next()) {
            (ApplyState::Applied, Some(message)) => ApplyState::Failed {
                reason: "Fight".to_owned(),
                message: message.clone(),
            },
            (apply, _) => apply.clone(),
        }
    }

    /// The kinds that have to be watched for it.
    pub(super) fn kinds(&self) -> BTreeSet<Kind> {
        let mut kinds: BTreeSet<Kind> = self.own.keys().map(ObjectRef::kind).collect();
        kinds.extend([
            Kind::Namespace,
            Kind::Pod,
            Kind::Deployment,
            Kind::StatefulSet,
            Kind::DaemonSet,
            Kind::Job,
        ]);
        if kinds.contains(&Kind::Service) {
            kinds.insert(Kind::EndpointSlice);
        }
        kinds
    }

    pub(super) fn namespaces(&self) -> Vec<(ObjectRef, Option<String>)> {
        let namespaces = self
            .own
            .iter()
            .filter(|(object, _)| object.kind() == Kind::Namespace);
        namespaces
            .map(|(object, own)| (object.clone(), own.uid.clone()))
            .collect()
    }
}

pub(super) fn applying(waiting_for: impl Into<String>) -> ApplyState {
    ApplyState::Applying {
        waiting_for: waiting_for.into(),
    }
}
