//! The API as a `tower` service, in process: no sockets, no bytes on a wire.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use tower::Service;

use super::User;
use super::api::{Answer, Api, Body};
use super::failure::Failure;

/// The largest request body.
const LARGEST: usize = 3 * 1024 * 1024;

/// The API of an embedded cluster as a service of [`http::Request`]s, already authenticated.
#[derive(Clone)]
pub struct EmbeddedService {
    api: Arc<Api>,
    user: User,
}

impl fmt::Debug for EmbeddedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedService")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl EmbeddedService {
    pub(super) fn trusted(api: Arc<Api>) -> Self {
        Self { api, user: admin() }
    }
}

/// Who holds the cluster's own token, or calls in this process.
pub(super) fn admin() -> User {
    User {
        name: "admin".into(),
        groups: vec!["system:masters".into()],
    }
}

impl<B> Service<Request<B>> for EmbeddedService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (api, user) = (self.api.clone(), self.user.clone());
        Box::pin(async move { Ok(answer(&api, &user, request).await) })
    }
}

/// Answers one request of a known user.
pub(super) async fn answer<B>(api: &Arc<Api>, user: &User, request: Request<B>) -> Response<Body>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST).collect().await {
        Ok(body) => {
            let mut body = body.aggregate();
            body.copy_to_bytes(body.remaining())
        }
        Err(_) => return Answer::failure(&Failure::too_large()).into_response(),
    };
    let user = impersonated(user, &parts.headers);
    api.answer(&user, &parts, &body).into_response()
}

/// The user a request wants to be taken for. There are no rights to check here.
fn impersonated(user: &User, headers: &http::HeaderMap) -> User {
    let text = |v: &http::HeaderValue| v.to_str().ok().map(str::to_owned);
    match headers.get("impersonate-user").and_then(text) {
        Some(name) => User {
            name,
            groups: headers
                .get_all("impersonate-group")
                .iter()
                .filter_map(text)
                .collect(),
        },
        None => user.clone(),
    }
}
