//! The second layer, behind the gate: whether this caller may make this call.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use berth_identity::{Caller, Principal};
use futures::future::BoxFuture;
use http::Request;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{Call, Target, table::SELF};
use crate::grpc::error::refused;

/// Decides on every call.
#[derive(Clone, Default)]
pub struct Admission {}

/// A service behind the decision.
#[derive(Clone)]
pub struct Admitted<S> {
    inner: S,
    admission: Admission,
}

impl Admission {
    /// Whether `caller` may make that call.
    fn authorize(&self, caller: &Caller, call: &Call, target: &Target) -> Result<(), Status> {
        if call.permission == SELF || matches!(caller.principal, Principal::Certificate(_)) {
            return Ok(());
        }
        Err(refused(
            Code::PermissionDenied,
            "NOT_ALLOWED",
            format!(
                "{} may not {}",
                caller.principal,
                target.permission.unwrap_or(call.permission)
            ),
        ))
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
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
            match admission.authorize(&caller, call, &target) {
                Ok(()) => ready.call(request).await,
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}
