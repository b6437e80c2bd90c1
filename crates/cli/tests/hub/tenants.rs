//! Tenants and operations.

use std::pin::Pin;

use berth_model::TenantId;
use berth_proto::v1::{
    self, operation_service_server::OperationService, tenant_service_server::TenantService,
    watch_tenants_response::Event,
};
use berth_wire::{api, status};
use futures::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, async_trait};

use super::{Shelves, State, five_days_ago};

fn missing(name: &str) -> Status {
    status::reasoned(Code::NotFound, "NOT_FOUND", format!("{name} does not exist"), &[])
}

fn spec(tenant: Option<v1::Tenant>) -> Result<v1::TenantSpec, Status> {
    let spec = tenant.and_then(|tenant| tenant.spec).unwrap_or_default();
    api::tenant_spec_from_proto(&spec).map_err(|violations| status::invalid_argument(&violations))?;
    Ok(spec)
}

impl Shelves {
    pub(super) fn now(&self) -> State {
        self.0.borrow().clone()
    }

    fn tenant(&self, name: &str) -> Result<v1::Tenant, Status> {
        self.now()
            .tenants
            .remove(name.trim_start_matches("tenants/"))
            .ok_or_else(|| missing(name))
    }

    fn put(&self, tenant: &v1::Tenant) {
        let id = tenant.name.trim_start_matches("tenants/").to_owned();
        self.0.send_modify(|state| {
            state.tenants.insert(id, tenant.clone());
        });
    }
}

#[async_trait]
impl TenantService for Shelves {
    async fn create_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Result<Response<v1::CreateTenantResponse>, Status> {
        let request = request.into_inner();
        let id: TenantId = request
            .tenant_id
            .parse()
            .map_err(|_| Status::invalid_argument("tenant_id"))?;
        if self.now().tenants.contains_key(id.as_str()) {
            return Err(Status::already_exists(format!("tenant {id:?} exists")));
        }
        let tenant = v1::Tenant {
            name: format!("tenants/{id}"),
            uid: "made".into(),
            spec: Some(spec(request.tenant)?),
            status: None,
            generation: 1,
            etag: "1".into(),
            create_time: Some(five_days_ago()),
            delete_time: None,
        };
        if !request.validate_only {
            self.put(&tenant);
        }
        let warnings = vec!["web asks for more than its quota; 3 replicas are reachable".to_owned()];
        Ok(Response::new(v1::CreateTenantResponse {
            tenant: Some(tenant),
            operation: None,
            warnings,
        }))
    }

    async fn get_tenant(
        &self,
        request: Request<v1::GetTenantRequest>,
    ) -> Result<Response<v1::GetTenantResponse>, Status> {
        let tenant = self.tenant(&request.into_inner().name)?;
        Ok(Response::new(v1::GetTenantResponse { tenant: Some(tenant) }))
    }

    /// One tenant a page, so that paging is seen to work.
    async fn list_tenants(
        &self,
        request: Request<v1::ListTenantsRequest>,
    ) -> Result<Response<v1::ListTenantsResponse>, Status> {
        let v1::ListTenantsRequest {
            page_token, filter, ..
        } = request.into_inner();
        let state = self.now();
        let mut after = state.tenants.into_iter().filter(|(id, _)| *id > page_token);
        let Some((id, tenant)) = after.next() else {
            return Ok(Response::new(v1::ListTenantsResponse::default()));
        };
        let next_page_token = if after.next().is_some() { id } else { String::new() };
        let labels = tenant.spec.clone().unwrap_or_default().labels;
        let taken = filter.split(',').filter(|term| !term.is_empty()).all(|term| {
            let (key, value) = term.split_once('=').unwrap();
            labels
                .get(key.strip_prefix("label.").unwrap())
                .is_some_and(|label| label == value)
        });
        let tenants = if taken { vec![tenant] } else { Vec::new() };
        Ok(Response::new(v1::ListTenantsResponse {
            tenants,
            next_page_token,
        }))
    }

    async fn update_tenant(
        &self,
        request: Request<v1::UpdateTenantRequest>,
    ) -> Result<Response<v1::UpdateTenantResponse>, Status> {
        let request = request.into_inner();
        let given = request.tenant.unwrap_or_default();
        let mut tenant = self.tenant(&given.name)?;
        if !given.etag.is_empty() && given.etag != tenant.etag {
            return Err(status::reasoned(
                Code::Aborted,
                "STALE_ETAG",
                "the tenant was changed meanwhile",
                &[],
            ));
        }
        tenant.spec = Some(spec(Some(given))?);
        tenant.generation += 1;
        if !request.validate_only {
            self.put(&tenant);
        }
        Ok(Response::new(v1::UpdateTenantResponse {
            tenant: Some(tenant),
            ..Default::default()
        }))
    }

    async fn delete_tenant(
        &self,
        request: Request<v1::DeleteTenantRequest>,
    ) -> Result<Response<v1::DeleteTenantResponse>, Status> {
        let mut tenant = self.tenant(&request.into_inner().name)?;
        tenant.delete_time = Some(five_days_ago());
        self.put(&tenant);
        Ok(Response::new(v1::DeleteTenantResponse {
            tenant: Some(tenant),
            operation: None,
        }))
    }

    async fn explain_tenant(
        &self,
        request: Request<v1::ExplainTenantRequest>,
    ) -> Result<Response<v1::ExplainTenantResponse>, Status> {
        let request = request.into_inner();
        let tenant = match request.tenant {
            Some(tenant) => tenant,
            None => self.tenant(&request.name)?,
        };
        let candidate = |cluster: &str, fits: bool, constraint: &str, detail: &str| v1::Candidate {
            cluster: cluster.into(),
            fits,
            chosen: fits,
            constraint: constraint.into(),
            detail: detail.into(),
        };
        Ok(Response::new(v1::ExplainTenantResponse {
            summary: format!("{} fits on eu-1", tenant.name),
            steps: vec![
                "tier free builds namespaces".into(),
                "waiting on Deployment web".into(),
            ],
            candidates: vec![
                candidate("eu-1", true, "", "82% free afterwards"),
                candidate("eu-2", false, "NotEnoughCpu", "needs 4, has 1500m of 8"),
            ],
        }))
    }

    async fn issue_tenant_credential(
        &self,
        request: Request<v1::IssueTenantCredentialRequest>,
    ) -> Result<Response<v1::IssueTenantCredentialResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.tenant(&request.name)?;
        let id = tenant.name.trim_start_matches("tenants/");
        if id == "stranded" {
            let message = "the agent of cluster eu-1 is away";
            return Err(status::reasoned(Code::Unavailable, "AGENT_AWAY", message, &[]));
        }
        let seconds = request.lifetime.map_or(3600, |lifetime| lifetime.seconds);
        if seconds < 600 {
            let violation = berth_model::Violation::new("lifetime", "is too short", "ask for 10m or more");
            return Err(status::invalid_argument(&[violation]));
        }
        Ok(Response::new(v1::IssueTenantCredentialResponse {
            token: format!("token-of-{id}-{}-for-{seconds}", request.role),
            expire_time: Some(prost_types::Timestamp {
                seconds: 4_000_000_000,
                nanos: 5,
            }),
            api_url: "https://api.eu-1.example:6443".into(),
            api_ca_pem: "-----BEGIN CERTIFICATE-----\n".into(),
            namespaces: vec![format!("t-{id}"), format!("t-{id}--dev")],
            cluster: "eu-1".into(),
            service_account: format!("t-{id}/berth-{}", request.role),
        }))
    }

    type WatchTenantsStream = Pin<Box<dyn Stream<Item = Result<v1::WatchTenantsResponse, Status>> + Send>>;

    async fn watch_tenants(
        &self,
        request: Request<v1::WatchTenantsRequest>,
    ) -> Result<Response<Self::WatchTenantsStream>, Status> {
        let only = request.into_inner().name;
        let mut follow = self.0.subscribe();
        let first = follow.borrow_and_update().tenants.clone();
        let mut events: Vec<Event> = first.values().cloned().map(Event::Upserted).collect();
        events.push(Event::SnapshotEnd(v1::SnapshotEnd {}));
        let changes = futures::stream::unfold((follow, first), |(mut follow, known)| async move {
            follow.changed().await.ok()?;
            let now = follow.borrow_and_update().tenants.clone();
            let gone = known.iter().filter(|(id, _)| !now.contains_key(*id));
            let changed = now.iter().filter(|(id, tenant)| known.get(*id) != Some(*tenant));
            let events: Vec<Event> = gone
                .map(|(_, tenant)| Event::Deleted(tenant.name.clone()))
                .chain(changed.map(|(_, tenant)| Event::Upserted(tenant.clone())))
                .collect();
            Some((futures::stream::iter(events), (follow, now)))
        });
        let stream = futures::stream::iter(events).chain(changes.flatten());
        let wanted = stream.filter(move |event| {
            let name = match event {
                Event::Upserted(tenant) => Some(tenant.name.clone()),
                Event::Deleted(name) => Some(name.clone()),
                Event::SnapshotEnd(_) => None,
            };
            std::future::ready(only.is_empty() || name.is_none_or(|name| name == only))
        });
        Ok(Response::new(Box::pin(wanted.map(|event| {
            Ok(v1::WatchTenantsResponse {
                event: Some(event),
                resume_token: "1".into(),
            })
        }))))
    }
}

#[async_trait]
impl OperationService for Shelves {
    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        let name = request.into_inner().name;
        let operation = self
            .now()
            .operations
            .remove(&name)
            .ok_or_else(|| missing(&name))?;
        Ok(Response::new(v1::GetOperationResponse {
            operation: Some(operation),
        }))
    }

    async fn list_operations(
        &self,
        _: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        let operations = self.now().operations.into_values().collect();
        Ok(Response::new(v1::ListOperationsResponse {
            operations,
            next_page_token: String::new(),
        }))
    }

    async fn wait_operation(
        &self,
        request: Request<v1::WaitOperationRequest>,
    ) -> Result<Response<v1::WaitOperationResponse>, Status> {
        let name = request.into_inner().name;
        let operation = self
            .now()
            .operations
            .remove(&name)
            .ok_or_else(|| missing(&name))?;
        Ok(Response::new(v1::WaitOperationResponse {
            operation: Some(operation),
        }))
    }
}
