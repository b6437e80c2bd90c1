//! The half of a session that speaks.

use std::{sync::Arc, time::Duration};

use berth_control::{
    Sessions,
    outbox::{Command, Outbox, Outgoing},
    sessions::ANSWER,
};
use berth_model::{Assignment, ClusterName, Term};
use berth_proto::agent::{self, link_response, request::Question};
use berth_runtime::Clock;
use berth_store::Store;
use berth_wire::{link, time};
use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::Status;
use tracing::warn;

use super::{listen::Told, pings::Pings};

/// How often the agent hears that the hub is there: what a paused or cut off leader is found out by.
pub(super) const PING: Duration = Duration::from_secs(3);
/// Bytes of one part of an assignment on the wire, well under the decoding limit of 4 MiB.
const PART: usize = 512 << 10;

/// Where it speaks into.
pub(super) type Out = mpsc::Sender<Result<agent::LinkResponse, Status>>;

/// The half that speaks.
pub(super) struct Speaker {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) store: Arc<dyn Store>,
    pub(super) cluster: ClusterName,
    pub(super) term: Term,
    pub(super) out: Out,
    pub(super) nonce: u64,
    pub(super) told: Arc<Told>,
    /// Where it is known how far the store has come.
    pub(super) sessions: Sessions,
    pub(super) pings: Arc<Pings>,
}

impl Speaker {
    pub(super) async fn run(mut self, outbox: Arc<Outbox>) {
        let mut ping_at = self.clock.monotonic() + PING;
        loop {
            let clock = self.clock.clone();
            let going_on = tokio::select! {
                // First, as answers are dated by it, and much to say must not keep it back.
                biased;
                () = clock.sleep(ping_at.saturating_sub(clock.monotonic())) => {
                    ping_at = clock.monotonic() + PING;
                    self.ping().await
                }
                outgoing = outbox.next() => self.say(outgoing).await,
            };
            if !going_on {
                return;
            }
        }
    }

    async fn ping(&self) -> bool {
        let ping = agent::Ping {
            number: self.pings.say(self.clock.monotonic()),
            told: self.sessions.point(&self.cluster).map(link::store_point_to_proto),
        };
        self.send(link_response::Message::Ping(ping)).await
    }

    async fn say(&mut self, outgoing: Outgoing) -> bool {
        match outgoing {
            Outgoing::SnapshotEnd => {
                self.send(link_response::Message::SnapshotEnd(agent::SnapshotEnd {}))
                    .await
            }
            Outgoing::Trust(ca_pem) => {
                self.send(link_response::Message::Trust(agent::Trust { ca_pem }))
                    .await
            }
            // Nobody waits for the answer.
            Outgoing::ReleaseBreaker => {
                self.ask(0, Question::ReleaseBreaker(agent::ReleaseBreaker {}))
                    .await
            }
            Outgoing::MintToken { id, wanted } => {
                self.ask(id, Question::MintToken(link::mint_to_proto(&wanted)))
                    .await
            }
            Outgoing::ReviewToken { id, review } => {
                self.ask(id, Question::ReviewToken(link::review_to_proto(&review)))
                    .await
            }
            Outgoing::Probe { tenant, uid } => {
                self.ask(0, Question::ProbeTenant(link::probe_to_proto(&tenant, &uid)))
                    .await
            }
            Outgoing::Goodbye {
                reason,
                message,
                leader,
            } => {
                let goodbye = agent::Goodbye {
                    reason: reason.to_owned(),
                    message,
                    leader,
                    ..agent::Goodbye::default()
                };
                self.send(link_response::Message::Goodbye(goodbye)).await;
                false
            }
            Outgoing::Command(command) => self.tell(command).await,
        }
    }

    async fn ask(&self, id: u64, question: Question) -> bool {
        let request = agent::Request {
            id,
            deadline: Some(time::span_to_proto(ANSWER)),
            question: Some(question),
        };
        self.send(link_response::Message::Request(request)).await
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
            Command::Withdraw {
                tenant,
                uid,
                term,
                confirmed,
            } => {
                vec![link_response::Message::Withdraw(link::withdraw_to_proto(
                    &link::Withdraw {
                        nonce,
                        tenant: tenant.clone(),
                        uid: uid.clone(),
                        term: *term,
                        confirmed: *confirmed,
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

    pub(super) async fn send(&self, message: link_response::Message) -> bool {
        self.out
            .send(Ok(agent::LinkResponse {
                message: Some(message),
            }))
            .await
            .is_ok()
    }
}
