//! AgentService: joining, and the link. Identity is the certificate; nothing in a message changes it.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_control::{
    outbox::{Command, Outbox, Outgoing},
    sessions::{Held, Hello, SessionId},
};
use berth_identity::{Peer, PeerInfo, ca};
use berth_model::{
    Assignment, ClusterName, Digest, Generation, Health, HealthState, TenantReport, Term, Violation,
    report::ApplyState,
};
use berth_proto::agent::{self, agent_service_server::AgentService, link_request, link_response};
use berth_runtime::Clock;
use berth_store::Store;
use berth_wire::{link, time};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::{info, warn};

use super::{
    Api,
    error::{invalid, refused, status},
};

/// Protocol versions this hub speaks.
const PROTOCOL: u32 = 1;
const HEARTBEAT: Duration = Duration::from_secs(4);
const PING: Duration = Duration::from_secs(10);
/// A silent agent is given up after this; its session ends and its cluster reads Unknown long before.
const SILENCE: Duration = Duration::from_secs(30);
/// An agent says who it is within this.
const HELLO: Duration = Duration::from_secs(20);
/// Bytes of one part of an assignment on the wire, well under the decoding limit of 4 MiB.
const PART: usize = 512 << 10;
/// Messages on their way to the agent.
const WINDOW: usize = 64;
/// The age of evidence that there is none of.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// Tenants an agent may hold.
const MOST_HELD: usize = 20_000;

/// The service.
pub struct Agents {
    /// What the services share.
    pub api: Api,
    /// Where rendered objects are.
    pub store: Arc<dyn Store>,
    /// The leader's term.
    pub term: Term,
}

#[tonic::async_trait]
impl AgentService for Agents {
    async fn join(
        &self,
        request: Request<agent::JoinRequest>,
    ) -> Result<Response<agent::JoinResponse>, Status> {
        let remote = remote(&request);
        let request = request.into_inner();
        // The key is in the request for signing; its hash is what the token is bound to.
        let key_sha256 = ca::key_sha256(&request.csr_der).map_err(|error| {
            invalid(vec![Violation::new(
                "csr_der",
                error.to_string(),
                "send a PKCS#10 request signed by the agent's own key",
            )])
        })?;
        let joined = self.api.registry.redeem(&request.token, &key_sha256).await;
        let joined = joined.map_err(|error| {
            warn!(%remote, error = %error, "a join was refused");
            status(error)
        })?;
        let certificate_pem = self.issue(&joined.cluster, &request.csr_der)?;
        info!(cluster = %joined.cluster, %remote, agent = %request.agent_version, "joined");
        Ok(Response::new(agent::JoinResponse {
            certificate_pem,
            ca_pem: self.api.authority.certificate_pem().to_owned(),
            cluster: joined.cluster.to_string(),
        }))
    }

    async fn renew(
        &self,
        request: Request<agent::RenewRequest>,
    ) -> Result<Response<agent::RenewResponse>, Status> {
        let (cluster, key) = self.peer(&request).await?;
        let request = request.into_inner();
        if ca::key_sha256(&request.csr_der).ok().as_deref() != Some(key.as_str()) {
            return Err(invalid(vec![Violation::new(
                "csr_der",
                "is for another key",
                "renew with the key of the certificate in use",
            )]));
        }
        let certificate_pem = self.issue(&cluster, &request.csr_der)?;
        info!(%cluster, "certificate renewed");
        Ok(Response::new(agent::RenewResponse {
            certificate_pem,
            ca_pem: self.api.authority.certificate_pem().to_owned(),
        }))
    }

    type LinkStream = Pin<Box<dyn Stream<Item = Result<agent::LinkResponse, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<agent::LinkRequest>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let (cluster, key_sha256) = self.peer(&request).await?;
        let mut incoming = request.into_inner();
        let hello = tokio::select! {
            hello = hello(&mut incoming) => hello?,
            () = self.api.clock.sleep(HELLO) => return Err(refused(Code::DeadlineExceeded, "NO_HELLO", "the agent did not say who it is")),
        };
        // Once more: saying hello may take a while, and the key may have been replaced meanwhile.
        self.check_key(&cluster, &key_sha256).await?;
        let (session, outbox) = self.api.sessions.open(&cluster, &key_sha256, hello);
        let (out, messages) = mpsc::channel(WINDOW);
        let told = Arc::new(Told::default());
        let speaker = Speaker {
            clock: self.api.clock.clone(),
            store: self.store.clone(),
            term: self.term,
            out,
            nonce: 0,
            told: told.clone(),
        };
        let link = Link {
            api: self.api.clone(),
            cluster,
            session,
            told,
        };
        tokio::spawn(link.run(incoming, speaker, outbox));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

impl Agents {
    /// The cluster whose agent calls, and its key; the key must be the one that joined last.
    async fn peer<T>(&self, request: &Request<T>) -> Result<(ClusterName, String), Status> {
        let Some(PeerInfo {
            peer: Some(Peer::Agent { cluster, key_sha256 }),
            ..
        }) = request.extensions().get::<PeerInfo>()
        else {
            return Err(refused(
                Code::Unauthenticated,
                "NO_CERTIFICATE",
                "join first: this call needs an agent's certificate",
            ));
        };
        self.check_key(cluster, key_sha256).await?;
        Ok((cluster.clone(), key_sha256.clone()))
    }

    /// Whether that key is the one that speaks for the cluster.
    async fn check_key(&self, cluster: &ClusterName, key_sha256: &str) -> Result<(), Status> {
        let current = self.api.registry.cluster_key(cluster).await.map_err(|error| match error {
            berth_control::RegistryError::NotFound { .. } => refused(
                Code::PermissionDenied,
                "NOT_IN_FLEET",
                format!("cluster {cluster} is not in this fleet (any more); join it again with berth token create {cluster}"),
            ),
            other => status(other),
        })?;
        if current == key_sha256 {
            return Ok(());
        }
        warn!(%cluster, "an agent with a replaced key was refused");
        Err(refused(
            Code::PermissionDenied,
            "KEY_REPLACED",
            format!("cluster {cluster} has joined again with another key; this agent's identity is void"),
        ))
    }

    fn issue(&self, cluster: &ClusterName, csr_der: &[u8]) -> Result<String, Status> {
        let api = &self.api;
        api.authority
            .issue_agent(
                &api.fleet_id,
                cluster,
                csr_der,
                api.clock.now(),
                ca::AGENT_LIFETIME,
            )
            .map(|issued| issued.certificate_pem)
            .map_err(|error| invalid(vec![Violation::new("csr_der", error.to_string(), "")]))
    }
}

fn remote<T>(request: &Request<T>) -> String {
    request
        .extensions()
        .get::<PeerInfo>()
        .map_or_else(|| "unknown".into(), |info| info.remote.to_string())
}

/// Reads who is there.
async fn hello(incoming: &mut Streaming<agent::LinkRequest>) -> Result<Hello, Status> {
    let wrong = |problem: String| invalid(vec![Violation::new("hello", problem, "")]);
    let Some(link_request::Message::Hello(first)) =
        incoming.message().await?.and_then(|message| message.message)
    else {
        return Err(wrong("must come first".into()));
    };
    if first.protocol < PROTOCOL {
        return Err(refused(
            Code::FailedPrecondition,
            "PROTOCOL_TOO_OLD",
            format!(
                "the agent speaks protocol {}, this hub {PROTOCOL}; update the agent",
                first.protocol
            ),
        ));
    }
    let mut held = Held::new();
    let mut chunk = first.held.clone().unwrap_or(agent::HeldChunk {
        held: Vec::new(),
        last: true,
    });
    loop {
        for one in &chunk.held {
            let one = link::held_from_proto(one).map_err(|error| wrong(error.to_string()))?;
            held.insert(one.tenant, (one.uid, one.generation, one.digest));
        }
        if held.len() > MOST_HELD {
            return Err(wrong(format!("more than {MOST_HELD} tenants are held")));
        }
        if chunk.last {
            break;
        }
        match incoming.message().await?.and_then(|message| message.message) {
            Some(link_request::Message::Held(next)) => chunk = next,
            _ => return Err(wrong("what is held must come in one piece".into())),
        }
    }
    Ok(Hello {
        agent_version: first.agent_version,
        held,
        facts: first
            .facts
            .as_ref()
            .map(link::facts_from_proto)
            .unwrap_or_default(),
        highest_term: Term(first.highest_term),
    })
}

/// What was said and not answered yet, by nonce.
#[derive(Default)]
struct Told(Mutex<BTreeMap<u64, Command>>);

impl Told {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Command>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is said now; what was said before of the same tenant does not count any more.
    fn say(&self, nonce: u64, command: Command) {
        let mut told = self.open();
        told.retain(|_, earlier| earlier.tenant() != command.tenant());
        told.insert(nonce, command);
    }

    fn answered(&self, nonce: u64) -> Option<Command> {
        self.open().remove(&nonce)
    }
}

/// One session: the half that listens. It never waits for the half that speaks, or both sides could wait for each other.
struct Link {
    api: Api,
    cluster: ClusterName,
    session: SessionId,
    told: Arc<Told>,
}

type Out = mpsc::Sender<Result<agent::LinkResponse, Status>>;

impl Link {
    async fn run(self, mut incoming: Streaming<agent::LinkRequest>, speaker: Speaker, outbox: Arc<Outbox>) {
        let welcome = agent::Welcome {
            session: self.session.0.to_string(),
            term: speaker.term.0,
            protocol: PROTOCOL,
            heartbeat_interval: Some(time::span_to_proto(HEARTBEAT)),
        };
        if speaker.send(link_response::Message::Welcome(welcome)).await {
            let mut speaking = tokio::spawn(speaker.run(outbox));
            self.listen(&mut incoming, &mut speaking).await;
            speaking.abort();
        }
        self.api.sessions.close(&self.cluster, self.session);
        info!(cluster = %self.cluster, session = self.session.0, "session closed");
    }

    async fn listen(&self, incoming: &mut Streaming<agent::LinkRequest>, speaking: &mut JoinHandle<()>) {
        let clock = &self.api.clock;
        loop {
            tokio::select! {
                message = incoming.next() => match message {
                    Some(Ok(message)) => self.hear(message),
                    Some(Err(error)) => {
                        info!(cluster = %self.cluster, error = %error.message(), "the link broke");
                        return;
                    }
                    None => return,
                },
                _ = &mut *speaking => return,
                () = clock.sleep(SILENCE) => {
                    warn!(cluster = %self.cluster, "the agent is silent; its session ends");
                    return;
                }
            }
        }
    }

    fn hear(&self, message: agent::LinkRequest) {
        use link_request::Message as M;
        let sessions = &self.api.sessions;
        let now = self.api.clock.now();
        match message.message {
            Some(M::Heartbeat(heartbeat)) => {
                let heartbeat = link::heartbeat_from_proto(&heartbeat);
                let error = (!heartbeat.api_error.is_empty()).then_some(heartbeat.api_error);
                // An agent that does not say how old its evidence is has none.
                sessions.heartbeat(
                    &self.cluster,
                    self.session,
                    heartbeat.api_age.unwrap_or(NEVER),
                    error,
                );
            }
            Some(M::Facts(agent::FactsReport { facts: Some(facts) })) => {
                sessions.facts(&self.cluster, self.session, link::facts_from_proto(&facts));
            }
            Some(M::Ack(ack)) => {
                if let Some(command) = self.told.answered(ack.nonce) {
                    sessions.holds(&self.cluster, self.session, &command);
                }
            }
            Some(M::Nack(nack)) => self.refused(&link::nack_from_proto(&nack)),
            Some(M::Report(report)) => match link::report_from_proto(&report, now) {
                Ok(report) => {
                    let age = now
                        .duration_since(report.observed_at)
                        .try_into()
                        .unwrap_or_default();
                    sessions.report(&self.cluster, self.session, report, age);
                }
                Err(error) => warn!(cluster = %self.cluster, %error, "a report cannot be read"),
            },
            // A newer agent may say more than this hub knows; a second Hello changes nothing.
            Some(M::Hello(_) | M::Held(_) | M::Reply(_) | M::Facts(_)) | None => {}
        }
    }

    /// The agent did not take a command: what it held before it still holds.
    fn refused(&self, nack: &link::Nack) {
        let sessions = &self.api.sessions;
        sessions.saw_term(&self.cluster, self.session, nack.highest_term);
        let Some(command) = self.told.answered(nack.nonce) else {
            return;
        };
        warn!(cluster = %self.cluster, tenant = %command.tenant(), reason = nack.reason.as_str(), message = %nack.message, "the agent refused");
        let (tenant, uid, generation, digest) = match command {
            Command::Assign(a) => (a.tenant, a.uid, a.generation, a.digest),
            // It is told again what to hold, with the objects.
            Command::Keep(a) => return sessions.lacks(&self.cluster, self.session, &a.tenant),
            Command::Withdraw { tenant, uid, .. } => match Digest::new("0".repeat(64)) {
                Ok(none) => (tenant, uid, Generation(0), none),
                Err(_) => return,
            },
        };
        let report = TenantReport {
            tenant,
            uid,
            generation,
            digest,
            apply: ApplyState::Failed {
                reason: nack.reason.as_str().to_owned(),
                message: nack.message.clone(),
            },
            health: Health::new(HealthState::Unknown, ""),
            observed_at: self.api.clock.now(),
        };
        sessions.report(&self.cluster, self.session, report, Duration::ZERO);
    }
}

/// The half that speaks.
struct Speaker {
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    term: Term,
    out: Out,
    nonce: u64,
    told: Arc<Told>,
}

impl Speaker {
    async fn run(mut self, outbox: Arc<Outbox>) {
        loop {
            let clock = self.clock.clone();
            let going_on = tokio::select! {
                outgoing = outbox.next() => self.say(outgoing).await,
                () = clock.sleep(PING) => self.send(link_response::Message::Ping(agent::Ping {})).await,
            };
            if !going_on {
                return;
            }
        }
    }

    async fn say(&mut self, outgoing: Outgoing) -> bool {
        match outgoing {
            Outgoing::SnapshotEnd => {
                self.send(link_response::Message::SnapshotEnd(agent::SnapshotEnd {}))
                    .await
            }
            Outgoing::ReleaseBreaker => {
                self.nonce += 1;
                let question = Some(agent::request::Question::ReleaseBreaker(agent::ReleaseBreaker {}));
                let deadline = Some(time::span_to_proto(HELLO));
                let request = agent::Request {
                    id: self.nonce,
                    deadline,
                    question,
                };
                self.send(link_response::Message::Request(request)).await
            }
            Outgoing::Goodbye { reason, message } => {
                let goodbye = agent::Goodbye {
                    reason: reason.to_owned(),
                    message,
                    ..agent::Goodbye::default()
                };
                self.send(link_response::Message::Goodbye(goodbye)).await;
                false
            }
            Outgoing::Command(command) => self.tell(command).await,
        }
    }

    async fn tell(&mut self, command: Command) -> bool {
        self.nonce += 1;
        let nonce = self.nonce;
        let messages: Vec<link_response::Message> = match &command {
            Command::Assign(assignment) => match self.objects(assignment).await {
                Some(objects) => link::chunk_assign(assignment, nonce, &objects, PART)
                    .into_iter()
                    .map(link_response::Message::Assign)
                    .collect(),
                // Replaced meanwhile: the newer one is in the outbox or will be.
                None => return true,
            },
            Command::Keep(a) => vec![link_response::Message::Keep(link::keep_to_proto(&link::Keep {
                nonce,
                tenant: a.tenant.clone(),
                uid: a.uid.clone(),
                generation: a.generation,
                digest: a.digest.clone(),
                term: a.term,
            }))],
            Command::Withdraw { tenant, uid, term } => {
                vec![link_response::Message::Withdraw(link::withdraw_to_proto(
                    &link::Withdraw {
                        nonce,
                        tenant: tenant.clone(),
                        uid: uid.clone(),
                        term: *term,
                    },
                ))]
            }
        };
        self.told.say(nonce, command);
        for message in messages {
            if !self.send(message).await {
                return false;
            }
        }
        true
    }

    async fn objects(&self, assignment: &Assignment) -> Option<Bytes> {
        match berth_control::objects::load(self.store.as_ref(), &assignment.digest).await {
            Ok(found) => found.map(Bytes::from),
            Err(error) => {
                warn!(tenant = %assignment.tenant, %error, "the objects of an assignment cannot be read");
                None
            }
        }
    }

    async fn send(&self, message: link_response::Message) -> bool {
        self.out
            .send(Ok(agent::LinkResponse {
                message: Some(message),
            }))
            .await
            .is_ok()
    }
}
