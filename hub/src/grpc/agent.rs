//! AgentService: joining, and the link. Identity is the certificate; nothing in a message changes it.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use berth_control::{
    outbox::{Command, Outbox, Outgoing},
    sessions::{Held, Hello, SessionId},
};
use berth_identity::{Peer, PeerInfo, ca};
use berth_model::{
    Assignment, ClusterName, Health, HealthState, TenantReport, Term, Violation, report::ApplyState,
};
use berth_proto::agent::{self, agent_service_server::AgentService, link_request, link_response};
use berth_store::Store;
use berth_wire::{link, time};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
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
    async fn join(&self, request: Request<agent::JoinRequest>) -> Result<Response<agent::JoinResponse>, Status> {
        let remote = remote(&request);
        let request = request.into_inner();
        // The key is in the request for signing; its hash is what the token is bound to.
        let key_sha256 = ca::key_sha256(&request.csr_der).map_err(|error| {
            invalid(vec![Violation::new("csr_der", error.to_string(), "send a PKCS#10 request signed by the agent's own key")])
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

    async fn renew(&self, request: Request<agent::RenewRequest>) -> Result<Response<agent::RenewResponse>, Status> {
        let (cluster, key) = self.peer(&request).await?;
        let request = request.into_inner();
        if ca::key_sha256(&request.csr_der).ok().as_deref() != Some(key.as_str()) {
            return Err(invalid(vec![Violation::new("csr_der", "is for another key", "renew with the key of the certificate in use")]));
        }
        let certificate_pem = self.issue(&cluster, &request.csr_der)?;
        info!(%cluster, "certificate renewed");
        Ok(Response::new(agent::RenewResponse {
            certificate_pem,
            ca_pem: self.api.authority.certificate_pem().to_owned(),
        }))
    }

    type LinkStream = Pin<Box<dyn Stream<Item = Result<agent::LinkResponse, Status>> + Send>>;

    async fn link(&self, request: Request<Streaming<agent::LinkRequest>>) -> Result<Response<Self::LinkStream>, Status> {
        let (cluster, _) = self.peer(&request).await?;
        let mut incoming = request.into_inner();
        let hello = tokio::select! {
            hello = hello(&mut incoming) => hello?,
            () = self.api.clock.sleep(HELLO) => return Err(refused(Code::DeadlineExceeded, "NO_HELLO", "the agent did not say who it is")),
        };
        let (session, outbox) = self.api.sessions.open(&cluster, hello);
        let (out, messages) = mpsc::channel(WINDOW);
        let link = Link {
            api: self.api.clone(),
            store: self.store.clone(),
            term: self.term,
            cluster,
            session,
            nonce: 0,
            told: BTreeMap::new(),
        };
        tokio::spawn(link.run(incoming, outbox, out));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

impl Agents {
    /// The cluster whose agent calls, and its key; the key must be the one that joined last.
    async fn peer<T>(&self, request: &Request<T>) -> Result<(ClusterName, String), Status> {
        let Some(PeerInfo { peer: Some(Peer::Agent { cluster, key_sha256 }), .. }) = request.extensions().get::<PeerInfo>() else {
            return Err(refused(Code::Unauthenticated, "NO_CERTIFICATE", "join first: this call needs an agent's certificate"));
        };
        let current = self.api.registry.cluster_key(cluster).await.map_err(|error| match error {
            berth_control::RegistryError::NotFound { .. } => refused(
                Code::PermissionDenied,
                "NOT_IN_FLEET",
                format!("cluster {cluster} is not in this fleet (any more); join it again with berth token create {cluster}"),
            ),
            other => status(other),
        })?;
        if current != *key_sha256 {
            warn!(%cluster, "an agent with a replaced key was refused");
            return Err(refused(
                Code::PermissionDenied,
                "KEY_REPLACED",
                format!("cluster {cluster} has joined again with another key; this agent's identity is void"),
            ));
        }
        Ok((cluster.clone(), key_sha256.clone()))
    }

    fn issue(&self, cluster: &ClusterName, csr_der: &[u8]) -> Result<String, Status> {
        let api = &self.api;
        api.authority
            .issue_agent(&api.fleet_id, cluster, csr_der, api.clock.now(), ca::AGENT_LIFETIME)
            .map(|issued| issued.certificate_pem)
            .map_err(|error| invalid(vec![Violation::new("csr_der", error.to_string(), "")]))
    }
}

fn remote<T>(request: &Request<T>) -> String {
    request.extensions().get::<PeerInfo>().map_or_else(|| "unknown".into(), |info| info.remote.to_string())
}

/// Reads who is there.
async fn hello(incoming: &mut Streaming<agent::LinkRequest>) -> Result<Hello, Status> {
    let wrong = |problem: String| invalid(vec![Violation::new("hello", problem, "")]);
    let Some(link_request::Message::Hello(first)) = incoming.message().await?.and_then(|message| message.message) else {
        return Err(wrong("must come first".into()));
    };
    if first.protocol < PROTOCOL {
        return Err(refused(
            Code::FailedPrecondition,
            "PROTOCOL_TOO_OLD",
            format!("the agent speaks protocol {}, this hub {PROTOCOL}; update the agent", first.protocol),
        ));
    }
    let mut held = Held::new();
    let mut chunk = first.held.clone().unwrap_or(agent::HeldChunk { held: Vec::new(), last: true });
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
        facts: first.facts.as_ref().map(link::facts_from_proto).unwrap_or_default(),
        highest_term: Term(first.highest_term),
    })
}

/// One session.
struct Link {
    api: Api,
    store: Arc<dyn Store>,
    term: Term,
    cluster: ClusterName,
    session: SessionId,
    nonce: u64,
    /// What was said and not answered yet.
    told: BTreeMap<u64, Command>,
}

type Out = mpsc::Sender<Result<agent::LinkResponse, Status>>;

impl Link {
    async fn run(mut self, mut incoming: Streaming<agent::LinkRequest>, outbox: Arc<Outbox>, out: Out) {
        let welcome = agent::Welcome {
            session: self.session.0.to_string(),
            term: self.term.0,
            protocol: PROTOCOL,
            heartbeat_interval: Some(time::span_to_proto(HEARTBEAT)),
        };
        if send(&out, link_response::Message::Welcome(welcome)).await {
            self.serve(&mut incoming, &outbox, &out).await;
        }
        self.api.sessions.close(&self.cluster, self.session);
        info!(cluster = %self.cluster, session = self.session.0, "session closed");
    }

    async fn serve(&mut self, incoming: &mut Streaming<agent::LinkRequest>, outbox: &Outbox, out: &Out) {
        let clock = self.api.clock.clone();
        let mut heard_at = clock.monotonic();
        let mut ping_at = heard_at + PING;
        loop {
            let now = clock.monotonic();
            let pause = ping_at.min(heard_at + SILENCE).saturating_sub(now);
            tokio::select! {
                message = incoming.next() => match message {
                    Some(Ok(message)) => {
                        heard_at = clock.monotonic();
                        self.hear(message);
                    }
                    Some(Err(error)) => {
                        info!(cluster = %self.cluster, error = %error.message(), "the link broke");
                        return;
                    }
                    None => return,
                },
                outgoing = outbox.next() => {
                    if !self.say(outgoing, out).await {
                        return;
                    }
                }
                () = clock.sleep(pause) => {
                    let now = clock.monotonic();
                    if now >= heard_at + SILENCE {
                        warn!(cluster = %self.cluster, "the agent is silent; its session ends");
                        return;
                    }
                    if now >= ping_at {
                        ping_at = now + PING;
                        if !send(out, link_response::Message::Ping(agent::Ping {})).await {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn hear(&mut self, message: agent::LinkRequest) {
        use link_request::Message as M;
        let sessions = &self.api.sessions;
        let now = self.api.clock.now();
        match message.message {
            Some(M::Heartbeat(heartbeat)) => {
                let heartbeat = link::heartbeat_from_proto(&heartbeat);
                let error = (!heartbeat.api_error.is_empty()).then_some(heartbeat.api_error);
                // An agent that does not say how old its evidence is has none.
                if let Some(age) = heartbeat.api_age {
                    sessions.heartbeat(&self.cluster, self.session, age, error);
                }
            }
            Some(M::Facts(agent::FactsReport { facts: Some(facts) })) => {
                sessions.facts(&self.cluster, self.session, link::facts_from_proto(&facts));
            }
            Some(M::Ack(ack)) => {
                if let Some(command) = self.told.remove(&ack.nonce) {
                    sessions.holds(&self.cluster, self.session, &command);
                }
            }
            Some(M::Nack(nack)) => self.refused(&link::nack_from_proto(&nack)),
            Some(M::Report(report)) => match link::report_from_proto(&report, now) {
                Ok(report) => {
                    let age = now.duration_since(report.observed_at).try_into().unwrap_or_default();
                    sessions.report(&self.cluster, self.session, report, age);
                }
                Err(error) => warn!(cluster = %self.cluster, %error, "a report cannot be read"),
            },
            // A newer agent may say more than this hub knows; a second Hello changes nothing.
            Some(M::Hello(_) | M::Held(_) | M::Reply(_) | M::Facts(_)) | None => {}
        }
    }

    /// The agent did not take a command: what it held before it still holds.
    fn refused(&mut self, nack: &link::Nack) {
        let sessions = &self.api.sessions;
        sessions.saw_term(&self.cluster, self.session, nack.highest_term);
        let Some(command) = self.told.remove(&nack.nonce) else { return };
        warn!(cluster = %self.cluster, tenant = %command.tenant(), reason = nack.reason.as_str(), message = %nack.message, "the agent refused");
        if let Command::Assign(a) | Command::Keep(a) = command {
            let report = TenantReport {
                tenant: a.tenant,
                uid: a.uid,
                generation: a.generation,
                digest: a.digest,
                apply: ApplyState::Failed { reason: nack.reason.as_str().to_owned(), message: nack.message.clone() },
                health: Health::new(HealthState::Unknown, ""),
                observed_at: self.api.clock.now(),
            };
            sessions.report(&self.cluster, self.session, report, Duration::ZERO);
        }
    }

    async fn say(&mut self, outgoing: Outgoing, out: &Out) -> bool {
        match outgoing {
            Outgoing::SnapshotEnd => send(out, link_response::Message::SnapshotEnd(agent::SnapshotEnd {})).await,
            Outgoing::Goodbye { reason, message } => {
                let goodbye = agent::Goodbye { reason: reason.to_owned(), message, ..agent::Goodbye::default() };
                send(out, link_response::Message::Goodbye(goodbye)).await;
                false
            }
            Outgoing::Command(command) => self.tell(command, out).await,
        }
    }

    async fn tell(&mut self, command: Command, out: &Out) -> bool {
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
                vec![link_response::Message::Withdraw(link::withdraw_to_proto(&link::Withdraw {
                    nonce,
                    tenant: tenant.clone(),
                    uid: uid.clone(),
                    term: *term,
                }))]
            }
        };
        self.told.insert(nonce, command);
        for message in messages {
            if !send(out, message).await {
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
}

async fn send(out: &Out, message: link_response::Message) -> bool {
    out.send(Ok(agent::LinkResponse { message: Some(message) })).await.is_ok()
}
