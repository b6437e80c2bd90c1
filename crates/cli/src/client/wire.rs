//! What calls go over: to the hub that leads, whichever that is by the time of the call.
//!
//! What a hub has surely not done, because it does not lead or asks for patience, is asked again until the caller gives up. What it may
//! have done is asked again only when asking changes nothing. Of messages nothing is known here.

use std::{
    error::Error,
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use berth_runtime::clock::{Clock as _, SystemClock};
use berth_wire::{call, status};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt as _, Full};
use tokio::time::error::Elapsed;
use tonic::{
    Code, ConnectError, Status,
    body::Body,
    service::interceptor::InterceptedService,
    transport::{Channel, Error as Broken},
};
use tower::{Service, ServiceExt as _};

use super::Bearer;
use crate::{context::Loaded, exit::Failure};

/// Between two looks for the hub that leads.
pub(super) const PAUSE: Duration = Duration::from_millis(300);

/// A hub, and the connection to it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its address.
    pub server: String,
    /// Made when something is asked.
    pub channel: InterceptedService<Channel, Bearer>,
}

/// What calls go over. Copies go the same way: where one finds another hub, all go there.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Way>);

struct Way {
    loaded: Loaded,
    timeout: Duration,
    /// Whether calls are for the hub that leads, wherever that is, or for this one alone.
    follows: bool,
    at: Mutex<Place>,
    /// Why what is asked was not answered so far.
    refused: Mutex<Option<Status>>,
    /// That it was not heard from in the middle of a call: before the next one, the hub that leads is looked for.
    doubted: AtomicBool,
}

/// What to do about an answer.
#[derive(Debug)]
enum Next {
    /// It is the answer.
    Take,
    /// To ask again after so long.
    Wait(Status, Duration),
    /// To look for the hub that leads; where it was refused, why.
    Look(Option<Status>),
    /// Nobody knows whether it was done.
    Tell(Status),
}

type Answer = Result<Response<Body>, Broken>;
type Unanswered = Box<dyn Error + Send + Sync>;

impl Wire {
    /// Goes to `place`; when `follows`, from there to wherever the lead goes.
    pub(super) fn new(loaded: &Loaded, timeout: Duration, place: Place, follows: bool) -> Self {
        Self(Arc::new(Way {
            loaded: loaded.clone(),
            timeout,
            follows,
            at: Mutex::new(place),
            refused: Mutex::default(),
            doubted: AtomicBool::new(false),
        }))
    }

    /// The hub that is spoken to now.
    pub(super) fn server(&self) -> String {
        self.0.place().server
    }

    /// Goes to the hub that leads, if there are several and one of them says so.
    pub(super) async fn look_again(&self) -> Result<(), Failure> {
        let way = &self.0;
        if way.follows
            && way.several(&way.place())
            && let Some(leader) = way.look(None).await?
        {
            *locked(&way.at) = leader;
        }
        Ok(())
    }

    /// Why what was asked last got no answer, if a hub said so.
    pub(super) fn refused(&self) -> Option<Status> {
        locked(&self.0.refused).take()
    }
}

impl Way {
    fn place(&self) -> Place {
        locked(&self.at).clone()
    }

    async fn carry(&self, request: Request<Body>) -> Result<Response<Body>, Unanswered> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let clock = SystemClock::new();
        let mut looked = false;
        if self.doubted.swap(false, Ordering::Relaxed)
            && let Some(leader) = self.look(None).await.map_err(said)?
        {
            *locked(&self.at) = leader;
        }
        loop {
            *locked(&self.refused) = None;
            let place = self.place();
            let answer = send(&place, &parts, body.clone()).await;
            match self.next(&place, parts.uri.path(), &answer) {
                Next::Take => return taken(answer),
                Next::Tell(unknown) => {
                    let elsewhere = self.follows && self.several(&place);
                    self.doubted.store(elsewhere, Ordering::Relaxed);
                    return Err(unknown.into());
                }
                Next::Wait(_, delay) if clock.monotonic() + delay >= self.timeout => return taken(answer),
                Next::Wait(refusal, delay) => {
                    *locked(&self.refused) = Some(refusal);
                    tokio::time::sleep(delay).await;
                }
                Next::Look(refusal) => {
                    if looked {
                        tokio::time::sleep(PAUSE).await;
                    }
                    looked = true;
                    let hint = refusal
                        .as_ref()
                        .and_then(|status| status::detail(status, "leader"));
                    let refusal = refusal.unwrap_or_else(|| super::leader::nobody(&self.loaded.context));
                    *locked(&self.refused) = Some(refusal);
                    match self.look(hint).await.map_err(said)? {
                        Some(leader) => *locked(&self.at) = leader,
                        // Nobody is there to say who leads.
                        None => return taken(answer),
                    }
                }
            }
        }
    }

    /// Whether there is another hub to ask than `place`.
    fn several(&self, place: &Place) -> bool {
        let context = &self.loaded.context;
        !context.servers.is_empty() || place.server != context.server
    }

    async fn look(&self, hint: Option<String>) -> Result<Option<Place>, Failure> {
        super::leader::look(&self.loaded, self.timeout, hint).await
    }

    fn next(&self, place: &Place, path: &str, answer: &Answer) -> Next {
        match answer {
            Ok(response) => match Status::from_header_map(response.headers()) {
                Some(refusal) => after(refusal, self.follows),
                None => Next::Take,
            },
            Err(broken) => {
                if !call::reads(path) && !never_sent(broken) {
                    Next::Tell(unknown(place))
                } else if self.follows && self.several(place) {
                    Next::Look(None)
                } else {
                    Next::Take
                }
            }
        }
    }
}

/// What to do about a refusal: nothing of what was asked has been done where it says so.
fn after(refusal: Status, follows: bool) -> Next {
    match refusal.code() {
        Code::Unavailable if follows && status::reason(&refusal).as_deref() == Some("NOT_LEADER") => {
            Next::Look(Some(refusal))
        }
        Code::ResourceExhausted => match status::retry_after(&refusal) {
            Some(delay) => Next::Wait(refusal, delay),
            None => Next::Take,
        },
        _ => Next::Take,
    }
}

/// What there is to say of a change whose answer was lost.
fn unknown(place: &Place) -> Status {
    let message = format!(
        "the connection to {} broke before the answer came: whether it was done is not known; look, and ask again if it was not",
        place.server
    );
    status::reasoned(Code::Unavailable, "OUTCOME_UNKNOWN", message, &[])
}

fn said(failure: Failure) -> String {
    failure.lines.join("; ")
}

/// Whether there was no connection to send the call over.
fn never_sent(broken: &(dyn Error + 'static)) -> bool {
    caused_by(broken, |error| {
        error.is::<ConnectError>() || connected_late(error)
    })
}

/// Whether `error` or what is behind it is such.
fn caused_by(error: &(dyn Error + 'static), such: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if such(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The answer as it is; that there was no connection in time is said in words.
fn taken(answer: Answer) -> Result<Response<Body>, Unanswered> {
    answer.map_err(|broken| {
        if caused_by(&broken, connected_late) {
            Status::unavailable("it takes connections and does not answer on them").into()
        } else {
            broken.into()
        }
    })
}

/// Whether connecting took too long. Nothing else of a connection has a time limit.
fn connected_late(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is_some_and(|inner| inner.is::<Elapsed>())
}

async fn send(place: &Place, parts: &Parts, body: Bytes) -> Answer {
    let request = Request::from_parts(parts.clone(), Body::new(Full::new(body)));
    let answer = place.channel.clone().oneshot(request).await?;
    Ok(answer.map(Body::new))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service<Request<Body>> for Wire {
    type Response = Response<Body>;
    type Error = Unanswered;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let way = self.0.clone();
        Box::pin(async move { way.carry(request).await })
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("server", &self.server())
            .field("follows", &self.0.follows)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    fn refused(code: Code, reason: &str) -> Status {
        status::reasoned(code, reason, "no", &[("leader", "https://other:1")])
    }

    #[test]
    fn only_what_was_surely_not_done_is_asked_again() {
        assert!(matches!(
            after(refused(Code::Unavailable, "NOT_LEADER"), true),
            Next::Look(Some(_))
        ));
        for refusal in [
            refused(Code::Unavailable, "STORE"),
            refused(Code::Unavailable, "AGENT_AWAY"),
            refused(Code::FailedPrecondition, "NOT_LEADER"),
            refused(Code::ResourceExhausted, "STORE_FULL"),
            Status::unavailable("NOT_LEADER"),
        ] {
            assert!(matches!(after(refusal.clone(), true), Next::Take), "{refusal}");
        }
        // Who asks one hub how it is wants to hear it from that one.
        assert!(matches!(
            after(refused(Code::Unavailable, "NOT_LEADER"), false),
            Next::Take
        ));
    }

    #[test]
    fn patience_is_as_long_as_it_is_asked_for() {
        let delay = Duration::from_millis(1500);
        let details = ErrorDetails::with_retry_info(Some(delay));
        let refusal = Status::with_error_details(Code::ResourceExhausted, "too many", details);
        assert!(matches!(after(refusal, false), Next::Wait(_, told) if told == delay));
    }
}
