//! What the loop does: plans, checks the plan, publishes what is, and carries out the steps.

use std::{sync::Arc, time::Duration};

use berth_model::{Placement, TenantId};
use berth_plan::{
    Changes, Scope,
    plan::{Plan, Step},
};
use berth_store::StoreError;
use futures::FutureExt as _;
use tracing::{error, warn};

use super::{Fleet, FleetError, Mode, decided::Decided};
use crate::{
    board::TenantSnapshot,
    execute::{Batch, InfraCall, InfraDone, Outcome},
    load,
};

/// Rounds of planning before the loop listens again.
const MOST_ROUNDS: usize = 16;
/// A call to the cloud or into a new cluster that takes longer has hung.
const LONGEST_CALL: Duration = Duration::from_secs(600);
/// Assignments rendered in one round, so that the first of many are on their way while the rest are rendered.
const MOST_RENDERED: usize = 32;

/// What is looked at.
pub(super) enum Look {
    Everything,
    Again(Changes),
}

impl Fleet {
    /// Plans and executes until there is nothing left to write.
    pub(super) async fn look(&mut self, mut look: Look) -> Result<(), FleetError> {
        for _ in 0..MOST_ROUNDS {
            let plan = self.show(&look);
            let changes = self.execute(plan.steps).await?;
            if changes == Changes::default() {
                return Ok(());
            }
            look = Look::Again(changes);
        }
        // Let the loop listen to everything else first.
        if let Look::Again(changes) = look {
            self.pending.merge(changes);
        }
        Ok(())
    }

    /// Plans, and shows how things are.
    pub(super) fn show(&mut self, look: &Look) -> Plan {
        self.view.now = self.clock.now();
        let scope = match look {
            Look::Everything => Scope::All,
            Look::Again(changes) => berth_plan::closure(&self.view, changes),
        };
        let breakers_changed = match look {
            Look::Everything => true,
            Look::Again(changes) => !changes.breakers.is_empty(),
        };
        if breakers_changed {
            self.publish_breakers();
        }
        let plan = berth_plan::plan(&self.view, &scope);
        let plan = self.linted(plan);
        self.publish(&plan);
        plan
    }

    /// Takes out what the lint forbids.
    pub(super) fn linted(&mut self, mut plan: Plan) -> Plan {
        let mut all_stopped = false;
        for finding in berth_plan::lint(&self.view, &plan) {
            error!(rule = %finding.rule, tenant = ?finding.tenant, message = %finding.message, "the plan breaks a rule and is not carried out");
            match finding.tenant {
                None => all_stopped = true,
                Some(tenant) => {
                    plan.steps.retain(|step| *step.tenant() != tenant);
                    if let Some(known) = self.view.tenants.get_mut(&tenant) {
                        known.stalled = Some(finding.message);
                    }
                }
            }
        }
        if all_stopped || self.silent() {
            plan.steps.clear();
        }
        plan
    }

    fn publish_breakers(&self) {
        let settings = &self.view.settings.breaker;
        let tripped = self.view.breakers.iter().filter_map(|(cluster, known)| {
            let tripped = known.memory.tripped?;
            let told = berth_plan::breaker_told(cluster, &tripped, settings);
            Some((cluster.clone(), (tripped.at, told)))
        });
        self.board.put_breakers(tripped.collect());
    }

    /// Puts the statuses up for readers.
    pub(super) fn publish(&mut self, plan: &Plan) {
        for (id, status) in &plan.status {
            let Some(known) = self.view.tenants.get_mut(id) else {
                continue;
            };
            if known.conditions != status.conditions {
                known.conditions = status.conditions.clone();
                self.unsaved.insert(id.clone());
            }
            match plan.wake.get(id) {
                Some(at) => self.wakes.insert(id.clone(), *at),
                None => self.wakes.remove(id),
            };
            let placement: Option<Placement> = known.placed.as_ref().map(|placed| placed.placement.clone());
            self.board.put(TenantSnapshot {
                tenant: known.tenant.clone(),
                placement,
                accepted_gaps: known
                    .placed
                    .as_ref()
                    .map(|placed| placed.accepted_gaps.clone())
                    .unwrap_or_default(),
                status: Some(Arc::new(status.clone())),
            });
        }
    }

    pub(super) async fn execute(&mut self, steps: Vec<Step>) -> Result<Changes, FleetError> {
        let mut changes = Changes::default();
        let mut batch = Batch::default();
        let mut calls = Vec::new();
        let mut rendered = 0;
        let now = self.view.now;
        let mut decided = self
            .recorder
            .listens()
            .then(|| Decided::at(&self.view, self.watched));
        for step in steps {
            let tenant = step.tenant().clone();
            let decision = decided
                .as_ref()
                .map(|decided| decided.decision(&self.view, &step));
            if matches!(step, Step::Assign { .. }) {
                rendered += 1;
                if rendered > MOST_RENDERED {
                    changes.tenants.insert(tenant);
                    continue;
                }
            }
            match self.executor.prepare(&self.view, step, now, &mut batch).await? {
                Outcome::Batched => {
                    if let (Some(decided), Some(decision)) = (&mut decided, decision) {
                        decided.push(decision);
                    }
                }
                Outcome::Said | Outcome::Overtaken => {}
                Outcome::Later => drop(changes.tenants.insert(tenant)),
                Outcome::CannotRender(problem) => {
                    if let Some(known) = self.view.tenants.get_mut(&tenant) {
                        known.render_error = Some(berth_model::condition::clipped(problem));
                    }
                    changes.tenants.insert(tenant);
                }
                Outcome::Call(call) => {
                    if let (Some(decided), Some(decision)) = (&mut decided, decision) {
                        decided.push_call(decision, &self.recorded);
                    }
                    calls.push(*call);
                }
            }
        }
        self.executor.placing.clear();
        self.executor.breakers.clear();
        if let Some(decided) = decided
            && !self.recorded(decided, &batch, &calls).await
        {
            return Ok(changes);
        }
        let committed = batch.commit(self.store.as_ref(), &self.sessions).await?;
        // Only now: what is made outside stands on what was just written.
        for call in calls {
            if !committed.broken_off.contains(&call.tenant.id) {
                self.call(call);
            }
        }
        if let Some(revision) = committed.revision {
            self.follow(revision, &mut changes).await?;
        }
        for id in committed.forgotten {
            self.board.remove(&id);
            self.sessions.forget(&id);
            self.wakes.remove(&id);
            self.unsaved.remove(&id);
            self.recorded.remove(&id);
        }
        for (id, problem) in committed.impossible {
            if let Some(known) = self.view.tenants.get_mut(&id) {
                known.render_error = Some(berth_model::condition::clipped(problem));
            }
            changes.tenants.insert(id);
        }
        changes.tenants.extend(committed.tenants);
        changes.tenants.extend(committed.overtaken);
        Ok(changes)
    }

    pub(super) fn call(&mut self, call: InfraCall) {
        let Some(known) = self.view.tenants.get_mut(&call.tenant.id) else {
            return;
        };
        if known.infra.busy {
            return;
        }
        known.infra.busy = true;
        known.infra.looked_at = Some(self.clock.now());
        let (store, provisioner, bootstrapper) = (
            self.store.clone(),
            self.provisioner.clone(),
            self.bootstrapper.clone(),
        );
        let done = self.done.0.clone();
        while self.calls.try_join_next().is_some() {}
        self.calls.spawn(async move {
            let tenant = call.tenant.id.clone();
            let call =
                std::panic::AssertUnwindSafe(call.run(store, provisioner, bootstrapper)).catch_unwind();
            // Whatever happens to the call, the loop hears of its end.
            let outcome = match tokio::time::timeout(LONGEST_CALL, call).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) | Err(_) => {
                    error!(%tenant, "a call to the cloud or into a cluster broke off");
                    InfraDone::of(tenant)
                }
            };
            // The loop has ended: what was found out is in the store.
            drop(done.send(outcome).await);
        });
    }

    /// One of them is too large to be kept, which must not stop the others.
    pub(super) async fn save_conditions_singly(&mut self, group: &[TenantId]) -> Result<(), FleetError> {
        for id in group {
            match self
                .store
                .txn(load::conditions(&self.view, std::slice::from_ref(id)))
                .await
            {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error @ StoreError::Invalid { .. }) => {
                    warn!(tenant = %id, %error, "the conditions cannot be kept")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Saves the conditions that changed, for their transition times.
    pub(super) async fn save_conditions(&mut self) -> Result<(), FleetError> {
        // A hub that only observes writes nothing: what it restored stays as it was until somebody decides.
        if self.mode == Mode::Observe {
            return Ok(());
        }
        let unsaved: Vec<TenantId> = std::mem::take(&mut self.unsaved).into_iter().collect();
        for (done, group) in unsaved.chunks(100).enumerate() {
            match self.store.txn(load::conditions(&self.view, group)).await {
                Ok(_) => {}
                // One of them is gone: the rest is saved with the next sweep.
                Err(StoreError::Conflict { .. }) => {
                    self.unsaved.extend(
                        group
                            .iter()
                            .filter(|id| self.view.tenants.contains_key(*id))
                            .cloned(),
                    );
                }
                Err(StoreError::Invalid { .. }) => self.save_conditions_singly(group).await?,
                Err(error) => {
                    self.unsaved.extend(unsaved.iter().skip(done * 100).cloned());
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }
}
