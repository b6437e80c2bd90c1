//! Does what plans say, as the control loop, a cloud and the agents would, in one thread and in no time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_model::{
    Cluster, ClusterFacts, ClusterInfra, ClusterName, ClusterPurpose, Digest, Findings, Generation, Health,
    NodePoolInfra, Observed, Organisation, OrganisationName, Placement, Revision, TenantId, TenantReport,
    Verdict,
    breaker::{BreakerMemory, Released},
    cluster::PoolFacts,
    infra::InfraPhase,
    report::ApplyState,
};

use super::shared;
use crate::{
    Changes, Finding, Plan, Scope, closure, lint, plan,
    plan::Step,
    view::{Assigned, Evidence, Placed, Probed, SessionView, View},
};

/// How long evidence of walls is believed here.
pub const BELIEVED: Duration = Duration::from_secs(1_800);

/// A fleet whose plans are done.
#[derive(Clone, Debug)]
pub struct World {
    /// What the planner sees.
    pub view: View,
    /// What changed since the last plan.
    pub changes: Changes,
    /// Everything that the lint has found.
    pub findings: Vec<Finding>,
}

impl World {
    /// A world of `view`.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self {
            view,
            changes: Changes::default(),
            findings: Vec::new(),
        }
    }

    /// Lets time pass; connected agents keep their evidence fresh.
    pub fn pass(&mut self, time: Duration) {
        self.view.now = self.view.now.checked_add(time).unwrap_or(self.view.now);
        let now = self.view.now;
        for known in self.view.clusters.values_mut() {
            if known.session.is_some() {
                known.evidence_at = Some(now);
            }
        }
    }

    /// Plans what the changes concern and does it. Says what the plan was.
    pub fn turn(&mut self) -> Plan {
        let changes = std::mem::take(&mut self.changes);
        let scope = closure(&self.view, &changes);
        self.turn_of(&scope)
    }

    /// Plans `scope` and does it. Says what the plan was.
    pub fn turn_of(&mut self, scope: &Scope) -> Plan {
        let plan = plan(&self.view, scope);
        self.findings.extend(lint(&self.view, &plan));
        for (id, status) in &plan.status {
            if let Some(known) = self.view.tenants.get_mut(id) {
                known.conditions = status.conditions.clone();
            }
        }
        for step in &plan.steps {
            self.changes.tenants.insert(step.tenant().clone());
            self.take(step);
        }
        plan
    }

    fn take(&mut self, step: &Step) {
        let id = step.tenant().clone();
        let now = self.view.now;
        match step.clone() {
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
                if let Placement::Cluster { cluster } = &placement
                    && !self.view.clusters.contains_key(cluster)
                {
                    let made = Cluster {
                        region,
                        facts: None,
                        accepted_gaps: berth_model::AcceptedGaps::new(),
                        joined_at: None,
                        kubernetes_uid: String::new(),
                        awaiting_acceptance: false,
                        revoked: None,
                        purpose: ClusterPurpose::Dedicated {
                            tenant: id.clone(),
                            uid,
                        },
                        ..shared(cluster.as_str(), 0)
                    };
                    self.changes.clusters.insert(cluster.clone());
                    self.view.set_cluster(Arc::new(made));
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
                self.changes.room |= self.view.set_placed(&id, Some(placed));
            }
            Step::Forget { cluster, .. } => {
                if let Some(cluster) = cluster {
                    self.view.remove_cluster(&cluster);
                    self.changes.clusters.insert(cluster);
                }
                self.view.remove_tenant(&id);
            }
            Step::Assign {
                cluster,
                tenant_generation,
                ..
            } => self.assign(&id, &cluster, tenant_generation),
            Step::Withdraw {
                cluster, confirmed, ..
            } => {
                let begun = self
                    .view
                    .tenants
                    .get(&id)
                    .and_then(|known| known.assigned.as_ref())
                    .is_none_or(|assigned| assigned.withdrawing);
                if !begun && !confirmed {
                    let oldest = self.view.settings.breaker.oldest(now);
                    self.breaker(&cluster, |memory| memory.count(now, oldest));
                }
                self.assigned(&id, |assigned| assigned.withdrawing = true);
            }
            Step::TripBreaker { cluster, tripped, .. } => {
                self.breaker(&cluster, |memory| memory.tripped = Some(tripped))
            }
            Step::SaveWithdrawn { .. } => self.assigned(&id, |assigned| assigned.withdrawn = true),
            Step::EnsureNodePool(step) => {
                let made = NodePoolInfra {
                    phase: InfraPhase::Active,
                    cloud_name: step.pool.to_string(),
                    desired_nodes: 2,
                };
                self.looked(&id, step.attempt, |observed| {
                    observed.pool = Some(Observed::Known(made))
                });
                let nodes = PoolFacts {
                    nodes: 2,
                    ready_nodes: 2,
                    ..PoolFacts::default()
                };
                self.facts(&step.cluster, |facts| {
                    facts.pools.insert(step.pool.to_string(), nodes);
                });
            }
            Step::ReleaseNodePool(step) => {
                self.looked(&id, step.attempt, |observed| {
                    observed.pool = Some(Observed::Absent)
                });
                self.facts(&step.cluster, |facts| {
                    facts.pools.remove(step.pool.as_str());
                });
            }
            Step::EnsureCluster(step) => {
                let made = ClusterInfra {
                    phase: InfraPhase::Active,
                    cloud_name: step.cluster.to_string(),
                    endpoint: String::new(),
                    ca_pem: String::new(),
                    kubernetes_version: step.template.kubernetes_version,
                    waiting_for: String::new(),
                };
                self.looked(&id, step.attempt, |observed| {
                    observed.cluster = Some(Observed::Known(made))
                });
            }
            Step::ReleaseCluster(step) => {
                self.looked(&id, step.attempt, |observed| {
                    observed.cluster = Some(Observed::Absent)
                });
                if let Some(known) = self.view.clusters.get_mut(&step.cluster) {
                    known.session = None;
                }
            }
            Step::Bootstrap(step) => {
                if let Some(known) = self.view.tenants.get_mut(&id) {
                    known.infra.bootstrapped = true;
                    known.infra.looked_at = Some(now);
                }
                self.dial_in(&step.cluster);
            }
            Step::Resend { .. } => {}
        }
    }

    fn breaker(&mut self, cluster: &ClusterName, change: impl FnOnce(&mut BreakerMemory)) {
        change(&mut self.view.breakers.entry(cluster.clone()).or_default().memory);
        self.changes.breakers.insert(cluster.clone());
    }

    /// An operator confirms that what was asked for on `cluster` until now is meant.
    pub fn release(&mut self, cluster: &ClusterName) {
        let newest = self
            .view
            .tenants
            .values()
            .map(|known| known.tenant.revision)
            .max()
            .unwrap_or_default();
        let released = Released {
            at: self.view.now,
            revision: newest,
        };
        self.breaker(cluster, |memory| memory.release(released));
    }

    fn dial_in(&mut self, cluster: &ClusterName) {
        let now = self.view.now;
        if let Some(known) = self.view.clusters.get_mut(cluster) {
            known.session = Some(SessionView {
                held: BTreeMap::new(),
                agent_version: "0.1.0".into(),
                api_error: None,
            });
            known.evidence_at = Some(now);
            let record = Arc::make_mut(&mut known.cluster);
            record.joined_at = Some(now);
            record.facts = Some(ClusterFacts {
                kubernetes_version: "v1.33.0".into(),
                ..ClusterFacts::default()
            });
        }
        self.changes.clusters.insert(cluster.clone());
    }

    fn looked(&mut self, id: &TenantId, attempt: u32, change: impl FnOnce(&mut berth_model::Infra)) {
        let now = self.view.now;
        if let Some(known) = self.view.tenants.get_mut(id) {
            known.infra.attempt = attempt;
            known.infra.looked_at = Some(now);
            known.infra.observed.trouble = None;
            change(&mut known.infra.observed);
        }
    }

    /// The agent of `cluster` reports something else.
    pub fn facts(&mut self, cluster: &ClusterName, change: impl FnOnce(&mut ClusterFacts)) {
        if let Some(facts) = self
            .view
            .clusters
            .get_mut(cluster)
            .and_then(|known| Arc::make_mut(&mut known.cluster).facts.as_mut())
        {
            change(facts);
        }
        self.changes.clusters.insert(cluster.clone());
    }

    fn assigned(&mut self, id: &TenantId, change: impl FnOnce(&mut Assigned)) {
        if let Some(assigned) = self
            .view
            .tenants
            .get_mut(id)
            .and_then(|known| known.assigned.as_mut())
        {
            change(assigned);
        }
    }

    fn assign(&mut self, id: &TenantId, cluster: &ClusterName, tenant_generation: Generation) {
        let Some(known) = self.view.tenants.get_mut(id) else {
            return;
        };
        let generation = known
            .assigned
            .as_ref()
            .map_or(Generation(1), |assigned| assigned.generation.next());
        let digest = Digest::new(format!("{:064x}", generation.0)).expect("64 digits");
        known.assigned = Some(Assigned {
            cluster: cluster.clone(),
            generation,
            digest,
            term: self.view.term,
            tenant_generation,
            withdrawing: false,
            withdrawn: false,
        });
    }

    /// Every connected agent does what it was told and says so.
    pub fn agents_act(&mut self) {
        let ids: Vec<TenantId> = self.view.tenants.keys().cloned().collect();
        for id in ids {
            self.agent_acts(&id, ApplyState::Applied, Health::healthy());
        }
    }

    /// The tenant's agent, when it is connected, takes what it was told and says `apply` and `health`; what is being withdrawn is
    /// withdrawn.
    pub fn agent_acts(&mut self, id: &TenantId, apply: ApplyState, health: Health) {
        let now = self.view.now;
        let Some(known) = self.view.tenants.get_mut(id) else {
            return;
        };
        let Some(assigned) = &known.assigned else { return };
        let Some(session) = self
            .view
            .clusters
            .get_mut(&assigned.cluster)
            .and_then(|known| known.session.as_mut())
        else {
            return;
        };
        let held = (
            known.tenant.uid.clone(),
            assigned.generation,
            assigned.digest.clone(),
        );
        let apply = if assigned.withdrawing {
            ApplyState::Withdrawn
        } else {
            apply
        };
        if assigned.withdrawing {
            session.held.remove(id);
        } else {
            session.held.insert(id.clone(), held);
        }
        known.report = Some(Evidence {
            report: TenantReport {
                tenant: id.clone(),
                uid: known.tenant.uid.clone(),
                generation: assigned.generation,
                digest: assigned.digest.clone(),
                apply,
                health,
                observed_at: now,
            },
            at: now,
        });
        self.changes.tenants.insert(id.clone());
    }

    /// The tenant's agent proves something of its walls, as of now.
    pub fn prove(&mut self, id: &TenantId, verdict: Verdict) {
        let now = self.view.now;
        let Some(known) = self.view.tenants.get_mut(id) else {
            return;
        };
        let Some(assigned) = &known.assigned else { return };
        known.probed = Some(Probed {
            uid: known.tenant.uid.clone(),
            cluster: assigned.cluster.clone(),
            generation: assigned.generation,
            digest: assigned.digest.clone(),
            findings: Findings {
                verdict,
                passed: 1,
                failed: 0,
                not_tried: 0,
                told: "found".into(),
            },
            at: now,
            believed_for: BELIEVED,
        });
    }

    /// A person changes a tenant's record.
    pub fn change(&mut self, id: &TenantId, change: impl FnOnce(&mut berth_model::Tenant)) {
        if let Some(known) = self.view.tenants.get_mut(id) {
            let tenant = Arc::make_mut(&mut known.tenant);
            change(tenant);
            tenant.generation = tenant.generation.next();
            tenant.revision = Revision(tenant.revision.0 + 1);
        }
        self.view.retouch(id);
        self.changes.tenants.insert(id.clone());
    }

    /// A person makes an organisation or changes it.
    pub fn organise(&mut self, organisation: Organisation) {
        self.changes.organisations.insert(organisation.name.clone());
        self.view
            .organisations
            .insert(organisation.name.clone(), Arc::new(organisation));
    }

    /// An organisation is gone.
    pub fn dissolve(&mut self, name: &str) {
        self.view.organisations.retain(|known, _| known.as_str() != name);
        self.changes
            .organisations
            .extend(OrganisationName::new(name).ok());
    }

    /// A person asks for a tenant's deletion.
    pub fn delete(&mut self, id: &TenantId) {
        let now = self.view.now;
        self.change(id, |tenant| tenant.deleting_since = Some(now));
    }

    /// Turns with time passing between until nothing is done any more; how many it took.
    pub fn settle(&mut self) -> usize {
        let mut idle = 0;
        for turn in 0..100 {
            self.agents_act();
            // Two idle turns: the first may only wait for a time that comes.
            idle = if self.turn_of(&Scope::All).steps.is_empty() {
                idle + 1
            } else {
                0
            };
            if idle == 2 {
                return turn;
            }
            self.pass(Duration::from_secs(11));
        }
        100
    }
}
