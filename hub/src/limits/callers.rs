//! The layer behind [`crate::calls::Entry`]: how much one identity may call, and how much it may watch.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use berth_identity::{Caller, Principal};
use futures::future::BoxFuture;
use http::Request;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{Buckets, Limited, Rate, Reason, Usage, pump};
use crate::calls::Call;

/// Identities whose calls are counted apart.
const CALLERS: usize = 16_384;
/// When a place for a watch may be free again; nobody knows.
const WATCH_LATER: Duration = Duration::from_secs(10);

/// Bounds calls by who calls.
#[derive(Clone, Debug)]
pub struct Callers {
    limited: Limited,
    rates: Arc<Buckets<Principal>>,
    watching: Arc<Mutex<Watching>>,
}

/// A service behind [`Callers`].
#[derive(Clone, Debug)]
pub struct Rationed<S> {
    inner: S,
    callers: Callers,
}

#[derive(Debug, Default)]
struct Watching {
    all: usize,
    of: BTreeMap<Principal, usize>,
}

/// A place for a stream, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    principal: Principal,
    callers: Callers,
}

impl Callers {
    pub(super) fn new(limited: &Limited) -> Self {
        let limits = limited.limits();
        let rate = Rate::new(limits.calls_per_second, limits.calls_burst);
        Self {
            limited: limited.clone(),
            rates: Arc::new(Buckets::new(rate, CALLERS)),
            watching: Arc::default(),
        }
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, principal: &Principal) -> Result<(), Status> {
        let taken = self.rates.take(principal, self.limited.clock.monotonic());
        taken.map_err(|wait| {
            let rate = self.limited.limits().calls_per_second;
            let message =
                format!("{principal} calls more often than {rate} times a second; wait and call again");
            self.limited.refusal(Reason::CallsOfCaller, message, wait)
        })
    }

    fn watch(&self, principal: &Principal) -> Result<Watch, Status> {
        let limits = self.limited.limits();
        let mut watching = self.watching();
        let of = watching.of.get(principal).copied().unwrap_or_default();
        let (reason, message) = if of >= limits.watches_per_caller {
            let message = format!("{principal} has {of} streams open, as many as one may; close one of them");
            (Reason::WatchesOfCaller, message)
        } else if watching.all >= limits.watches {
            let message = format!(
                "{} streams are open, as many as this hub has room for; try again later",
                watching.all
            );
            (Reason::Watches, message)
        } else {
            watching.all += 1;
            *watching.of.entry(principal.clone()).or_default() += 1;
            self.limited.counts.watches(watching.all);
            return Ok(Watch {
                principal: principal.clone(),
                callers: self.clone(),
            });
        };
        drop(watching);
        Err(self.limited.refusal(reason, message, WATCH_LATER))
    }
}

impl Watch {
    /// Its reader was too slow.
    pub(super) fn too_slow(&self) -> Status {
        let limited = &self.callers.limited;
        let message = format!(
            "the stream was not read for {:?} and has ended; resume it",
            limited.limits().slow_reader()
        );
        limited.refusal(Reason::SlowReader, message, Duration::ZERO)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watching = self.callers.watching();
        watching.all -= 1;
        if let Some(of) = watching.of.get_mut(&self.principal) {
            *of -= 1;
            if *of == 0 {
                watching.of.remove(&self.principal);
            }
        }
        self.callers.limited.counts.watches(watching.all);
    }
}

impl<S> Layer<S> for Callers {
    type Service = Rationed<S>;

    fn layer(&self, inner: S) -> Rationed<S> {
        Rationed {
            inner,
            callers: self.clone(),
        }
    }
}

impl<S> Service<Request<Body>> for Rationed<S>
where
    S: Service<Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let extensions = request.extensions();
        // Only what is not Berth's own comes without: health and reflection.
        let (Some(call), Some(caller)) = (extensions.get::<&'static Call>(), extensions.get::<Arc<Caller>>())
        else {
            return Box::pin(self.inner.call(request));
        };
        let principal = &caller.principal;
        let watch = self.callers.admit(principal).and_then(|()| {
            let streams = call.streams();
            streams.then(|| self.callers.watch(principal)).transpose()
        });
        let usage = extensions.get::<Arc<Usage>>().cloned();
        match watch {
            Err(status) => Box::pin(std::future::ready(Ok(status.into_http()))),
            Ok(None) => Box::pin(self.inner.call(request)),
            Ok(Some(watch)) => {
                let (clock, slow) = (
                    self.callers.limited.clock.clone(),
                    self.callers.limited.limits().slow_reader(),
                );
                let answer = self.inner.call(request);
                Box::pin(async move {
                    let answer = answer.await?;
                    Ok(answer.map(|body| pump::start(body, watch, usage, clock, slow)))
                })
            }
        }
    }
}
