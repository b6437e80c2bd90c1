//! The layer behind [`crate::calls::Entry`]: how much one identity may call, and how much it may watch.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_identity::Principal;
use http::{Request, Response};
use tonic::{Status, body::Body};

use super::{Buckets, Limited, Rate, Reason, Usage, pump};
use crate::calls::{Next, Step, parties};

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

impl Step for Callers {
    async fn around<N: Next>(self, mut next: N, request: Request<Body>) -> Response<Body> {
        // Only what is not Berth's own comes without: health and reflection.
        let Some((call, caller, _)) = parties(&request) else {
            return next.go(request).await;
        };
        let principal = &caller.principal;
        let watch = self.admit(principal).and_then(|()| {
            let streams = call.streams();
            streams.then(|| self.watch(principal)).transpose()
        });
        let usage = request.extensions().get::<Arc<Usage>>().cloned();
        match watch {
            Err(status) => status.into_http(),
            Ok(None) => next.go(request).await,
            Ok(Some(watch)) => {
                let answer = next.go(request).await;
                let (clock, slow) = (self.limited.clock.clone(), self.limited.limits().slow_reader());
                answer.map(|body| pump::start(body, watch, usage, clock, slow))
            }
        }
    }
}
