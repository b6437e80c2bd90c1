//! The second layer, behind the gate: whether this caller may make this call.

use std::sync::Arc;

use berth_control::{
    Authorizer, Registry, RegistryError,
    access::{NotReady, Resource},
};
use berth_identity::Caller;
use berth_model::{TenantId, Traits};
use berth_plan::authorize::{Denied, Grants, Object};
use http::{Request, Response};
use tonic::{Code, Status, body::Body};

use super::{Access, Call, Next, Step, Target, access::refusal, parties};
use crate::grpc::error::{refused, status};

/// Decides on every call.
#[derive(Clone)]
pub struct Admission {
    authorizer: Authorizer,
    registry: Registry,
}

impl Admission {
    /// Decides by what `authorizer` follows; `registry` has what is newer than that.
    #[must_use]
    pub const fn new(authorizer: Authorizer, registry: Registry) -> Self {
        Self { authorizer, registry }
    }

    /// Whether `caller` may make that call, and what it holds.
    async fn authorize(&self, caller: &Arc<Caller>, call: &Call, target: &Target) -> Result<Access, Status> {
        // Before the grants: what changes after this look is told.
        let generation = self.authorizer.generation();
        let grants = self
            .authorizer
            .grants(caller)
            .map_err(|error: NotReady| refused(Code::Unavailable, "NOT_READY", error.to_string()))?;
        let permission = target.permission.unwrap_or(call.permission);
        let decided = if target.tenant.is_empty() {
            let resource = resource(permission, target);
            let decided = self.authorizer.decide(&grants, permission, resource);
            decided.map(drop).map_err(|denied| (permission, denied))
        } else {
            self.of_tenant(&grants, permission, target).await?
        };
        match decided {
            Ok(()) => {
                let authorizer = self.authorizer.clone();
                Ok(Access::new(
                    caller.clone(),
                    Arc::new(grants),
                    authorizer,
                    generation,
                ))
            }
            Err((permission, denied)) => Err(refusal(caller, permission, target.kind, &target.name, denied)),
        }
    }

    /// The decision about one tenant. Of one that is not there, what the request says of it counts.
    async fn of_tenant<'p>(
        &self,
        grants: &Grants,
        permission: &'p str,
        target: &Target,
    ) -> Result<Result<(), (&'p str, Denied)>, Status> {
        let id = target.tenant.as_str();
        let named = self.authorizer.decide(grants, permission, Resource::Tenant(id));
        let known = self.authorizer.knows(id);
        // By name or for the whole fleet, whatever the tenant is.
        if named.is_ok() && (known || !target.may_create) {
            return Ok(Ok(()));
        }
        // Who could not make that call about any tenant makes the hub look for none.
        if let Err(denied @ (Denied::NoRule | Denied::NoBinding)) = named {
            return Ok(Err((permission, denied)));
        }
        let stored = if known { None } else { self.stored(id).await? };
        let (permission, traits) = match (known, &stored) {
            (true, _) => return Ok(named.map(drop).map_err(|denied| (permission, denied))),
            (false, Some(stored)) => (permission, Some(stored)),
            (false, None) if target.may_create => ("tenants.create", target.offered.as_ref()),
            (false, None) => (permission, target.offered.as_ref()),
        };
        let decided = grants.decide(permission, Object::Tenant { id, traits });
        Ok(decided.map(drop).map_err(|denied| (permission, denied)))
    }

    /// What selectors go by of a tenant that was accepted just now.
    async fn stored(&self, id: &str) -> Result<Option<Traits>, Status> {
        let Ok(id) = TenantId::new(id) else {
            return Ok(None);
        };
        match self.registry.tenant(&id).await {
            Ok(tenant) => Ok(Some(Traits::of(&tenant.spec))),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(status(error)),
        }
    }
}

/// What a call is about that is about no tenant.
fn resource<'a>(permission: &str, target: &'a Target) -> Resource<'a> {
    match (target.kind, target.name.as_str()) {
        ("organisation", name) if !name.is_empty() => Resource::Organisation(name),
        ("cluster", name) if !name.is_empty() => Resource::Cluster(name),
        _ if permission.ends_with(".list") || permission.ends_with(".watch") => Resource::Any,
        _ => Resource::Fleet,
    }
}

impl Step for Admission {
    async fn around<N: Next>(self, mut next: N, mut request: Request<Body>) -> Response<Body> {
        // Only what is not Berth's own comes without: health and reflection.
        let Some((call, caller, target)) = parties(&request) else {
            return next.go(request).await;
        };
        match self.authorize(&caller, call, &target).await {
            Ok(access) => {
                request.extensions_mut().insert(access);
                next.go(request).await
            }
            Err(status) => status.into_http(),
        }
    }
}
