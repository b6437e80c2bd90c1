//! Three layers of the API: [`Witness`], outermost, sees who was refused; [`Known`], behind the entry, who came in; [`Recorded`],
//! innermost, records what changes something before it is done and what came of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use berth_identity::{
    Caller,
    audit::{Event, Hash, Kind, Stage, Subject},
};
use berth_runtime::Clock;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tonic::{Code, Status, body::Body};

use super::{Audit, memory::Lately, outcome, source};
use crate::calls::{Call, Next, Parties, Step, Target, Verb, parties};

const OURS: &str = "/berth.";
/// The same refusal is recorded once in this time, with how often it came.
const DENIALS: Duration = Duration::from_secs(60);
/// A credential in use is recorded once in this time.
const LOGINS: Duration = Duration::from_secs(3600);

/// What is known of a call, filled in on its way in.
#[derive(Clone, Default)]
struct Trail(Arc<Mutex<Option<Parties>>>);

impl Trail {
    fn set(&self, parties: Parties) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(parties);
    }

    fn get(&self) -> Option<Parties> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What all three share.
struct Shared {
    audit: Audit,
    clock: Arc<dyn Clock>,
    denials: Lately,
    logins: Lately,
}

/// The three layers of one API.
#[derive(Clone)]
pub struct Layers(Arc<Shared>);

impl Layers {
    /// Layers that record in `audit`.
    #[must_use]
    pub fn new(audit: Audit, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            audit,
            clock,
            denials: Lately::new(DENIALS),
            logins: Lately::new(LOGINS),
        }))
    }

    /// The outermost.
    #[must_use]
    pub fn witness(&self) -> Witness {
        Witness(self.0.clone())
    }

    /// Behind the entry.
    #[must_use]
    pub fn known(&self) -> Known {
        Known(self.0.clone())
    }

    /// The innermost.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        Recorded(self.0.clone())
    }
}

/// Records refusals.
#[derive(Clone)]
pub struct Witness(Arc<Shared>);

/// Knows who is in.
#[derive(Clone)]
pub struct Known(Arc<Shared>);

/// Records changes.
#[derive(Clone)]
pub struct Recorded(Arc<Shared>);

impl Step for Witness {
    async fn around<N: Next>(self, mut next: N, mut request: Request<Body>) -> Response<Body> {
        let Self(shared) = self;
        if !request.uri().path().starts_with(OURS) {
            return next.go(request).await;
        }
        let trail = Trail::default();
        request.extensions_mut().insert(trail.clone());
        let from = source(&request);
        let path: String = request.uri().path().chars().take(200).collect();
        let response = next.go(request).await;
        if let Some(status) = refusal(&response) {
            shared.denied(trail.get(), from, &path, &status);
        }
        response
    }
}

/// The status of a response that was refused because of who asked.
pub(super) fn refusal(response: &Response<Body>) -> Option<Status> {
    Status::from_header_map(response.headers())
        .filter(|status| matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied))
}

impl Shared {
    fn denied(&self, parties: Option<Parties>, from: String, path: &str, status: &Status) {
        let (code, reason) = outcome(status);
        let call = parties.as_ref().map_or(path, |(call, ..)| call.name());
        let caller = parties
            .as_ref()
            .map(|(_, caller, _)| caller.principal.to_string());
        let address = from
            .rsplit_once(':')
            .map_or(from.as_str(), |(address, _)| address);
        let key = format!(
            "{address} {call} {} {reason}",
            caller.as_deref().unwrap_or_default()
        );
        let Some(before) = self.denials.first(key, self.clock.monotonic()) else {
            return;
        };
        let mut event = Event::new(Kind::Denial, call);
        if let Some((_, caller, target)) = &parties {
            event = who(event, caller);
            event.target = Some(subject(target));
        }
        event.outcome = code;
        event.reason = reason;
        event.source = from;
        let repeated = if before == 0 {
            String::new()
        } else {
            before.to_string()
        };
        self.audit.note(
            event
                .with("repeatedBefore", repeated)
                .with("message", status.message()),
        );
    }
}

impl Step for Known {
    async fn around<N: Next>(self, mut next: N, request: Request<Body>) -> Response<Body> {
        let Self(shared) = self;
        let Some((call, caller, target)) = parties(&request) else {
            return next.go(request).await;
        };
        let from = source(&request);
        let address = from
            .rsplit_once(':')
            .map_or(from.as_str(), |(address, _)| address);
        let key = format!("{} {} {address}", caller.principal, caller.credential);
        if shared.logins.first(key, shared.clock.monotonic()).is_some() {
            let mut event = who(Event::new(Kind::Login, call.name()), &caller);
            event.source.clone_from(&from);
            shared.audit.note(event);
        }
        if let Some(trail) = request.extensions().get::<Trail>() {
            trail.set((call, caller, target));
        }
        next.go(request).await
    }
}

impl Step for Recorded {
    async fn around<N: Next>(self, mut next: N, request: Request<Body>) -> Response<Body> {
        let Self(shared) = self;
        let Some((call, caller, target)) = parties(&request) else {
            return next.go(request).await;
        };
        if call.verb != Verb::Change && !hands_out(call) {
            return next.go(request).await;
        }
        let from = source(&request);
        let (parts, body) = request.into_parts();
        let bytes = match body.collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(status) => return status.into_http(),
        };
        let mut event = who(Event::new(Kind::Call, call.name()), &caller);
        event.target = Some(subject(&target));
        event.source = from;
        event.request = berth_runtime::entropy::uuid().simple().to_string();
        let before = Event {
            stage: Some(Stage::RequestReceived),
            ..event.clone()
        }
        .with("permission", target.permission.unwrap_or(call.permission))
        .with("requestSha256", Hash::of(&bytes).to_string());
        if let Err(status) = shared.audit.record(vec![before]).await {
            return status.into_http();
        }
        event.stage = Some(Stage::ResponseComplete);
        let mut open = Open {
            audit: &shared.audit,
            event: Some(event),
        };
        let response = next
            .go(Request::from_parts(parts, Body::new(Full::new(bytes))))
            .await;
        open.ended(Status::from_header_map(response.headers()));
        response
    }
}

/// A call that was recorded before it was done; what came of it follows, also when the caller went away.
struct Open<'a> {
    audit: &'a Audit,
    event: Option<Event>,
}

impl Open<'_> {
    fn ended(&mut self, status: Option<Status>) {
        let Some(mut event) = self.event.take() else {
            return;
        };
        (event.outcome, event.reason) = match status {
            Some(status) if status.code() != Code::Ok => outcome(&status),
            _ => ("OK".to_owned(), String::new()),
        };
        self.audit.note(event);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(mut event) = self.event.take() {
            event.outcome = "CANCELLED".to_owned();
            event.reason = "the caller went away; what was asked for may have been done".to_owned();
            self.audit.note(event);
        }
    }
}

/// What changes nothing and is worth knowing of all the same: it takes everything out.
fn hands_out(call: &Call) -> bool {
    call.permission == "fleet.backup"
}

fn who(event: Event, caller: &Caller) -> Event {
    Event {
        caller: caller.principal.to_string(),
        groups: caller.groups.clone(),
        credential: caller.credential.clone(),
        ..event
    }
}

fn subject(target: &Target) -> Subject {
    Subject {
        kind: target.kind.to_owned(),
        name: target.name.clone(),
        tenant: target.tenant.clone(),
    }
}
