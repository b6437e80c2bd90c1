//! Each step of a plan as writes to the store.

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{
    Assignment, ClusterName, Digest, FleetId, Generation, Revision, TenantId, Term, Timestamp, Uid,
    breaker::BreakerMemory,
};
use berth_plan::{
    plan::Step,
    view::{Assigned, Placed, View},
};
use berth_store::{Store, StoreError, Txn};
use tracing::{error, info};

use super::{
    batch::{Batch, Prepared},
    infra::InfraCall,
    workload::{Bundles, Rendered, render},
};
use crate::{keys, objects, outbox::Command, sessions::Sessions};

/// Parts of content that are written in the same transaction as what names them: one sync for the usual tenant.
const PARTS_WITH_THE_STEP: usize = 4;

/// Tenants of one cluster that one write takes away: within the writes of one transaction.
const MOST_COUNTED: usize = 40;

/// Turns steps into writes and calls.
pub(crate) struct Executor {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sessions: Sessions,
    pub(crate) fleet: FleetId,
    pub(crate) term: Term,
    pub(crate) bundles: Bundles,
    /// Placements of the plan that is being carried out: an assignment of the same plan follows them into the same write.
    pub(crate) placing: BTreeMap<TenantId, Placed>,
    /// When each tenant's agent was last told of it: what was said a moment ago is not said again.
    pub(crate) told: BTreeMap<TenantId, Timestamp>,
    /// Breakers with what the plan that is being carried out counts.
    pub(crate) breakers: BTreeMap<ClusterName, BreakerMemory>,
}

/// What a step came to before anything was written.
pub(crate) enum Outcome {
    /// It is in the batch.
    Batched,
    /// It was only something to say, and was said.
    Said,
    /// A call outside, to be made beside the loop.
    Call(Box<InfraCall>),
    /// The tenant cannot be rendered.
    CannotRender(String),
    /// There is enough of its kind in the batch: to be decided again when that is written.
    Later,
    /// The view has moved on since it was decided.
    Overtaken,
}

impl Executor {
    /// Prepares one step.
    pub(crate) async fn prepare(
        &mut self,
        view: &View,
        step: Step,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<Outcome, StoreError> {
        let Some(known) = view.tenants.get(step.tenant()) else {
            return Ok(Outcome::Overtaken);
        };
        let tenant = known.tenant.clone();
        let unchanged = Txn::new().if_revision(keys::tenant(&tenant.id), tenant.revision);
        match step {
            Step::SavePlacement {
                uid,
                placement,
                reserved,
                namespaces,
                generation,
                reason,
                region,
                accepted_gaps,
                ..
            } => {
                info!(tenant = %tenant.id, cluster = %placement.cluster(), isolation = %placement.isolation(), %reason, "placed");
                // A cluster that was cordoned, or taken out of the fleet, since it was looked at takes nobody.
                let mut txn = match view.clusters.get(placement.cluster()) {
                    Some(known) => {
                        unchanged.if_revision(keys::cluster(placement.cluster()), known.cluster.revision)
                    }
                    None => unchanged,
                };
                if let berth_model::Placement::Cluster { cluster } = &placement
                    && !view.clusters.contains_key(cluster)
                {
                    let made =
                        crate::load::dedicated(cluster.clone(), tenant.id.clone(), uid.clone(), region, now);
                    txn = txn
                        .if_absent(keys::cluster(cluster))
                        .put(keys::cluster(cluster), crate::load::encode_cluster(&made, ""));
                }
                let placed = Placed {
                    placement,
                    reserved,
                    namespaces,
                    generation,
                    decided_at: now,
                    reason,
                    accepted_gaps,
                };
                txn = txn.put(
                    keys::placement(&tenant.id),
                    crate::load::encode_placed(&uid, &placed),
                );
                batch.push(Prepared::new(tenant.id.clone(), txn));
                self.placing.insert(tenant.id.clone(), placed);
                Ok(Outcome::Batched)
            }
            Step::Assign {
                uid,
                cluster,
                tenant_generation,
                ..
            } => {
                let placing = self.placing.get(&tenant.id).cloned();
                let Some(placed) = placing.as_ref().or(known.placed.as_ref()) else {
                    return Ok(Outcome::Overtaken);
                };
                let rendered =
                    match render(self.store.as_ref(), &mut self.bundles, view, &tenant, placed).await? {
                        Ok(rendered) => rendered,
                        Err(problem) => return Ok(Outcome::CannotRender(problem)),
                    };
                let held = view
                    .clusters
                    .get(&cluster)
                    .and_then(|known| known.session.as_ref()?.held.get(&tenant.id))
                    .filter(|(held, _, _)| *held == uid);
                let prepared = self
                    .assign(
                        unchanged,
                        held.map(|(_, generation, digest)| (*generation, digest)),
                        known.assigned.as_ref(),
                        &tenant.id,
                        uid,
                        cluster,
                        tenant_generation,
                        rendered,
                    )
                    .await?;
                self.told.insert(tenant.id.clone(), now);
                batch.push(prepared);
                Ok(Outcome::Batched)
            }
            Step::Resend { cluster, .. } => {
                let Some(assigned) = &known.assigned else {
                    return Ok(Outcome::Overtaken);
                };
                let command = self.command(&tenant.id, &tenant.uid, assigned, view.confirmed(known));
                self.say_again(view, &cluster, command, now);
                Ok(Outcome::Said)
            }
            Step::Withdraw {
                uid,
                cluster,
                confirmed,
                ..
            } => {
                let Some(assigned) = &known.assigned else {
                    return Ok(Outcome::Overtaken);
                };
                let withdrawing = Assigned {
                    withdrawing: true,
                    term: self.term,
                    ..assigned.clone()
                };
                let command = self.withdrawal(&tenant.id, &uid, confirmed);
                if assigned.withdrawing {
                    self.say_again(view, &cluster, command, now);
                    return Ok(Outcome::Said);
                }
                if !confirmed && batch.counted(&cluster) >= MOST_COUNTED {
                    return Ok(Outcome::Later);
                }
                info!(tenant = %tenant.id, %cluster, confirmed, "withdrawing");
                let txn = unchanged.put(
                    keys::assignment(&tenant.id),
                    crate::load::encode_assigned(&uid, &withdrawing),
                );
                self.told.insert(tenant.id.clone(), now);
                let step = Prepared {
                    tell: vec![(cluster.clone(), command)],
                    ..Prepared::new(tenant.id.clone(), txn)
                };
                if confirmed {
                    batch.push(step);
                } else {
                    let oldest = view.settings.breaker.oldest(now);
                    self.count(view, cluster, step, batch, |memory| memory.count(now, oldest));
                }
                Ok(Outcome::Batched)
            }
            Step::TripBreaker { cluster, tripped, .. } => {
                error!(%cluster, tenant = %tenant.id, went = tripped.went, allowed = tripped.allowed, held = tripped.held,
                    "the mass-delete breaker tripped: no more tenants are taken away from this cluster until berth release-breaker");
                let step = Prepared::new(tenant.id.clone(), unchanged);
                self.count(view, cluster, step, batch, |memory| {
                    memory.tripped = Some(tripped)
                });
                Ok(Outcome::Batched)
            }
            Step::SaveWithdrawn { uid, .. } => {
                let Some(assigned) = &known.assigned else {
                    return Ok(Outcome::Overtaken);
                };
                let withdrawn = Assigned {
                    withdrawing: true,
                    withdrawn: true,
                    term: self.term,
                    ..assigned.clone()
                };
                let txn = unchanged.put(
                    keys::assignment(&tenant.id),
                    crate::load::encode_assigned(&uid, &withdrawn),
                );
                batch.push(Prepared::new(tenant.id.clone(), txn));
                Ok(Outcome::Batched)
            }
            Step::Forget { cluster, .. } => {
                info!(tenant = %tenant.id, "gone");
                let mut txn = unchanged
                    .delete(keys::tenant(&tenant.id))
                    .delete(keys::placement(&tenant.id))
                    .delete(keys::assignment(&tenant.id))
                    .delete(keys::infra(&tenant.id))
                    .delete(keys::status(&tenant.id))
                    .delete(keys::evidence(&tenant.id));
                let after = match &known.assigned {
                    Some(assigned) => {
                        objects::keys_under(self.store.as_ref(), &keys::object_parts(&assigned.digest))
                            .await?
                    }
                    None => Vec::new(),
                };
                self.told.remove(&tenant.id);
                if let Some(cluster) = cluster {
                    txn = txn
                        .delete(keys::cluster(&cluster))
                        .delete(keys::breaker(&cluster));
                }
                batch.push(Prepared {
                    forget: true,
                    after,
                    ..Prepared::new(tenant.id.clone(), txn)
                });
                Ok(Outcome::Batched)
            }
            Step::EnsureNodePool(step) => Ok(Outcome::Call(Box::new(InfraCall::node_pool(
                &self.fleet,
                known,
                step,
                false,
            )))),
            Step::ReleaseNodePool(step) => Ok(Outcome::Call(Box::new(InfraCall::node_pool(
                &self.fleet,
                known,
                step,
                true,
            )))),
            Step::EnsureCluster(step) => Ok(Outcome::Call(Box::new(InfraCall::cluster(
                &self.fleet,
                known,
                step,
                false,
            )))),
            Step::ReleaseCluster(step) => Ok(Outcome::Call(Box::new(InfraCall::cluster(
                &self.fleet,
                known,
                step,
                true,
            )))),
            Step::Bootstrap(step) => Ok(Outcome::Call(Box::new(InfraCall::bootstrap(
                &self.fleet,
                known,
                step,
            )))),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one record")]
    async fn assign(
        &self,
        mut txn: Txn,
        held: Option<(Generation, &Digest)>,
        before: Option<&Assigned>,
        tenant: &TenantId,
        uid: Uid,
        cluster: ClusterName,
        tenant_generation: Generation,
        rendered: Rendered,
    ) -> Result<Prepared, StoreError> {
        // An agent takes nothing that is not newer than what it holds; after a restore that may be newer than what is here.
        let ahead = held.filter(|(generation, digest)| {
            before.is_none_or(|b| {
                *generation > b.generation || (*generation == b.generation && **digest != b.digest)
            })
        });
        let same = ahead.is_none()
            && before.is_some_and(|b| b.digest == rendered.digest && b.cluster == cluster && !b.withdrawing);
        let generation = match (before, ahead) {
            (_, Some((held, _))) => held.next(),
            (Some(before), None) if same => before.generation,
            (Some(before), None) => before.generation.next(),
            (None, None) => Generation(1),
        };
        let (mut before_parts, mut after) = (Vec::new(), Vec::new());
        if !same {
            // The digest names the tenant's uid in its content, so nobody else can need the old parts.
            if let Some(before) = before
                && before.digest != rendered.digest
            {
                after = objects::keys_under(self.store.as_ref(), &keys::object_parts(&before.digest)).await?;
            }
            let parts = objects::parts(&rendered.digest, &rendered.compressed);
            if parts.len() <= PARTS_WITH_THE_STEP {
                txn.puts.extend(parts);
            } else {
                before_parts = parts;
            }
        }
        let assigned = Assigned {
            cluster: cluster.clone(),
            generation,
            digest: rendered.digest,
            term: self.term,
            tenant_generation,
            withdrawing: false,
            withdrawn: false,
        };
        txn = txn.put(
            keys::assignment(tenant),
            crate::load::encode_assigned(&uid, &assigned),
        );
        let tell = (!same).then(|| (cluster, self.command(tenant, &uid, &assigned, false)));
        Ok(Prepared {
            tell: tell.into_iter().collect(),
            before: before_parts,
            after,
            ..Prepared::new(tenant.clone(), txn)
        })
    }

    /// Has the cluster's breaker remember what `step` does, in the same write.
    fn count(
        &mut self,
        view: &View,
        cluster: ClusterName,
        step: Prepared,
        batch: &mut Batch,
        change: impl FnOnce(&mut BreakerMemory),
    ) {
        let known = view.breakers.get(&cluster);
        let memory = self
            .breakers
            .entry(cluster.clone())
            .or_insert_with(|| known.map(|known| known.memory.clone()).unwrap_or_default());
        change(memory);
        let record = (
            keys::breaker(&cluster),
            crate::load::encode_breaker(memory).into(),
        );
        let version = known.map_or(Revision(0), |known| known.revision);
        batch.push_counted(cluster, step, record, version);
    }

    /// Says what was said before, unless that was a moment ago: an agent that refuses is not asked at network speed.
    fn say_again(&mut self, view: &View, cluster: &ClusterName, command: Command, now: Timestamp) {
        let pause = view.settings.resend_after;
        let lately = self.told.get(command.tenant()).is_some_and(|at| {
            u128::try_from(now.as_millisecond() - at.as_millisecond())
                .is_ok_and(|age| age < pause.as_millis())
        });
        if let Some(outbox) = self.sessions.outbox(cluster).filter(|_| !lately) {
            self.told.insert(command.tenant().clone(), now);
            outbox.tell(command);
        }
    }

    fn withdrawal(&self, tenant: &TenantId, uid: &Uid, confirmed: bool) -> Command {
        Command::Withdraw {
            tenant: tenant.clone(),
            uid: uid.clone(),
            term: self.term,
            confirmed,
        }
    }

    /// What is to be said of a saved assignment.
    pub(crate) fn command(
        &self,
        tenant: &TenantId,
        uid: &Uid,
        assigned: &Assigned,
        confirmed: bool,
    ) -> Command {
        if assigned.withdrawing {
            return self.withdrawal(tenant, uid, confirmed);
        }
        Command::Assign(Assignment {
            tenant: tenant.clone(),
            uid: uid.clone(),
            cluster: assigned.cluster.clone(),
            generation: assigned.generation,
            digest: assigned.digest.clone(),
            term: self.term,
        })
    }
}
