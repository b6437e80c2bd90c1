//! A client that writes only while this process holds the Lease. Reading is always allowed.
//!
//! The check is made with every request, by this process's own clock: an agent that was paused past its Lease, and another acts by
//! then, sends nothing of what it had begun.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use tower::{BoxError, Service};

use crate::lease::Acting;

/// `inner`, which writes only while `acting` allows it.
pub(crate) fn client(inner: Client, acting: Acting) -> Client {
    let namespace = inner.default_namespace().to_owned();
    Client::new(Gate { inner, acting }, namespace)
}

struct Gate {
    inner: Client,
    acting: Acting,
}

/// Why a write was not sent.
#[derive(Debug, thiserror::Error)]
#[error("not sent: the Lease of this agent is not confirmed, so another agent may act")]
struct NotActing;

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, acting) = (self.inner.clone(), self.acting.clone());
        Box::pin(async move {
            if request.method() != Method::GET && !acting.may_act() {
                return Err(NotActing.into());
            }
            inner.send(request).await.map_err(Into::into)
        })
    }
}
