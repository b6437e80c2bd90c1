//! The stream of tenants as commands read it: one, whichever hubs it comes from.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use berth_proto::v1::{self, watch_tenants_response::Event};
use berth_runtime::clock::{Clock as _, SystemClock};
use berth_wire::status;
use prost::Message as _;
use tonic::{Code, Status};

use super::Session;
use crate::exit::{Exit, Failure};

/// The hub's stream of tenants. It is opened again where it ended, at whichever hub leads by then; what a new snapshot lacks then comes
/// as deleted, and what it shows as it was shown before does not come again.
pub(super) struct Tenants<'a> {
    session: &'a Session<'a>,
    name: String,
    resume_token: String,
    stream: tonic::Streaming<v1::WatchTenantsResponse>,
    server: String,
    known: Known,
    queue: VecDeque<Event>,
}

/// Which tenants there are, as far as the stream has said.
#[derive(Default)]
struct Known {
    /// How each was last shown, by its resource name.
    all: BTreeMap<String, u64>,
    /// Those that came since the stream was opened, or since a snapshot began in it.
    fresh: BTreeSet<String>,
    /// A snapshot has begun.
    snapshot: bool,
}

impl Known {
    /// The stream was opened again: it may begin with a snapshot.
    fn opened(&mut self) {
        self.fresh.clear();
        self.snapshot = false;
    }

    /// Takes an event in, and gives what is to be shown: nothing where it repeats what was shown.
    fn learn(&mut self, event: Event, snapshot: bool) -> Vec<Event> {
        match event {
            Event::Upserted(tenant) => {
                if snapshot && !std::mem::replace(&mut self.snapshot, true) {
                    self.fresh.clear();
                }
                self.fresh.insert(tenant.name.clone());
                let now = looks(&tenant);
                let before = self.all.insert(tenant.name.clone(), now);
                Vec::from_iter((before != Some(now)).then_some(Event::Upserted(tenant)))
            }
            Event::Deleted(name) => {
                self.all.remove(&name);
                self.fresh.remove(&name);
                vec![Event::Deleted(name)]
            }
            Event::SnapshotEnd(end) => {
                let fresh = std::mem::take(&mut self.fresh);
                self.snapshot = false;
                let gone = self.all.extract_if(.., |name, _| !fresh.contains(name));
                let gone = gone.map(|(name, _)| Event::Deleted(name));
                std::iter::once(Event::SnapshotEnd(end)).chain(gone).collect()
            }
        }
    }
}

/// Stands for all that is worth showing of a tenant. When it was last heard of is not: that is no news while nothing else is.
fn looks(tenant: &v1::Tenant) -> u64 {
    let mut tenant = tenant.clone();
    if let Some(status) = &mut tenant.status {
        status.evidence_time = None;
    }
    let mut hasher = DefaultHasher::new();
    tenant.encode_to_vec().hash(&mut hasher);
    hasher.finish()
}

impl<'a> Tenants<'a> {
    pub(super) async fn open(session: &'a Session<'a>, only: Option<&str>) -> Result<Self, Failure> {
        let name = only.map(|name| format!("tenants/{name}")).unwrap_or_default();
        let stream = open(session, &name, "").await?;
        Ok(Self {
            session,
            name,
            resume_token: String::new(),
            stream,
            server: session.hub.server(),
            known: Known::default(),
            queue: VecDeque::new(),
        })
    }

    /// The next event. Ends only in a failure.
    pub(super) async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            let ended = match self.stream.message().await {
                Ok(Some(v1::WatchTenantsResponse { event, resume_token })) => {
                    self.resume_token = resume_token;
                    // Without an event, it is one of a newer hub.
                    if let Some(event) = event {
                        let snapshot = self.resume_token.is_empty();
                        self.queue.extend(self.known.learn(event, snapshot));
                    }
                    continue;
                }
                Ok(None) => Status::unavailable("the hub ended the stream"),
                Err(status) => status,
            };
            match (ended.code(), status::retry_after(&ended)) {
                (Code::ResourceExhausted, Some(delay)) => tokio::time::sleep(delay).await,
                (Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled, _) => {}
                _ => return Err(Failure::of("watch", &ended)),
            }
            self.stream = self.again().await?;
            self.known.opened();
            let server = self.session.hub.server();
            if server != self.server {
                let before = std::mem::replace(&mut self.server, server);
                let line = format!("hub {before} leads no more; going on at {}", self.server);
                self.session.terminal.note(&line);
            }
        }
    }

    /// Opens the stream again, for a minute at most.
    async fn again(&self) -> Result<tonic::Streaming<v1::WatchTenantsResponse>, Failure> {
        const PATIENCE: Duration = Duration::from_secs(60);
        const PAUSE: Duration = Duration::from_millis(500);
        let clock = SystemClock::new();
        loop {
            self.session.hub.look_again().await?;
            match open(self.session, &self.name, &self.resume_token).await {
                Err(failure) if failure.exit == Exit::Unavailable && clock.monotonic() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                opened => return opened,
            }
        }
    }
}

async fn open(
    session: &Session<'_>,
    name: &str,
    resume_token: &str,
) -> Result<tonic::Streaming<v1::WatchTenantsResponse>, Failure> {
    let request = v1::WatchTenantsRequest {
        resume_token: resume_token.to_owned(),
        name: name.to_owned(),
    };
    session
        .hub
        .ask("watch", session.hub.tenants().watch_tenants(request))
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_new_snapshot_lacks_is_gone() {
        let tenant = |name: &str| {
            Event::Upserted(v1::Tenant {
                name: name.into(),
                ..Default::default()
            })
        };
        let end = Event::SnapshotEnd(v1::SnapshotEnd {});
        let mut known = Known::default();
        assert_eq!(known.learn(tenant("tenants/a"), true).len(), 1);
        assert_eq!(known.learn(tenant("tenants/b"), true).len(), 1);
        assert_eq!(known.learn(end.clone(), false), vec![end.clone()]);
        // It came and went while the reader was away.
        assert_eq!(known.learn(tenant("tenants/c"), false).len(), 1);
        assert_eq!(known.learn(tenant("tenants/b"), true), []);
        let gone = ["tenants/a", "tenants/c"].map(|name| Event::Deleted(name.into()));
        assert_eq!(known.learn(end.clone(), false), [&[end], &gone[..]].concat());
    }

    #[test]
    fn what_was_shown_comes_again_only_when_it_is_news() {
        let of = |generation, heard| {
            let status = v1::TenantStatus {
                evidence_time: Some(prost_types::Timestamp {
                    seconds: heard,
                    nanos: 0,
                }),
                ..Default::default()
            };
            Event::Upserted(v1::Tenant {
                name: "tenants/a".into(),
                generation,
                status: Some(status),
                ..Default::default()
            })
        };
        let mut known = Known::default();
        assert_eq!(known.learn(of(1, 1), true).len(), 1);
        assert_eq!(known.learn(of(1, 2), true), [], "only heard of again");
        assert_eq!(known.learn(of(2, 2), true).len(), 1);
        known.learn(Event::Deleted("tenants/a".into()), false);
        assert_eq!(known.learn(of(2, 2), true).len(), 1, "it was gone");
    }
}
