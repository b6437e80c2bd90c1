//! The layer of the agents' listener: joins and other changes of who an agent is are recorded before the agent hears of them, refusals always,
//! also those that end a stream. What agents report is no event.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use berth_identity::{
    Peer, PeerInfo,
    audit::{Event, Kind, Subject},
    certificate,
};
use berth_proto::agent;
use berth_runtime::Clock;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use tonic::{Code, Status, body::Body};

use super::{Audit, calls::refusal, memory::Lately, outcome, source};
use crate::calls::{Next, Step};

const SERVICE: &str = "/berth.agent.v1.AgentService/";
const JOIN: &str = "Join";
const LINK: &str = "Link";
const RECOVER: &str = "Recover";
/// What agents do by themselves many times a day: only refusals of it are worth a line.
const EVERY_DAY: [&str; 3] = ["Renew", LINK, "Challenge"];
/// The same refusal is recorded once in this time, with how often it came.
const DENIALS: Duration = Duration::from_secs(60);

/// Records what agents do with their identity.
#[derive(Clone)]
pub struct AgentCalls(Arc<Shared>);

struct Shared {
    audit: Audit,
    clock: Arc<dyn Clock>,
    denials: Lately,
}

impl AgentCalls {
    /// Records in `audit`.
    #[must_use]
    pub fn new(audit: Audit, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            audit,
            clock,
            denials: Lately::new(DENIALS),
        }))
    }
}

impl Step for AgentCalls {
    async fn around<N: Next>(self, mut next: N, request: Request<Body>) -> Response<Body> {
        let Self(shared) = self;
        let Some(call) = request.uri().path().strip_prefix(SERVICE) else {
            return next.go(request).await;
        };
        let call: String = call.chars().take(64).collect();
        let mut event = Event::new(Kind::Agent, format!("AgentService/{call}"));
        event.source = source(&request);
        if let Some(PeerInfo {
            peer: Some(Peer::Agent {
                cluster, key_sha256, ..
            }),
            ..
        }) = request.extensions().get()
        {
            event.caller = format!("agent:{cluster}");
            event.credential = format!("key {key_sha256}");
            event.target = Some(about(cluster.as_str()));
        }
        let every_day = EVERY_DAY.contains(&call.as_str());
        if !every_day && let Some(problem) = shared.audit.state().trouble {
            return super::unavailable(&problem).into_http();
        }
        let response = next.go(request).await;
        if call == LINK {
            if let Some(status) = refusal(&response) {
                shared.failed(event, &status);
                return response;
            }
            return response.map(|inner| {
                Body::new(Watched {
                    inner,
                    shared,
                    event: Some(event),
                })
            });
        }
        if let Some(status) =
            Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok)
        {
            if !every_day || refusal(&response).is_some() {
                shared.failed(event, &status);
            }
            return response;
        }
        if every_day {
            return response;
        }
        let (parts, body) = response.into_parts();
        let collected = match body.collect().await {
            Ok(collected) => collected,
            Err(status) => return status.into_http(),
        };
        let trailers = collected.trailers().cloned();
        let bytes = collected.to_bytes();
        let cluster = match call.as_str() {
            JOIN => joined(&bytes),
            RECOVER => recovered(&bytes),
            _ => None,
        };
        if let Some(cluster) = cluster {
            event.target = Some(about(&cluster));
        }
        event.outcome = "OK".to_owned();
        // It is done, and the agent does not hear of it before that is recorded: it asks again with the same key, and gets the same.
        if let Err(status) = shared.audit.record(vec![event]).await {
            return status.into_http();
        }
        let body = Full::new(bytes).with_trailers(std::future::ready(trailers.map(Ok)));
        Response::from_parts(parts, Body::new(body))
    }
}

impl Shared {
    /// Strangers may ask as often as they like: the same failure from the same place is one line a while.
    fn failed(&self, event: Event, status: &Status) {
        let (code, reason) = outcome(status);
        let address = event
            .source
            .rsplit_once(':')
            .map_or(event.source.as_str(), |(address, _)| address);
        let key = format!("{address} {} {} {reason}", event.call, event.caller);
        let Some(before) = self.denials.first(key, self.clock.monotonic()) else {
            return;
        };
        let repeated = if before == 0 {
            String::new()
        } else {
            before.to_string()
        };
        let kind = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Kind::Denial,
            _ => Kind::Agent,
        };
        let event = Event {
            kind,
            outcome: code,
            reason,
            ..event
        };
        self.audit.note(
            event
                .with("repeatedBefore", repeated)
                .with("message", status.message()),
        );
    }
}

fn about(cluster: &str) -> Subject {
    Subject {
        kind: "cluster".to_owned(),
        name: cluster.to_owned(),
        tenant: String::new(),
    }
}

/// Which cluster an answer to Join is for: one message behind five bytes of frame.
/// Who has recovered, as its new certificate says.
fn recovered(body: &[u8]) -> Option<String> {
    let message = agent::RecoverResponse::decode(body.get(5..)?).ok()?;
    let der = certificate::first(&message.certificate_pem).ok()?;
    certificate::common_name(&der)
}

fn joined(body: &[u8]) -> Option<String> {
    let message = agent::JoinResponse::decode(body.get(5..)?).ok()?;
    Some(message.cluster)
}

/// A stream to an agent, of which is seen whether it ends because of who the agent is.
struct Watched {
    inner: Body,
    shared: Arc<Shared>,
    event: Option<Event>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
            && let Some(status) = Status::from_header_map(trailers)
            && matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied)
            && let Some(event) = self.event.take()
        {
            self.shared.failed(event, &status);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
