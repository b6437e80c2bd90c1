//! A step that a call passes on its way in: what it does around everything behind it. Tower's plumbing stands here, once.

use std::{
    convert::Infallible,
    future::Future,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

/// Everything behind a step.
pub trait Next:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    /// Goes on with the request.
    fn go(&mut self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send {
        let answer = self.call(request);
        async move {
            match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    }
}

impl<S> Next for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// A step.
pub trait Step: Clone + Send + 'static {
    /// Answers the request by itself, or by what `next` answers.
    fn around<N: Next>(self, next: N, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

/// A step as tonic's server takes it.
#[derive(Clone, Debug)]
pub struct Passing<T>(pub T);

/// What lies behind a step, with the step before it.
#[derive(Clone, Debug)]
pub struct Passed<T, N> {
    step: T,
    next: N,
}

impl<T: Step, N> Layer<N> for Passing<T> {
    type Service = Passed<T, N>;

    fn layer(&self, next: N) -> Passed<T, N> {
        Passed {
            step: self.0.clone(),
            next,
        }
    }
}

impl<T: Step, N: Next> Service<Request<Body>> for Passed<T, N> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.next.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was asked whether it is ready is the one to call.
        let another = self.next.clone();
        let ready = std::mem::replace(&mut self.next, another);
        let step = self.step.clone();
        Box::pin(async move { Ok(step.around(ready, request).await) })
    }
}
