//! AccessService.

use std::time::Duration;

use berth_control::{RegistryError, access::Resource, registry::Shown};
use berth_identity::caller::BREAK_GLASS;
use berth_model::{
    Revision, Role, RoleBinding, RoleBindingName, RoleBindingSpec, Subject, Violation, role::Rule,
};
use berth_plan::authorize::Grants;
use berth_proto::v1::{self, access_service_server::AccessService};
use berth_wire::{api, names};
use tonic::{Code, Request, Response, Status};
use tracing::warn;

use super::{
    Api,
    error::{invalid, refused, status},
    paging,
};
use crate::calls::Access;

/// How long a write waits until it counts on this hub; by then something is wrong with the store.
const COUNTS: Duration = Duration::from_secs(5);

/// The service.
pub struct AccessOf(pub Api);

#[tonic::async_trait]
impl AccessService for AccessOf {
    async fn create_role_binding(
        &self,
        request: Request<v1::CreateRoleBindingRequest>,
    ) -> Result<Response<v1::CreateRoleBindingResponse>, Status> {
        let grants = Access::of(&request)?.grants;
        let request = request.into_inner();
        let spec = spec_of(request.role_binding.as_ref()).map_err(invalid)?;
        let binding = self
            .0
            .registry
            .create_role_binding(&grants, &request.role_binding_id, spec, request.validate_only)
            .await
            .map_err(status)?;
        self.counts(binding.revision).await;
        Ok(Response::new(v1::CreateRoleBindingResponse {
            role_binding: Some(api::role_binding_to_proto(&binding)),
        }))
    }

    async fn get_role_binding(
        &self,
        request: Request<v1::GetRoleBindingRequest>,
    ) -> Result<Response<v1::GetRoleBindingResponse>, Status> {
        let access = Access::of(&request)?;
        let name =
            names::parse_role_binding("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let found = self.0.registry.role_binding(&name).await;
        let binding = found.map_err(|error| hidden(&access, &name, error))?;
        if !within(&access.grants, "roleBindings.get", &binding) {
            return Err(out_of_reach(&access, &name));
        }
        Ok(Response::new(v1::GetRoleBindingResponse {
            role_binding: Some(api::role_binding_to_proto(&binding)),
        }))
    }

    async fn list_role_bindings(
        &self,
        request: Request<v1::ListRoleBindingsRequest>,
    ) -> Result<Response<v1::ListRoleBindingsResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let own = |binding: &RoleBinding| within(&access.grants, "roleBindings.list", binding);
        let shown: Option<Shown<'_, RoleBinding>> = (!access.sees_all("roleBindings.list")).then_some(&own);
        let listed = self
            .0
            .registry
            .role_bindings(paging::after(&request.page_token), size, shown)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListRoleBindingsResponse {
            role_bindings: listed.items.iter().map(api::role_binding_to_proto).collect(),
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn update_role_binding(
        &self,
        request: Request<v1::UpdateRoleBindingRequest>,
    ) -> Result<Response<v1::UpdateRoleBindingResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let given = request.role_binding.unwrap_or_default();
        let name =
            names::parse_role_binding("role_binding.name", &given.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("role_binding.etag", &given.etag).map_err(|v| invalid(vec![v]))?;
        let spec = spec_of(Some(&given)).map_err(invalid)?;
        let binding = self
            .0
            .registry
            .update_role_binding(
                &access.grants,
                &name,
                spec,
                etag,
                request.validate_only,
                request.allow_missing,
            )
            .await
            .map_err(|error| hidden(&access, &name, error))?;
        self.counts(binding.revision).await;
        Ok(Response::new(v1::UpdateRoleBindingResponse {
            role_binding: Some(api::role_binding_to_proto(&binding)),
        }))
    }

    async fn delete_role_binding(
        &self,
        request: Request<v1::DeleteRoleBindingRequest>,
    ) -> Result<Response<v1::DeleteRoleBindingResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let name = names::parse_role_binding("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("etag", &request.etag).map_err(|v| invalid(vec![v]))?;
        let deleted = self.0.registry.delete_role_binding(&access.grants, &name, etag);
        match deleted.await {
            Ok(revision) => self.counts(revision).await,
            Err(RegistryError::NotFound { .. }) if request.allow_missing => {}
            Err(error) => return Err(hidden(&access, &name, error)),
        }
        Ok(Response::new(v1::DeleteRoleBindingResponse {}))
    }

    async fn list_roles(
        &self,
        _: Request<v1::ListRolesRequest>,
    ) -> Result<Response<v1::ListRolesResponse>, Status> {
        let roles = Role::ALL.into_iter().map(api::role_to_proto).collect();
        Ok(Response::new(v1::ListRolesResponse { roles }))
    }

    async fn check_access(
        &self,
        request: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        if Rule::of(&request.permission).is_none() {
            let problem = format!("{:?} is no permission", request.permission);
            let hint = "a kind and a verb, such as tenants.update; berth get roles -o yaml has all";
            return Err(invalid(vec![Violation::new("permission", problem, hint)]));
        }
        let grants = if request.subject.is_empty() {
            access.grants.clone()
        } else {
            access.demand_fleet("access.checkOthers")?;
            self.held_by(&request.subject, &request.groups)?.into()
        };
        let resource = resource(&request.permission, &request.resource);
        let decided = self.0.authorizer.decide(&grants, &request.permission, resource);
        let answer = match decided {
            Ok(Some(binding)) => v1::CheckAccessResponse {
                allowed: true,
                reason: format!("role {} by role binding {}", binding.spec.role, binding.name),
                role_binding: names::role_binding(&binding.name),
            },
            Ok(None) => v1::CheckAccessResponse {
                allowed: true,
                reason: "no role binding is needed".into(),
                role_binding: String::new(),
            },
            Err(denied) => v1::CheckAccessResponse {
                allowed: false,
                reason: denied.why().into(),
                role_binding: String::new(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn get_caller(
        &self,
        request: Request<v1::GetCallerRequest>,
    ) -> Result<Response<v1::GetCallerResponse>, Status> {
        let access = Access::of(&request)?;
        let bindings = access.grants.bindings().iter();
        Ok(Response::new(v1::GetCallerResponse {
            subject: access.caller.principal.to_string(),
            groups: access.caller.groups.clone(),
            credential: access.caller.credential.clone(),
            role_bindings: bindings
                .map(|binding| api::role_binding_to_proto(binding))
                .collect(),
            break_glass: access.caller.breaks_glass(),
        }))
    }
}

impl AccessOf {
    /// Returns when what was written counts on this hub, so that whoever was answered finds it so.
    async fn counts(&self, revision: Revision) {
        tokio::select! {
            biased;
            () = self.0.authorizer.reached(revision) => {}
            () = self.0.clock.sleep(COUNTS) => {
                warn!(%revision, "a role binding was written and does not count on this hub yet");
            }
        }
    }

    /// What somebody else holds.
    fn held_by(&self, subject: &str, groups: &[String]) -> Result<Grants, Status> {
        let subject = Subject::new(subject)
            .map_err(|error| invalid(vec![Violation::new("subject", error.to_string(), "")]))?;
        if subject.as_str() == format!("certificate:{BREAK_GLASS}") {
            return Ok(Grants::everything());
        }
        let held = self.0.authorizer.held_by_subject(subject.as_str(), groups);
        held.map_err(|error| refused(Code::Unavailable, "NOT_READY", error.to_string()))
    }
}

/// Who does not see all of them is not told which there are.
fn hidden(access: &Access, name: &RoleBindingName, error: RegistryError) -> Status {
    match error {
        RegistryError::NotFound { .. } if !access.sees_all("roleBindings.get") => out_of_reach(access, name),
        error => status(error),
    }
}

fn out_of_reach(access: &Access, name: &RoleBindingName) -> Status {
    let message = format!(
        "there is no role binding {:?} within the reach of {}; berth get rolebindings shows those that are",
        name.as_str(),
        access.caller.principal
    );
    refused(Code::PermissionDenied, "NOT_ALLOWED", message)
}

/// Whether somebody who holds `grants` may see that binding: their permission reaches wherever it counts.
fn within(grants: &Grants, permission: &str, binding: &RoleBinding) -> bool {
    grants.hold_over(permission, &binding.spec.scope)
}

fn resource<'a>(permission: &str, name: &'a str) -> Resource<'a> {
    match name.split_once('/') {
        Some(("tenants", id)) => Resource::Tenant(id.strip_suffix("/evidence").unwrap_or(id)),
        Some(("organisations", name)) => Resource::Organisation(name),
        Some(("clusters", name)) => Resource::Cluster(name),
        _ if permission.ends_with(".list") || permission.ends_with(".watch") => Resource::Any,
        _ => Resource::Fleet,
    }
}

fn spec_of(binding: Option<&v1::RoleBinding>) -> Result<RoleBindingSpec, Vec<Violation>> {
    let Some(spec) = binding.and_then(|binding| binding.spec.as_ref()) else {
        return Err(vec![Violation::new(
            "spec",
            "is missing",
            "a role binding has a role, subjects and a scope",
        )]);
    };
    api::role_binding_spec_from_proto(spec)
}
