//! Calls to a cloud and into new clusters: made beside the loop, one at a time per tenant, saved before and after.

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{
    FleetId, Infra, Observed, Revision, Tenant, TenantId, condition::clipped, infra::Trouble, label,
};
use berth_plan::{
    plan::{ClusterStep, NodePoolStep},
    view::{InfraView, TenantView},
};
use berth_provision::{ClusterRequest, Failure, NodePoolRequest, Origin, Provisioner};
use berth_store::{Store, StoreError, Txn};
use berth_wire::record::{self, InfraRecord};
use tracing::{info, warn};

use crate::{keys, seams::Bootstrapper};

/// One call, with everything it needs.
pub(crate) struct InfraCall {
    pub(crate) tenant: Arc<Tenant>,
    before: InfraView,
    what: What,
}

enum What {
    NodePool { request: NodePoolRequest, release: bool },
    Cluster { request: ClusterRequest, release: bool },
    Bootstrap { request: ClusterRequest },
}

/// What came of a call; what it found out is in the store.
#[derive(Debug)]
pub(crate) struct InfraDone {
    pub(crate) tenant: TenantId,
    /// What was wrong with a bootstrap.
    pub(crate) bootstrap_trouble: Option<String>,
    /// Up to where the watch has to be followed before the view holds what was found out.
    pub(crate) revision: Option<Revision>,
    /// The record could not be written.
    pub(crate) store_error: Option<StoreError>,
}

impl InfraDone {
    /// Of a call that found out nothing.
    pub(crate) const fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            bootstrap_trouble: None,
            revision: None,
            store_error: None,
        }
    }
}

impl InfraCall {
    pub(crate) fn node_pool(fleet: &FleetId, known: &TenantView, step: NodePoolStep, release: bool) -> Self {
        let request = NodePoolRequest {
            origin: origin(fleet, &known.tenant, step.attempt),
            cluster: step.cluster,
            cloud_cluster: step.cloud_cluster,
            region: step.region,
            pool: step.pool,
            template: step.template,
            labels: node_labels(&known.tenant),
            tags: tags(&known.tenant),
        };
        Self {
            tenant: known.tenant.clone(),
            before: with_attempt(known, step.attempt),
            what: What::NodePool { request, release },
        }
    }

    pub(crate) fn cluster(fleet: &FleetId, known: &TenantView, step: ClusterStep, release: bool) -> Self {
        let attempt = step.attempt;
        let request = cluster_request(fleet, known, step);
        Self {
            tenant: known.tenant.clone(),
            before: with_attempt(known, attempt),
            what: What::Cluster { request, release },
        }
    }

    pub(crate) fn bootstrap(fleet: &FleetId, known: &TenantView, step: ClusterStep) -> Self {
        let attempt = step.attempt;
        let request = cluster_request(fleet, known, step);
        Self {
            tenant: known.tenant.clone(),
            before: with_attempt(known, attempt),
            what: What::Bootstrap { request },
        }
    }

    /// Makes the call.
    pub(crate) async fn run(
        self,
        store: Arc<dyn Store>,
        provisioner: Arc<dyn Provisioner>,
        bootstrapper: Arc<dyn Bootstrapper>,
    ) -> InfraDone {
        let tenant = self.tenant.id.clone();
        let mut done = InfraDone::of(tenant);
        let result = match self.what {
            What::Bootstrap { request } => {
                bootstrap(
                    &self.tenant,
                    &self.before,
                    &request,
                    store.as_ref(),
                    provisioner.as_ref(),
                    bootstrapper.as_ref(),
                    &mut done,
                )
                .await
            }
            What::NodePool { ref request, release } => {
                let mut infra = self.before.observed.clone();
                infra.pool = Some(Observed::Unknown);
                let saved = self.save_before(&infra, store.as_ref()).await;
                if let Err(error) = saved {
                    Err(error)
                } else {
                    let answer = if release {
                        provisioner.release_node_pool(request).await
                    } else {
                        provisioner.ensure_node_pool(request).await
                    };
                    note(&self.tenant.id, "node pool", answer.as_ref().err());
                    match answer {
                        Ok(seen) => {
                            infra.pool = Some(seen);
                            infra.trouble = None;
                        }
                        Err(failure) => {
                            infra.trouble = Some(counted(failure, self.before.observed.trouble.as_ref()))
                        }
                    }
                    self.save_after(&infra, store.as_ref()).await
                }
            }
            What::Cluster { ref request, release } => {
                let mut infra = self.before.observed.clone();
                infra.cluster = Some(Observed::Unknown);
                let saved = self.save_before(&infra, store.as_ref()).await;
                if let Err(error) = saved {
                    Err(error)
                } else {
                    let answer = if release {
                        provisioner.release_cluster(request).await
                    } else {
                        provisioner.ensure_cluster(request).await
                    };
                    note(&self.tenant.id, "cluster", answer.as_ref().err());
                    match answer {
                        Ok(seen) => {
                            infra.cluster = Some(seen);
                            infra.trouble = None;
                        }
                        Err(failure) => {
                            infra.trouble = Some(counted(failure, self.before.observed.trouble.as_ref()))
                        }
                    }
                    self.save_after(&infra, store.as_ref()).await
                }
            }
        };
        match result {
            Ok(revision) => done.revision = revision,
            Err(error) => done.store_error = Some(error),
        }
        done
    }

    /// Saves the origin and that nobody knows, before a call that may change something: a hub that dies between the two finds
    /// its work again. A look at something that is known to be under way needs no such note.
    async fn save_before(&self, unknown: &Infra, store: &dyn Store) -> Result<Option<Revision>, StoreError> {
        let noted = self.before.observed.pool.is_some() || self.before.observed.cluster.is_some();
        let under_way = matches!(&self.before.observed.pool, Some(Observed::Known(pool)) if moving(pool.phase))
            || matches!(&self.before.observed.cluster, Some(Observed::Known(cluster)) if moving(cluster.phase));
        if noted && (under_way || self.before.observed == *unknown) {
            return Ok(None);
        }
        self.save(unknown, store).await
    }

    async fn save_after(&self, infra: &Infra, store: &dyn Store) -> Result<Option<Revision>, StoreError> {
        if *infra == self.before.observed {
            return Ok(None);
        }
        self.save(infra, store).await
    }

    async fn save(&self, infra: &Infra, store: &dyn Store) -> Result<Option<Revision>, StoreError> {
        save(
            &self.tenant,
            self.before.attempt,
            infra,
            self.before.bootstrapped,
            store,
        )
        .await
    }
}

const fn moving(phase: berth_model::infra::InfraPhase) -> bool {
    use berth_model::infra::InfraPhase as P;
    matches!(phase, P::Creating | P::Updating | P::Deleting)
}

async fn save(
    tenant: &Tenant,
    attempt: u32,
    infra: &Infra,
    bootstrapped: bool,
    store: &dyn Store,
) -> Result<Option<Revision>, StoreError> {
    let record = InfraRecord {
        tenant_uid: tenant.uid.clone(),
        attempt,
        observed: infra.clone(),
        bootstrapped,
    };
    let encoded = record::encode_infra(&record).map_err(|error| StoreError::Invalid {
        problem: error.to_string(),
    })?;
    let key = keys::tenant(&tenant.id);
    // The record is the tenant's of this uid, whatever else has changed of it meanwhile.
    loop {
        let Some(entry) = store.get(&key).await? else {
            return Err(StoreError::Conflict { key, found: None });
        };
        let ours = crate::load::tenant(&entry.value, entry.revision).is_ok_and(|now| now.uid == tenant.uid);
        if !ours {
            return Err(StoreError::Conflict {
                key,
                found: Some(entry.revision),
            });
        }
        let txn = Txn::new()
            .if_revision(key.clone(), entry.revision)
            .put(keys::infra(&tenant.id), encoded.clone());
        match store.txn(txn).await {
            Err(StoreError::Conflict { .. }) => {}
            other => return other.map(Some),
        }
    }
}

async fn bootstrap(
    tenant: &Tenant,
    before: &InfraView,
    request: &ClusterRequest,
    store: &dyn Store,
    provisioner: &dyn Provisioner,
    bootstrapper: &dyn Bootstrapper,
    done: &mut InfraDone,
) -> Result<Option<Revision>, StoreError> {
    let outcome = match provisioner.cluster_access(request).await {
        Ok(access) => bootstrapper.bootstrap(&request.cluster, &access).await,
        Err(failure) => Err(failure.to_string()),
    };
    match outcome {
        Ok(()) => {
            info!(tenant = %tenant.id, cluster = %request.cluster, "agent brought into the cluster");
            save(tenant, before.attempt, &before.observed, true, store).await
        }
        Err(problem) => {
            warn!(tenant = %tenant.id, cluster = %request.cluster, %problem, "the agent could not be brought in yet");
            done.bootstrap_trouble = Some(clipped(problem));
            Ok(None)
        }
    }
}

fn note(tenant: &TenantId, what: &str, failure: Option<&Failure>) {
    if let Some(failure) = failure {
        warn!(%tenant, what, code = %failure.trouble.code, class = ?failure.trouble.class, message = %failure.trouble.message, "the cloud refused");
    }
}

fn counted(failure: Failure, before: Option<&Trouble>) -> Trouble {
    let attempts = before.map_or(0, |trouble| trouble.attempts).saturating_add(1);
    let Trouble {
        class, code, message, ..
    } = failure.trouble;
    Trouble {
        class,
        code: clipped(code),
        message: clipped(message),
        attempts,
    }
}

fn with_attempt(known: &TenantView, attempt: u32) -> InfraView {
    InfraView {
        attempt,
        ..known.infra.clone()
    }
}

fn origin(fleet: &FleetId, tenant: &Tenant, attempt: u32) -> Origin {
    Origin {
        fleet: fleet.clone(),
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
        attempt,
    }
}

fn cluster_request(fleet: &FleetId, known: &TenantView, step: ClusterStep) -> ClusterRequest {
    ClusterRequest {
        origin: origin(fleet, &known.tenant, step.attempt),
        cluster: step.cluster,
        region: step.region,
        template: step.template,
        labels: node_labels(&known.tenant),
        tags: tags(&known.tenant),
        agent_connected: step.agent_connected,
    }
}

fn node_labels(tenant: &Tenant) -> BTreeMap<String, String> {
    BTreeMap::from([(label::TENANT.to_owned(), tenant.id.to_string())])
}

fn tags(tenant: &Tenant) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::from([(label::TIER.to_owned(), tenant.spec.tier.to_string())]);
    if !tenant.spec.billing.cost_centre.is_empty() {
        tags.insert(
            label::COST_CENTRE.to_owned(),
            tenant.spec.billing.cost_centre.clone(),
        );
    }
    tags
}
