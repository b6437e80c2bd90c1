//! The hub's audit log: who called what and what came of it, who was refused, what the control loop decided.
//!
//! [`Audit`] is what everybody holds who has something to say; [`writer`] is the one task that writes, so that whoever comes at once shares
//! a write. What must not happen unrecorded waits for [`Audit::record`] and does not happen when that fails; what has happened already
//! is handed over by [`Audit::note`], is kept while the log cannot be written, and follows when it can.

pub mod agents;
pub mod calls;
mod memory;
mod webhook;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use berth_control::seams::{Decision, Recorder};
use berth_identity::{
    PeerInfo,
    audit::{AuditKey, AuditKeyError, Event, Kind, Log, LogError, LogOptions, Subject},
};
use berth_runtime::{CancellationToken, Clock, Readiness};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::{Code, Status};
use tracing::error;

pub use self::webhook::{Webhook, WebhookError};
use crate::{grpc::error::refused, lead::Lead};

/// Events on their way to the writer.
const QUEUE: usize = 4096;

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Of which hub it is.
    pub hub: String,
    /// A segment that is longer ends.
    pub segment_bytes: u64,
    /// Events that are sealed together at most.
    pub seal_events: u64,
    /// What was written is sealed after this at the latest.
    pub seal_after: Duration,
}

/// Why the audit log cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Its key.
    #[error("the audit log's key")]
    Key(#[from] AuditKeyError),
    /// Its files.
    #[error("the audit log")]
    Log(#[from] LogError),
    /// Where it is sent.
    #[error("the audit log's webhook")]
    Webhook(#[from] WebhookError),
}

/// How the log stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What keeps it from being written.
    pub trouble: Option<String>,
    /// The last line.
    pub last: u64,
}

/// Whoever has something to record holds one. Copies write the same log.
#[derive(Clone)]
pub struct Audit {
    queue: mpsc::Sender<Ask>,
    state: watch::Receiver<State>,
    lost: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    dir: Arc<Path>,
    id: Arc<str>,
}

/// Events to be written, and who waits for that.
struct Ask {
    events: Vec<Event>,
    answer: Option<oneshot::Sender<Result<(), String>>>,
}

/// An open log and the task that writes it.
pub struct Writing {
    /// What others hold.
    pub audit: Audit,
    task: tokio::task::JoinHandle<()>,
    close: CancellationToken,
}

impl Writing {
    /// Opens the log in `dir`, sealed by the key in `keys`, and begins to write it.
    ///
    /// # Errors
    /// [`AuditError`] names the file.
    pub fn begin(
        dir: &Path,
        keys: &Path,
        options: AuditOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AuditError> {
        let key = Arc::new(AuditKey::load_or_create(keys)?);
        let AuditOptions {
            hub,
            segment_bytes,
            seal_events,
            seal_after,
        } = options;
        let id = berth_runtime::entropy::uuid().simple().to_string();
        let log_options = LogOptions {
            segment_bytes,
            seal_events,
            ..LogOptions::new(id, hub)
        };
        let pin = key.public().pin().to_string();
        let (log, opened) = Log::open(dir, key, log_options)?;
        for problem in &opened.wrong {
            error!(%problem, log = %dir.display(), "the audit log is not as this hub left it; berth audit verify says where");
        }
        let (queue, asks) = mpsc::channel(QUEUE);
        let state = watch::Sender::new(State {
            trouble: None,
            last: log.last(),
        });
        let lost = Arc::new(AtomicU64::new(0));
        let audit = Audit {
            queue,
            state: state.subscribe(),
            lost: lost.clone(),
            sent: Arc::default(),
            dir: dir.into(),
            id: log.id().into(),
        };
        let close = CancellationToken::new();
        let writer = writer::Writer {
            log,
            asks,
            state,
            lost,
            clock,
            seal_after,
            close: close.clone(),
        };
        let task = tokio::spawn(writer.run());
        let mut started = Event::new(Kind::Hub, "Start")
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("auditKey", pin);
        started.reason = opened.wrong.join("; ");
        audit.note(started);
        Ok(Self { audit, task, close })
    }

    /// Writes and seals what is there. What is handed over later is not recorded.
    pub async fn end(self) {
        self.audit.note(Event::new(Kind::Hub, "End"));
        self.close.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the audit log was not closed");
        }
    }
}

impl Audit {
    /// Returns when the events are in the log for good.
    ///
    /// # Errors
    /// UNAVAILABLE, `AUDIT_UNAVAILABLE`: they are not, and what they tell of must not be done.
    pub async fn record(&self, events: Vec<Event>) -> Result<(), Status> {
        self.durably(events)
            .await
            .map_err(|problem| unavailable(&problem))
    }

    async fn durably(&self, events: Vec<Event>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            events,
            answer: Some(answer),
        };
        let ended = || "the hub is ending".to_owned();
        self.queue.send(ask).await.map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Hands over what has happened. When even the queue is full it is counted as lost, and the log says how many were.
    pub fn note(&self, event: Event) {
        if self
            .queue
            .try_send(Ask {
                events: vec![event],
                answer: None,
            })
            .is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the log stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Tells of every change of how it stands.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Events that were handed over and are not in the log.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The last line that the webhook has taken; 0 when there is none.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Where the log is.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.to_path_buf()
    }

    /// What tells this log from other hubs'.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

#[async_trait]
impl Recorder for Audit {
    fn listens(&self) -> bool {
        true
    }

    async fn record(&self, decisions: Vec<Decision>) -> Result<(), String> {
        self.durably(decisions.into_iter().map(decided).collect()).await
    }
}

/// Records in which terms this hub leads, and says that it is not ready while the log cannot be written, until `cancel`.
pub(crate) async fn terms(audit: Audit, lead: Lead, readiness: Readiness, cancel: CancellationToken) {
    let (mut state, mut led) = (audit.changes(), lead.changes());
    let (mut waiting, mut term) = (None, None);
    loop {
        let troubled = state.borrow_and_update().trouble.is_some();
        waiting = match waiting {
            None if troubled => Some(readiness.guard("audit log")),
            kept => kept.filter(|_| troubled),
        };
        let now = led.borrow_and_update().as_ref().map(|leading| leading.term);
        if now != term {
            let event = match (now, term) {
                (Some(now), _) => Event::new(Kind::Hub, "Lead").with("term", now.to_string()),
                (None, before) => Event::new(Kind::Hub, "Follow").with(
                    "term",
                    before.map(|before| before.to_string()).unwrap_or_default(),
                ),
            };
            audit.note(event);
            term = now;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = state.changed() => {}
            _ = led.changed() => {}
        }
    }
}

fn decided(decision: Decision) -> Event {
    let mut event = Event {
        caller: "berth:control-loop".to_owned(),
        target: Some(Subject {
            kind: "tenant".to_owned(),
            name: decision.tenant.to_string(),
            tenant: decision.tenant.to_string(),
        }),
        reason: decision.reason,
        ..Event::new(Kind::Decision, decision.step)
    };
    for (name, value) in decision.detail {
        event = event.with(name, value);
    }
    let cluster = decision.cluster.map(|cluster| cluster.to_string());
    event
        .with("cluster", cluster.unwrap_or_default())
        .with("inputs", decision.inputs)
}

/// UNAVAILABLE: what changes something waits for the log.
fn unavailable(problem: &str) -> Status {
    refused(
        Code::Unavailable,
        "AUDIT_UNAVAILABLE",
        format!("nothing is changed while the audit log cannot be written: {problem}"),
    )
}

/// Where a request's connection comes from.
fn source<B>(request: &http::Request<B>) -> String {
    let info = request.extensions().get::<PeerInfo>();
    info.map(|info| info.remote.to_string()).unwrap_or_default()
}

/// A status as the log has it: its code's name, and its reason for machines, else its message.
fn outcome(status: &Status) -> (String, String) {
    let reason = berth_wire::status::reason(status).unwrap_or_else(|| status.message().to_owned());
    (code(status.code()).to_owned(), reason)
}

/// As gRPC names codes.
const fn code(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
