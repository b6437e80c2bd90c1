//! The half of a session that listens. It never waits for the half that speaks, or both sides could wait for each other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_control::{
    Sessions,
    evidence::{self, Disbelief},
    keys,
    outbox::{Command, Outbox},
    sessions::SessionId,
};
use berth_model::{
    ClusterName, Digest, Evidence, Generation, Health, HealthState, TenantId, TenantReport, Timestamp, Uid,
    report::ApplyState,
};
use berth_proto::agent::{self, link_request, link_response};
use berth_runtime::Clock;
use berth_store::Store;
use berth_wire::{link, record, time};
use futures::{Stream, StreamExt as _};
use tokio::task::JoinHandle;
use tonic::Status;
use tracing::{info, warn};

use super::{
    pings::Pings,
    speak::{Out, PING, Speaker},
    standing::{denied, in_kubernetes},
};

const HEARTBEAT: Duration = Duration::from_secs(4);
/// A silent agent is given up after this; its session ends and its cluster reads Unknown long before.
const SILENCE: Duration = Duration::from_secs(30);
/// The age of evidence that there is none of.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// For hearing why a session ends.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What was said and not answered yet, by nonce.
#[derive(Default)]
pub(super) struct Told(Mutex<Said>);

#[derive(Default)]
struct Said {
    waiting: BTreeMap<u64, Command>,
    /// Every tenant of which something was said in this session, with its uid.
    known: BTreeMap<TenantId, Uid>,
}

impl Told {
    fn open(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is said now; what was said before of the same tenant does not count any more.
    pub(super) fn say(&self, nonce: u64, command: Command) {
        let mut told = self.open();
        told.known.insert(command.tenant().clone(), command.uid().clone());
        told.waiting
            .retain(|_, earlier| earlier.tenant() != command.tenant());
        told.waiting.insert(nonce, command);
    }

    /// Whether something was said of that tenant in this session.
    fn of(&self, tenant: &TenantId, uid: &Uid) -> bool {
        self.open().known.get(tenant) == Some(uid)
    }

    fn answered(&self, nonce: u64) -> Option<Command> {
        self.open().waiting.remove(&nonce)
    }
}

/// One session.
pub(super) struct Link {
    pub(super) sessions: Sessions,
    /// What is assigned where.
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cluster: ClusterName,
    pub(super) session: SessionId,
    pub(super) told: Arc<Told>,
    /// When the hub said that it is there.
    pub(super) pings: Arc<Pings>,
    /// What both sides speak.
    pub(super) protocol: u32,
    /// The agent's certificate, DER.
    pub(super) certificate: Arc<[u8]>,
    /// UID of the `kube-system` that joined; empty when that is not known.
    pub(super) kubernetes_uid: String,
    /// When the certificate is no good any more.
    pub(super) expires: Option<Timestamp>,
    /// For the last word, where it is a refusal.
    pub(super) out: Out,
}

/// How a session ends that the hub ends.
enum End {
    /// Without a word, or with one that was said.
    Over,
    /// The agent said what it may not.
    Refused(Status),
}

impl Link {
    pub(super) async fn run(
        self,
        mut incoming: impl Stream<Item = Result<agent::LinkRequest, Status>> + Send + Unpin,
        speaker: Speaker,
        outbox: Arc<Outbox>,
    ) {
        let welcome = agent::Welcome {
            session: self.session.0.to_string(),
            term: speaker.term.0,
            protocol: self.protocol,
            heartbeat_interval: Some(time::span_to_proto(HEARTBEAT)),
            ping_interval: Some(time::span_to_proto(PING)),
            number: self.pings.say(self.clock.monotonic()),
        };
        if speaker.send(link_response::Message::Welcome(welcome)).await {
            let mut speaking = tokio::spawn(speaker.run(outbox.clone()));
            let end = self.listen(&mut incoming, &outbox, &mut speaking).await;
            speaking.abort();
            if let End::Refused(status) = end {
                // One that does not read what it is told does not hear why either.
                drop(self.out.try_send(Err(status)));
            }
        }
        self.sessions.close(&self.cluster, self.session);
        info!(cluster = %self.cluster, session = self.session.0, "session closed");
    }

    async fn listen(
        &self,
        incoming: &mut (impl Stream<Item = Result<agent::LinkRequest, Status>> + Send + Unpin),
        outbox: &Outbox,
        speaking: &mut JoinHandle<()>,
    ) -> End {
        let clock = &self.clock;
        loop {
            tokio::select! {
                biased;
                _ = &mut *speaking => return End::Over,
                // What is not heard any more must not keep a session open that is over: whoever reads slowly is not waited for.
                () = outbox.ending() => {
                    tokio::select! {
                        biased;
                        _ = &mut *speaking => {}
                        () = clock.sleep(LAST_WORD) => {}
                    }
                    return End::Over;
                }
                message = incoming.next() => match message {
                    Some(Ok(message)) => if let Err(status) = self.hear(message, outbox).await {
                        return End::Refused(status);
                    },
                    Some(Err(error)) => {
                        info!(cluster = %self.cluster, error = %error.message(), "the link broke");
                        return End::Over;
                    }
                    None => return End::Over,
                },
                () = clock.sleep(SILENCE) => {
                    warn!(cluster = %self.cluster, "the agent is silent; its session ends");
                    return End::Over;
                }
            }
            if self.expires.is_some_and(|expires| clock.now() > expires) {
                // It has renewed long ago, or is about to prove itself again.
                outbox.goodbye(
                    "Draining",
                    "the certificate of this session has expired; connect again",
                );
            }
        }
    }

    /// # Errors
    /// It speaks of another cluster, or of a tenant that is not its business.
    async fn hear(&self, message: agent::LinkRequest, outbox: &Outbox) -> Result<(), Status> {
        use link_request::Message as M;
        let sessions = &self.sessions;
        let now = self.clock.now();
        match message.message {
            Some(M::Heartbeat(heartbeat)) => {
                let heartbeat = link::heartbeat_from_proto(&heartbeat);
                let Some(way) = self.pings.age(heartbeat.answers, self.clock.monotonic()) else {
                    return Ok(());
                };
                let error = (!heartbeat.api_error.is_empty()).then_some(heartbeat.api_error);
                // An agent that does not say how old its evidence is has none.
                sessions.heartbeat(
                    &self.cluster,
                    self.session,
                    heartbeat.api_age.unwrap_or(NEVER).saturating_add(way),
                    error,
                );
            }
            Some(M::Facts(agent::FactsReport { facts: Some(facts) })) => {
                in_kubernetes(&self.cluster, &self.kubernetes_uid, &facts.kubernetes_uid)?;
                sessions.facts(&self.cluster, self.session, link::facts_from_proto(&facts));
            }
            Some(M::Ack(ack)) => {
                if let Some(command) = self.told.answered(ack.nonce) {
                    sessions.holds(&self.cluster, self.session, &command);
                }
            }
            Some(M::Nack(nack)) => self.refused(&link::nack_from_proto(&nack)),
            Some(M::Report(said)) => match link::report_from_proto(&said, now) {
                Ok(report) => {
                    if report.apply != ApplyState::Withdrawn {
                        self.own(&report.tenant, &report.uid, "report").await?;
                    }
                    let age = now
                        .duration_since(report.observed_at)
                        .try_into()
                        .unwrap_or_default();
                    let way = self.pings.age(said.answers, self.clock.monotonic());
                    let age = way.map_or(NEVER, |way| way.saturating_add(age));
                    sessions.report(&self.cluster, self.session, report, age);
                }
                Err(error) => warn!(cluster = %self.cluster, %error, "a report cannot be read"),
            },
            Some(M::Reply(reply)) if Outbox::is_review(reply.id) => {
                outbox.answer_review(reply.id, link::review_reply_from_proto(reply));
            }
            Some(M::Reply(reply)) => outbox.answer(reply.id, link::token_reply_from_proto(reply)),
            Some(M::Evidence(report)) => self.told_of_walls(&report).await?,
            Some(M::TrustKept(kept)) => sessions.trust_kept(&self.cluster, self.session, kept.pins),
            // A newer agent may say more than this hub knows; a second Hello changes nothing.
            Some(M::Hello(_) | M::Held(_) | M::Facts(_)) | None => {}
        }
        Ok(())
    }

    /// Whether the agent may speak of a tenant: of what it holds, of what it was told in this session, and of what is nobody else's.
    /// What comes late of a tenant that went elsewhere tells nothing and is no harm; what is claimed of another cluster's is.
    async fn own(&self, tenant: &TenantId, uid: &Uid, what: &str) -> Result<(), Status> {
        if self.sessions.knows(&self.cluster, self.session, tenant, uid) || self.told.of(tenant, uid) {
            return Ok(());
        }
        let read = self.store.get(&keys::assignment(tenant)).await;
        let assigned = match read {
            Ok(Some(entry)) => record::decode_assignment(&entry.value).ok(),
            // A store that does not answer is said elsewhere; nobody is cut off for it.
            Ok(None) | Err(_) => None,
        };
        match assigned {
            Some(assigned) if assigned.tenant_uid == *uid && assigned.cluster != self.cluster => Err(denied(
                &self.cluster,
                "OTHER_TENANT",
                format!(
                    "the agent of cluster {} sent a {what} of tenant {tenant}, which is on cluster {}",
                    self.cluster, assigned.cluster
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Evidence of a tenant's walls: believed only when the key that speaks here has signed it.
    async fn told_of_walls(&self, report: &agent::EvidenceReport) -> Result<(), Status> {
        let (sealed, age) = link::evidence_from_proto(report);
        match evidence::believe(sealed, &self.certificate, &self.cluster) {
            // An agent that does not say how old its evidence is has none.
            Ok(proven) => {
                let Evidence { tenant, uid, .. } = &proven.evidence;
                self.own(tenant, uid, "piece of evidence").await?;
                self.sessions
                    .prove(&self.cluster, self.session, proven, age.unwrap_or(NEVER));
            }
            Err(Disbelief::OtherCluster(other)) => {
                return Err(denied(
                    &self.cluster,
                    "OTHER_CLUSTER",
                    format!(
                        "the agent of cluster {} sent evidence of cluster {other}",
                        self.cluster
                    ),
                ));
            }
            Err(error) => warn!(cluster = %self.cluster, %error, "evidence is not believed"),
        }
        Ok(())
    }

    /// The agent did not take a command: what it held before it still holds.
    fn refused(&self, nack: &link::Nack) {
        let sessions = &self.sessions;
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
            observed_at: self.clock.now(),
        };
        sessions.report(&self.cluster, self.session, report, Duration::ZERO);
    }
}
