//! TenantService.

use std::sync::{Mutex, PoisonError};

use berth_control::{
    RegistryError, TenantSnapshot,
    registry::{Accepted, Shown, TenantChange},
};
use berth_model::{
    AcceptedGaps, Conditions, Health, HealthState, Revision, Tenant, TenantId, TenantSpec, Traits, Truth,
    Violation,
    operation::{Operation, OperationVerb, Outcome},
};
use berth_plan::authorize::terms_changed;
use berth_proto::v1::{self, tenant_service_server::TenantService};
use berth_wire::{api, names};
use tonic::{Request, Response, Status};

use super::{
    Api, credential,
    error::{invalid, refused, status},
    paging, watch,
};
use crate::calls::Access;

/// The service.
pub struct Tenants(pub Api);

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn create_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Result<Response<v1::CreateTenantResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let spec = self
            .checked_spec(&request.tenant_id, request.tenant.as_ref())
            .await?;
        access.demand("tenants.create", &request.tenant_id, &Traits::of(&spec))?;
        let Accepted { tenant, warnings } = self
            .0
            .registry
            .create_tenant(
                &request.tenant_id,
                spec,
                &request.request_id,
                request.validate_only,
            )
            .await
            .map_err(status)?;
        Ok(Response::new(v1::CreateTenantResponse {
            operation: Some(operation(&tenant, None)),
            tenant: Some(self.shown(&tenant)),
            warnings,
        }))
    }

    async fn get_tenant(
        &self,
        request: Request<v1::GetTenantRequest>,
    ) -> Result<Response<v1::GetTenantResponse>, Status> {
        let id = names::parse_tenant("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let tenant = self.0.registry.tenant(&id).await.map_err(status)?;
        Ok(Response::new(v1::GetTenantResponse {
            tenant: Some(self.shown(&tenant)),
        }))
    }

    async fn list_tenants(
        &self,
        request: Request<v1::ListTenantsRequest>,
    ) -> Result<Response<v1::ListTenantsResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let own = |tenant: &Tenant| access.sees("tenants.list", tenant);
        let shown: Option<Shown<'_, Tenant>> = (!access.sees_all("tenants.list")).then_some(&own);
        let filter = Filter::parse(&request.filter).map_err(|v| invalid(vec![v]))?;
        let size = paging::size(request.page_size)?;
        let listed = self
            .0
            .registry
            .tenants(paging::after(&request.page_token), size, shown)
            .await
            .map_err(status)?;
        let tenants = listed
            .items
            .iter()
            .map(|tenant| self.shown(tenant))
            .filter(|tenant| filter.takes(tenant))
            .collect();
        Ok(Response::new(v1::ListTenantsResponse {
            tenants,
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn update_tenant(
        &self,
        request: Request<v1::UpdateTenantRequest>,
    ) -> Result<Response<v1::UpdateTenantResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let Some(given) = request.tenant else {
            return Err(invalid(vec![Violation::new(
                "tenant",
                "is missing",
                "send the tenant with its name",
            )]));
        };
        let id = names::parse_tenant("tenant.name", &given.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("tenant.etag", &given.etag).map_err(|v| invalid(vec![v]))?;
        let spec = given.spec.clone().unwrap_or_default();
        if request.update_mask.is_none() {
            self.checked_spec(id.as_str(), Some(&given)).await?;
        }
        let mask: Vec<String> = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        let refused = Refused::default();
        let change = |old: Option<&TenantSpec>| {
            let new = api::tenant_spec_masked(old, &spec, &mask).map_err(RegistryError::Invalid)?;
            refused.unless(may_change(&access, id.as_str(), old, &new))?;
            Ok(new)
        };
        let updated = self
            .0
            .registry
            .update_tenant(TenantChange {
                id: id.to_string(),
                change,
                etag,
                request_id: request.request_id,
                validate_only: request.validate_only,
                allow_missing: request.allow_missing,
            })
            .await;
        let Accepted { tenant, warnings } = updated.map_err(|error| refused.or(error))?;
        Ok(Response::new(v1::UpdateTenantResponse {
            operation: Some(operation(&tenant, None)),
            tenant: Some(self.shown(&tenant)),
            warnings,
        }))
    }

    async fn delete_tenant(
        &self,
        request: Request<v1::DeleteTenantRequest>,
    ) -> Result<Response<v1::DeleteTenantResponse>, Status> {
        let request = request.into_inner();
        let id = names::parse_tenant("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("etag", &request.etag).map_err(|v| invalid(vec![v]))?;
        match self
            .0
            .registry
            .delete_tenant(&id, etag, request.validate_only)
            .await
        {
            Ok(tenant) => Ok(Response::new(v1::DeleteTenantResponse {
                operation: Some(operation(&tenant, None)),
                tenant: Some(self.shown(&tenant)),
            })),
            Err(berth_control::RegistryError::NotFound { .. }) if request.allow_missing => {
                Ok(Response::new(v1::DeleteTenantResponse::default()))
            }
            Err(error) => Err(status(error)),
        }
    }

    async fn explain_tenant(
        &self,
        request: Request<v1::ExplainTenantRequest>,
    ) -> Result<Response<v1::ExplainTenantResponse>, Status> {
        // What speaks for or against clusters is told to those who may see them.
        let sees_clusters = Access::of(&request)?.sees_all("clusters.list");
        let request = request.into_inner();
        let explanation = match &request.tenant {
            Some(given) => {
                let id = names::parse_tenant("tenant.name", &given.name).map_err(|v| invalid(vec![v]))?;
                let spec = spec_of(Some(given)).map_err(invalid)?;
                self.0.leading()?.fleet.explain_spec(id, spec).await
            }
            None => {
                let id = names::parse_tenant("name", &request.name).map_err(|v| invalid(vec![v]))?;
                self.0.registry.tenant(&id).await.map_err(status)?;
                self.0.leading()?.fleet.explain(id).await
            }
        };
        let Some(explanation) = explanation else {
            return Err(refused(
                tonic::Code::Unavailable,
                "NOT_SEEN_YET",
                "the tenant was accepted just now and not looked at yet; ask again",
            ));
        };
        Ok(Response::new(v1::ExplainTenantResponse {
            summary: explanation.summary,
            steps: explanation.steps,
            candidates: explanation
                .candidates
                .into_iter()
                .filter(|_| sees_clusters)
                .map(|candidate| v1::Candidate {
                    cluster: candidate.cluster.to_string(),
                    fits: candidate.fits,
                    chosen: candidate.chosen,
                    constraint: candidate.constraint,
                    detail: candidate.detail,
                })
                .collect(),
        }))
    }

    async fn issue_tenant_credential(
        &self,
        request: Request<v1::IssueTenantCredentialRequest>,
    ) -> Result<Response<v1::IssueTenantCredentialResponse>, Status> {
        let remote = super::agent::remote_text(&request);
        let issued = credential::issue(&self.0, &remote, request.into_inner()).await?;
        Ok(Response::new(issued))
    }

    type WatchTenantsStream = watch::TenantStream;

    async fn watch_tenants(
        &self,
        request: Request<v1::WatchTenantsRequest>,
    ) -> Result<Response<Self::WatchTenantsStream>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let only = match request.name.as_str() {
            "" => None,
            name => Some(names::parse_tenant("name", name).map_err(|v| invalid(vec![v]))?),
        };
        let leading = self.0.leading()?;
        Ok(Response::new(watch::stream(
            self.0.board.clone(),
            leading.incarnation.clone(),
            &request.resume_token,
            only,
            access,
            leading.tenure.clone(),
        )))
    }
}

impl Tenants {
    /// The spec of a tenant. Where it is not well formed, what else is wrong with it is found too, so that one answer has all.
    async fn checked_spec(&self, id: &str, tenant: Option<&v1::Tenant>) -> Result<TenantSpec, Status> {
        let Some(given) = tenant.and_then(|tenant| tenant.spec.as_ref()) else {
            return spec_of(tenant).map_err(invalid);
        };
        let (read, mut faults) = api::tenant_spec_partly(given);
        match read {
            Some(spec) if faults.is_empty() => Ok(spec),
            None => Err(invalid(faults)),
            Some(spec) => {
                let checked = self.0.registry.update_tenant(TenantChange {
                    id: id.to_owned(),
                    change: |_: Option<&TenantSpec>| Ok(spec.clone()),
                    etag: None,
                    request_id: String::new(),
                    validate_only: true,
                    allow_missing: true,
                });
                if let Err(berth_control::RegistryError::Invalid(more)) = checked.await {
                    faults.extend(more);
                }
                faults.sort();
                faults.dedup_by(|a, b| a.path == b.path);
                Err(invalid(faults))
            }
        }
    }

    /// The tenant as stored, with the status as last published.
    fn shown(&self, tenant: &Tenant) -> v1::Tenant {
        let snapshot = self
            .0
            .board
            .get(&tenant.id)
            .filter(|snapshot| snapshot.tenant.uid == tenant.uid);
        let mut shown = shown(tenant, snapshot.as_ref());
        // A live session makes what was said in it as fresh as its last heartbeat, which nobody plans for.
        let cluster = snapshot
            .as_ref()
            .and_then(|snapshot| Some(snapshot.placement.as_ref()?.cluster().clone()));
        if let Some(cluster) = cluster
            && let Some(heard) = self.0.sessions.evidence_at(&cluster)
            && self.0.sessions.evidence(&cluster, &tenant.id).is_some()
            && let Some(status) = &mut shown.status
        {
            let said = status
                .evidence_time
                .as_ref()
                .and_then(berth_wire::time::from_proto);
            status.evidence_time = said.map(|said| berth_wire::time::to_proto(said.max(heard)));
        }
        shown
    }
}

/// A tenant with its status as last published.
pub(super) fn shown(tenant: &Tenant, snapshot: Option<&TenantSnapshot>) -> v1::Tenant {
    let none = Conditions::new();
    let seen = snapshot.and_then(|snapshot| snapshot.status.as_ref());
    let placement = snapshot.and_then(|snapshot| snapshot.placement.as_ref());
    let no_gaps = AcceptedGaps::new();
    let view = api::TenantStatusView {
        accepted_gaps: snapshot.map_or(&no_gaps, |snapshot| &snapshot.accepted_gaps),
        observed_generation: seen.map(|s| s.observed_generation).unwrap_or_default(),
        conditions: seen.map_or(&none, |s| &s.conditions),
        placement,
        namespaces: if placement.is_some() {
            tenant.namespaces()
        } else {
            Vec::new()
        },
        health: seen.map_or_else(|| Health::new(HealthState::Unknown, ""), |s| s.health.clone()),
        evidence: seen.and_then(|s| s.evidence_at),
        warnings: seen.map(|s| s.warnings.clone()).unwrap_or_default(),
    };
    api::tenant_to_proto(tenant, &view)
}

fn spec_of(tenant: Option<&v1::Tenant>) -> Result<TenantSpec, Vec<Violation>> {
    let Some(spec) = tenant.and_then(|tenant| tenant.spec.as_ref()) else {
        return Err(vec![Violation::new(
            "spec",
            "is missing",
            "a tenant needs at least spec.tier",
        )]);
    };
    api::tenant_spec_from_proto(spec)
}

/// What goes on for a tenant.
pub(super) fn operation(tenant: &Tenant, snapshot: Option<&TenantSnapshot>) -> v1::Operation {
    let verb = if tenant.deleting_since.is_some() {
        OperationVerb::Delete
    } else {
        OperationVerb::Reconcile
    };
    api::operation_to_proto(&Operation {
        id: format!("{}.{}.{}", tenant.id, verb.as_str(), tenant.generation),
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
        verb,
        generation: tenant.generation,
        started_at: tenant.deleting_since.unwrap_or(tenant.created_at),
        outcome: outcome(tenant, snapshot),
    })
}

fn outcome(tenant: &Tenant, snapshot: Option<&TenantSnapshot>) -> Outcome {
    use berth_model::ConditionKind as K;
    let running = |text: &str| Outcome::Running {
        waiting_for: text.to_owned(),
    };
    let Some(seen) = snapshot.and_then(|snapshot| snapshot.status.as_ref()) else {
        return running("the control loop");
    };
    if seen.observed_generation < tenant.generation {
        return running("the control loop");
    }
    if let Some(stalled) = seen
        .conditions
        .get(K::Stalled)
        .filter(|condition| condition.status == Truth::True)
    {
        return Outcome::Failed {
            reason: stalled.reason.clone(),
            message: stalled.message.clone(),
        };
    }
    if tenant.deleting_since.is_some() {
        return running(
            seen.conditions
                .get(K::Deleting)
                .map_or("removal", |condition| condition.message.as_str()),
        );
    }
    if seen.conditions.is_true(K::Ready) {
        return Outcome::Succeeded;
    }
    running(
        seen.conditions
            .get(K::Ready)
            .map_or("the control loop", |condition| condition.message.as_str()),
    )
}

/// What a list of tenants can be narrowed by, besides labels.
const FILTERS: [&str; 9] = [
    "tier",
    "isolation",
    "cluster",
    "ready",
    "organisation",
    "team",
    "project",
    "costCentre",
    "environment",
];

/// Which tenants a list is of.
struct Filter(Vec<(String, String)>);

impl Filter {
    fn parse(text: &str) -> Result<Self, Violation> {
        let mut terms = Vec::new();
        for term in text.split(',').map(str::trim).filter(|term| !term.is_empty()) {
            let Some((key, value)) = term.split_once('=') else {
                return Err(Violation::new(
                    "filter",
                    format!("{term:?} has no '='"),
                    "write key=value, such as tier=free",
                ));
            };
            if !FILTERS.contains(&key) && !key.starts_with("label.") {
                let hint = format!("use {} or label.<key>", FILTERS.join(", "));
                return Err(Violation::new(
                    "filter",
                    format!("{key:?} cannot be filtered by"),
                    hint,
                ));
            }
            terms.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self(terms))
    }

    fn takes(&self, tenant: &v1::Tenant) -> bool {
        let empty_spec = v1::TenantSpec::default();
        let empty_status = v1::TenantStatus::default();
        let spec = tenant.spec.as_ref().unwrap_or(&empty_spec);
        let status = tenant.status.as_ref().unwrap_or(&empty_status);
        let placement = status.placement.clone().unwrap_or_default();
        let owner = spec.owner.clone().unwrap_or_default();
        let billing = spec.billing.clone().unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .find(|c| c.r#type == "Ready")
            .map_or("Unknown", |c| c.status.as_str());
        self.0.iter().all(|(key, value)| match key.as_str() {
            "tier" => spec.tier == *value,
            "isolation" => placement.isolation == *value,
            "cluster" => placement.cluster == *value,
            "ready" => ready.eq_ignore_ascii_case(value),
            "organisation" => owner.organisation == *value,
            "team" => owner.team == *value,
            "project" => owner.project == *value,
            "costCentre" => billing.cost_centre == *value,
            "environment" => {
                spec.environments.contains(value)
                    || (spec.environments.is_empty() && spec.environment == *value)
            }
            label => label
                .strip_prefix("label.")
                .is_some_and(|label| spec.labels.get(label) == Some(value)),
        })
    }
}

/// Whether the caller may make `new` of what there is.
fn may_change(access: &Access, id: &str, old: Option<&TenantSpec>, new: &TenantSpec) -> Result<(), Status> {
    let Some(old) = old else {
        return access.demand("tenants.create", id, &Traits::of(new));
    };
    let before = Traits::of(old);
    access.demand("tenants.update", id, &before)?;
    let terms = terms_changed(old, new);
    if terms.is_empty() {
        return Ok(());
    }
    // Neither taken out of somebody's reach nor put into somebody else's.
    let held = access.demand("tenants.updateTerms", id, &before);
    let held = held.and_then(|()| access.demand("tenants.updateTerms", id, &Traits::of(new)));
    held.map_err(|status| {
        let message = format!("{} cannot be changed: {}", terms.join(", "), status.message());
        Status::with_details(status.code(), message, status.details().to_vec().into())
    })
}

/// A refusal that a change within the registry has to carry out of it.
#[derive(Default)]
struct Refused(Mutex<Option<Status>>);

impl Refused {
    fn unless(&self, decided: Result<(), Status>) -> Result<(), RegistryError> {
        decided.map_err(|status| {
            let message = status.message().to_owned();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            RegistryError::Forbidden { message }
        })
    }

    /// The refusal where `error` is one, else what `error` is.
    fn or(&self, error: RegistryError) -> Status {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (error, refused) {
            (RegistryError::Forbidden { .. }, Some(refused)) => refused,
            (error, _) => status(error),
        }
    }
}

/// The id and generation an operation's name speaks of.
pub(super) fn parse_operation(id: &str) -> Option<(TenantId, OperationVerb, Revision)> {
    let mut parts = id.rsplitn(3, '.');
    let generation = parts.next()?.parse().ok()?;
    let verb = match parts.next()? {
        "reconcile" => OperationVerb::Reconcile,
        "delete" => OperationVerb::Delete,
        _ => return None,
    };
    Some((TenantId::new(parts.next()?).ok()?, verb, Revision(generation)))
}
