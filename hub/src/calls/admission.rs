//! The second layer, behind the gate: whether this caller may make this call.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use berth_control::{
    Authorizer, Registry, RegistryError,
    access::{NotReady, Resource},
};
use berth_identity::Caller;
use berth_model::{TenantId, Traits};
use berth_plan::authorize::{Denied, Grants, Object};
use futures::future::BoxFuture;
use http::Request;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{Access, Call, Target, access::refusal};
use crate::grpc::error::{refused, status};

/// Decides on every call.
#[derive(Clone)]
pub struct Admission {
    authorizer: Authorizer,
    registry: Registry,
}

/// A service behind the decision.
#[derive(Clone)]
pub struct Admitted<S> {
    inner: S,
    admission: Admission,
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

impl<S> Layer<S> for Admission {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted {
            inner,
            admission: self.clone(),
        }
    }
}

impl<S> Service<Request<Body>> for Admitted<S>
where
    S: Service<Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let known = (
            request.extensions().get::<&'static Call>().copied(),
            request.extensions().get::<Arc<Caller>>().cloned(),
            request.extensions().get::<Arc<Target>>().cloned(),
        );
        // Only what is not Berth's own comes without: health and reflection.
        let (Some(call), Some(caller), Some(target)) = known else {
            return Box::pin(ready.call(request));
        };
        let admission = self.admission.clone();
        Box::pin(async move {
            match admission.authorize(&caller, call, &target).await {
                Ok(access) => {
                    request.extensions_mut().insert(access);
                    ready.call(request).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}
