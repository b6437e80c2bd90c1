//! The half of a session that listens. It never waits for the half that speaks, or both sides could wait for each other.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_control::{
    Sessions, evidence,
    outbox::{Command, Outbox},
    sessions::SessionId,
};
use berth_model::{ClusterName, Digest, Generation, Health, HealthState, TenantReport, report::ApplyState};
use berth_proto::agent::{self, link_request, link_response};
use berth_runtime::Clock;
use berth_wire::{link, time};
use futures::{Stream, StreamExt as _};
use tokio::task::JoinHandle;
use tonic::Status;
use tracing::{info, warn};

use super::speak::{PING, Speaker};

const HEARTBEAT: Duration = Duration::from_secs(4);
/// A silent agent is given up after this; its session ends and its cluster reads Unknown long before.
const SILENCE: Duration = Duration::from_secs(30);
/// The age of evidence that there is none of.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What was said and not answered yet, by nonce.
#[derive(Default)]
pub(super) struct Told(Mutex<BTreeMap<u64, Command>>);

impl Told {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Command>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is said now; what was said before of the same tenant does not count any more.
    pub(super) fn say(&self, nonce: u64, command: Command) {
        let mut told = self.open();
        told.retain(|_, earlier| earlier.tenant() != command.tenant());
        told.insert(nonce, command);
    }

    fn answered(&self, nonce: u64) -> Option<Command> {
        self.open().remove(&nonce)
    }
}

/// One session.
pub(super) struct Link {
    pub(super) sessions: Sessions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cluster: ClusterName,
    pub(super) session: SessionId,
    pub(super) told: Arc<Told>,
    /// What both sides speak.
    pub(super) protocol: u32,
    /// The agent's certificate, DER.
    pub(super) certificate: Arc<[u8]>,
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
        };
        if speaker.send(link_response::Message::Welcome(welcome)).await {
            let mut speaking = tokio::spawn(speaker.run(outbox.clone()));
            self.listen(&mut incoming, &outbox, &mut speaking).await;
            speaking.abort();
        }
        self.sessions.close(&self.cluster, self.session);
        info!(cluster = %self.cluster, session = self.session.0, "session closed");
    }

    async fn listen(
        &self,
        incoming: &mut (impl Stream<Item = Result<agent::LinkRequest, Status>> + Send + Unpin),
        outbox: &Outbox,
        speaking: &mut JoinHandle<()>,
    ) {
        let clock = &self.clock;
        loop {
            tokio::select! {
                biased;
                _ = &mut *speaking => return,
                message = incoming.next() => match message {
                    Some(Ok(message)) => self.hear(message, outbox),
                    Some(Err(error)) => {
                        info!(cluster = %self.cluster, error = %error.message(), "the link broke");
                        return;
                    }
                    None => return,
                },
                () = clock.sleep(SILENCE) => {
                    warn!(cluster = %self.cluster, "the agent is silent; its session ends");
                    return;
                }
            }
        }
    }

    fn hear(&self, message: agent::LinkRequest, outbox: &Outbox) {
        use link_request::Message as M;
        let sessions = &self.sessions;
        let now = self.clock.now();
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
            Some(M::Reply(reply)) if Outbox::is_review(reply.id) => {
                outbox.answer_review(reply.id, link::review_reply_from_proto(reply));
            }
            Some(M::Reply(reply)) => outbox.answer(reply.id, link::token_reply_from_proto(reply)),
            Some(M::Evidence(report)) => self.told_of_walls(&report),
            // A newer agent may say more than this hub knows; a second Hello changes nothing.
            Some(M::Hello(_) | M::Held(_) | M::Facts(_)) | None => {}
        }
    }

    /// Evidence of a tenant's walls: believed only when the key that speaks here has signed it.
    fn told_of_walls(&self, report: &agent::EvidenceReport) {
        let (sealed, age) = link::evidence_from_proto(report);
        match evidence::believe(sealed, &self.certificate, &self.cluster) {
            // An agent that does not say how old its evidence is has none.
            Ok(proven) => self
                .sessions
                .prove(&self.cluster, self.session, proven, age.unwrap_or(NEVER)),
            Err(error) => warn!(cluster = %self.cluster, %error, "evidence is not believed"),
        }
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
