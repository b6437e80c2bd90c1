//! `berth watch` and `get --watch`: tenants, and their changes as they happen.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use berth_proto::v1::{self, watch_tenants_response::Event};
use berth_runtime::clock::{Clock as _, SystemClock};
use berth_wire::{file::Tree, status};
use prost::Message as _;
use tonic::{Code, Status};

use super::{Session, get};
use crate::{
    args::{Format, Output, Watch},
    exit::{Exit, Failure},
    kinds::{self, Kind, Targets},
    output::{Shown, condition, short, table::Table, unwritable},
};

pub(super) async fn run(session: &Session<'_>, args: Watch) -> Result<(), Failure> {
    let Watch {
        targets,
        selector,
        output,
    } = args;
    follow(session, kinds::targets(&targets)?, selector.as_deref(), &output).await
}

pub(super) async fn follow(
    session: &Session<'_>,
    targets: Targets,
    selector: Option<&str>,
    output: &Output,
) -> Result<(), Failure> {
    if targets.kind != Kind::Tenant {
        return Err(Failure::usage("only tenants can be watched"));
    }
    let only = match targets.names.as_slice() {
        [] => None,
        [name] => Some(name.as_str()),
        _ => return Err(Failure::usage("watch one tenant or all of them")),
    };
    let filter = get::filter(selector);
    let mut shown = Lines::new(output);
    let mut stream = Tenants::open(session, only).await?;
    loop {
        match stream.next().await? {
            Event::Upserted(tenant) => {
                if takes(&filter, &tenant) {
                    shown.tenant(session, &tenant)?;
                }
            }
            Event::Deleted(name) => shown.deleted(session, short(&name))?,
            Event::SnapshotEnd(v1::SnapshotEnd {}) => shown.complete(session)?,
        }
    }
}

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
    /// Those of the snapshot under way.
    fresh: BTreeSet<String>,
}

impl Known {
    /// Takes an event in, and gives what is to be shown: nothing where it repeats what was shown.
    fn learn(&mut self, event: Event, snapshot: bool) -> Vec<Event> {
        match event {
            Event::Upserted(tenant) => {
                if snapshot {
                    self.fresh.insert(tenant.name.clone());
                }
                let now = looks(&tenant);
                let before = self.all.insert(tenant.name.clone(), now);
                Vec::from_iter((before != Some(now)).then_some(Event::Upserted(tenant)))
            }
            Event::Deleted(name) => {
                self.all.remove(&name);
                vec![Event::Deleted(name)]
            }
            Event::SnapshotEnd(end) => {
                let fresh = std::mem::take(&mut self.fresh);
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
            self.known.fresh.clear();
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

/// Writes tenants as they come: rows for people, one JSON or YAML document each for machines.
struct Lines<'a> {
    output: &'a Output,
    table: Table,
    headers: bool,
    /// The snapshot is written at once, so that its columns line up.
    complete: bool,
}

impl<'a> Lines<'a> {
    fn new(output: &'a Output) -> Self {
        let wide = output.output == Format::Wide;
        Self {
            output,
            table: Table::new(v1::Tenant::COLUMNS, wide),
            headers: !output.no_headers,
            complete: false,
        }
    }

    fn tenant(&mut self, session: &Session<'_>, tenant: &v1::Tenant) -> Result<(), Failure> {
        match self.output.output {
            Format::Table | Format::Wide => {
                self.table.push(tenant.row(session.now()));
                if self.complete {
                    self.flush(session)
                } else {
                    Ok(())
                }
            }
            Format::Name => session.terminal.print(&format!("tenant/{}\n", tenant.name())),
            Format::Json | Format::Yaml => self.document(session, &tenant.tree()?),
        }
    }

    fn deleted(&mut self, session: &Session<'_>, name: &str) -> Result<(), Failure> {
        match self.output.output {
            Format::Json | Format::Yaml => {
                let tree = Tree::map()
                    .text("kind", "Tenant")
                    .with("metadata", Tree::map().text("name", name))
                    .with("deleted", Tree::Bool(true));
                self.document(session, &tree)
            }
            Format::Table | Format::Wide | Format::Name => {
                session.terminal.print(&format!("tenant/{name} deleted\n"))
            }
        }
    }

    fn complete(&mut self, session: &Session<'_>) -> Result<(), Failure> {
        self.complete = true;
        if matches!(self.output.output, Format::Table | Format::Wide) {
            self.flush(session)
        } else {
            Ok(())
        }
    }

    fn flush(&mut self, session: &Session<'_>) -> Result<(), Failure> {
        let headers = std::mem::take(&mut self.headers);
        session
            .terminal
            .print(&self.table.render(session.terminal, headers))
    }

    fn document(&self, session: &Session<'_>, tree: &Tree) -> Result<(), Failure> {
        let text = match self.output.output {
            Format::Yaml => format!("---\n{}", tree.to_yaml().map_err(unwritable)?),
            _ => {
                let line = serde_json::to_string(tree)
                    .map_err(|error| Failure::new(Exit::Failure, format!("write JSON: {error}")))?;
                format!("{line}\n")
            }
        };
        session.terminal.print(&text)
    }
}

/// The hub's filter, here: a watch has none of its own.
fn takes(filter: &str, tenant: &v1::Tenant) -> bool {
    let spec = tenant.spec.clone().unwrap_or_default();
    let placement = tenant
        .status
        .as_ref()
        .and_then(|status| status.placement.clone())
        .unwrap_or_default();
    let ready = condition(tenant, "Ready").map_or("Unknown", |ready| ready.status.as_str());
    filter
        .split(',')
        .filter_map(|term| term.split_once('='))
        .all(|(key, value)| match key {
            "tier" => spec.tier == value,
            "isolation" => placement.isolation == value,
            "cluster" => placement.cluster == value,
            "ready" => ready.eq_ignore_ascii_case(value),
            label => label
                .strip_prefix("label.")
                .is_some_and(|label| spec.labels.get(label).is_some_and(|v| v == value)),
        })
}

#[cfg(test)]
mod tests {
    use berth_model::Timestamp;

    use super::*;

    #[test]
    fn a_watch_filters_as_a_list_does() {
        let tenant = v1::Tenant {
            spec: Some(v1::TenantSpec {
                tier: "free".into(),
                labels: [("team".to_owned(), "blue".to_owned())].into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        for (filter, expected) in [
            ("", true),
            ("tier=free", true),
            ("tier=gold", false),
            ("label.team=blue,ready=unknown", true),
            ("label.x=y", false),
        ] {
            assert_eq!(takes(filter, &tenant), expected, "{filter}");
        }
        assert_eq!(tenant.row(Timestamp::UNIX_EPOCH).len(), v1::Tenant::COLUMNS.len());
    }

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
        assert_eq!(known.learn(end.clone(), false), [end.clone()]);
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
