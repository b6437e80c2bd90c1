//! One session with the hub, as a pure state machine: messages, timers and the engine's answers in, messages and calls out.
//!
//! It knows neither gRPC nor the engine nor a clock; [`super::drive`] does what it says.

use std::{collections::BTreeMap, time::Duration};

use berth_apply::Refused;
use berth_model::{
    AccessToken, Assignment, ClusterFacts, ClusterName, NoToken, Object, ReviewedAccount, StorePoint,
    TenantId, TenantReport, Term, Timestamp, TokenRefused, TokenToReview, TokenWanted, Uid,
};
use berth_proto::agent::{
    self, link_request::Message as ToHub, link_response::Message as FromHub, request::Question,
};
use berth_wire::{
    evidence::Sealed,
    link::{
        self, Assembler, Goodbye, Heartbeat, Held, Keep, LinkError, Nack, NackReason, Withdraw,
        evidence_to_proto, facts_to_proto, heartbeat_to_proto, held_chunks, nack_to_proto, report_to_proto,
    },
    objects,
    protocol::{self, Mismatch, Range},
    time,
};

use super::memory::Known;

/// Held assignments in one message.
const HELD_PER_CHUNK: usize = 500;
/// Compressed objects of one assignment, at most.
const LARGEST_ASSIGNMENT: usize = 8 << 20;
/// The same unpacked: nobody's objects are larger, and a bomb must not take the agent's memory.
const LARGEST_UNPACKED: usize = 24 << 20;
/// Heartbeats until the hub says otherwise, and the bounds of what it may say.
const HEARTBEAT: Duration = Duration::from_secs(4);
const HEARTBEAT_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// How often a hub pings that does not say so, and the bounds of what one may say.
const PING: Duration = Duration::from_secs(10);
const PING_BOUNDS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// How long a hub that does not say waits for an answer, and the longest that one is taken at its word.
const DEADLINE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));
/// A hub that is silent for so many pings is gone, whatever TCP says; half a ping more for one that is late.
const SILENT_PINGS: (u32, u32) = (7, 2);

/// What happens to a session.
#[derive(Debug)]
pub(crate) enum Input {
    /// The hub says something; `None` is a message this version does not know.
    Heard(Option<FromHub>),
    /// Time passes.
    Tick,
    /// The engine took or refused what was given to it.
    Answered { nonce: u64, answer: Answer },
    /// The engine tells of a tenant.
    Reported(TenantReport),
    /// The cluster's facts changed.
    Facts(Box<ClusterFacts>),
    /// The breaker is closed again, or why not.
    BreakerReleased { id: u64, answer: Result<(), String> },
    /// There is a token, or why there is none.
    TokenMinted {
        id: u64,
        answer: Result<AccessToken, TokenRefused>,
    },
    /// Whose token it is, or why nobody says.
    TokenReviewed {
        id: u64,
        answer: Result<ReviewedAccount, TokenRefused>,
    },
    /// A tenant's walls were probed, so long ago.
    Probed(Sealed, Duration),
    /// Whom to trust is kept: their pins.
    TrustKept(Vec<String>),
    /// A tenant will be probed, or why not.
    ProbeQueued { id: u64, answer: Result<(), String> },
}

/// What the engine says to what it was given.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Taken (remembered, not yet applied), in this term.
    Taken(Term),
    /// What is to be kept is not held: it has to be assigned.
    Missing,
    /// Not taken.
    Refused(Refused),
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Say this to the hub.
    Send(Box<ToHub>),
    /// Say a heartbeat to the hub, with the evidence as it is now, to the last number heard.
    Beat { answers: u64 },
    /// Remember, beyond this session, how far the hub says that its store has come.
    Remember(StorePoint),
    /// Tell of all tenants, from now on.
    Report,
    /// Give this to the engine, and its answer back.
    Assign {
        nonce: u64,
        assignment: Box<Assignment>,
        objects: Vec<Object>,
    },
    /// Likewise.
    Keep(Keep),
    /// Likewise.
    Withdraw(Withdraw),
    /// Close the breaker, and say how it went.
    ReleaseBreaker { id: u64 },
    /// Get this token within this time, beside everything else, and say how it went.
    MintToken {
        id: u64,
        wanted: TokenWanted,
        within: Duration,
    },
    /// Ask whose token that is within this time, beside everything else, and say it.
    ReviewToken {
        id: u64,
        review: TokenToReview,
        within: Duration,
    },
    /// Have the tenant probed, and say whether it will be.
    Probe { id: u64, tenant: TenantId, uid: Uid },
    /// Keep and trust these authorities (PEM), and say so.
    Trust(String),
    /// The session is over.
    End(End),
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The hub said so.
    Goodbye(Goodbye),
    /// The hub is silent.
    Silent,
    /// The hub does not keep to the protocol.
    Protocol(&'static str),
    /// The hub wants to speak a protocol that is not spoken here.
    Mismatch(Mismatch),
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Hello is said. Left by Welcome.
    Greeting,
    /// The hub commands, the agent reports. Left by Goodbye or silence.
    Live { beat_due: Duration },
    /// Nothing is said or done any more.
    Over,
}

/// A session. Times are of one monotonic clock.
#[derive(Debug)]
pub(crate) struct Session {
    phase: Phase,
    heard: Duration,
    heartbeat: Duration,
    /// A hub that says nothing for so long is gone.
    silence: Duration,
    /// The number of the hub's last sign of life.
    number: u64,
    highest_term: Term,
    assembler: Assembler,
    /// The latest command about each tenant: what was said before it and comes after it does not count any more.
    latest: BTreeMap<TenantId, u64>,
}

/// The first words: Hello and what is held, in parts.
pub(crate) fn greeting(
    instance: &str,
    highest_term: Term,
    facts: &ClusterFacts,
    held: &[Held],
    trusted_pins: Vec<String>,
    remembered: &Known,
) -> Vec<ToHub> {
    let mut chunks = held_chunks(held, HELD_PER_CHUNK).into_iter();
    let hello = agent::Hello {
        protocol: protocol::OURS.highest,
        protocol_min: protocol::OURS.lowest,
        agent_version: crate::VERSION.into(),
        instance: instance.into(),
        highest_term: highest_term.0,
        facts: Some(facts_to_proto(facts)),
        held: chunks.next(),
        trusted_pins,
        unreachable_hub: remembered.lost.clone(),
        told: remembered.told.map(link::store_point_to_proto),
    };
    std::iter::once(ToHub::Hello(hello))
        .chain(chunks.map(ToHub::Held))
        .collect()
}

impl Session {
    pub(crate) fn new(cluster: ClusterName, highest_term: Term, now: Duration) -> Self {
        Self {
            phase: Phase::Greeting,
            heard: now,
            heartbeat: HEARTBEAT,
            silence: silence(PING),
            number: 0,
            highest_term,
            assembler: Assembler::new(cluster, LARGEST_ASSIGNMENT),
            latest: BTreeMap::new(),
        }
    }

    /// When [`Input::Tick`] is wanted next.
    pub(crate) fn wake_at(&self) -> Duration {
        let silence = self.heard.saturating_add(self.silence);
        match self.phase {
            Phase::Live { beat_due } => beat_due.min(silence),
            Phase::Greeting | Phase::Over => silence,
        }
    }

    /// Whether the hub listens to reports.
    pub(crate) fn live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// `now` is of the monotonic clock, `time` what the wall clock says.
    pub(crate) fn step(&mut self, input: Input, now: Duration, time: Timestamp) -> Vec<Effect> {
        if self.phase == Phase::Over {
            return Vec::new();
        }
        match input {
            Input::Heard(message) => {
                self.heard = now;
                message.map_or_else(Vec::new, |message| self.heard(message, now))
            }
            Input::Tick => self.tick(now),
            Input::Answered { nonce, answer } => vec![self.answer(nonce, answer)],
            Input::Reported(report) if self.live() => {
                send(ToHub::Report(report_to_proto(&report, time, self.number)))
            }
            Input::Facts(facts) if self.live() => send(ToHub::Facts(agent::FactsReport {
                facts: Some(facts_to_proto(&facts)),
            })),
            Input::Probed(sealed, age) if self.live() => {
                send(ToHub::Evidence(evidence_to_proto(&sealed, Some(age))))
            }
            Input::Reported(_) | Input::Facts(_) | Input::Probed(..) => Vec::new(),
            Input::TrustKept(pins) => send(ToHub::TrustKept(agent::TrustKept { pins })),
            Input::BreakerReleased { id, answer } => {
                let done = agent::reply::Answer::BreakerReleased(agent::BreakerReleased {});
                reply(id, answer.map(|()| done))
            }
            Input::ProbeQueued { id, answer } => {
                let done = agent::reply::Answer::ProbeQueued(agent::ProbeQueued {});
                reply(id, answer.map(|()| done))
            }
            Input::TokenMinted { id, answer } => send(ToHub::Reply(link::token_reply_to_proto(id, &answer))),
            Input::TokenReviewed { id, answer } => {
                send(ToHub::Reply(link::review_reply_to_proto(id, &answer)))
            }
        }
    }

    fn heard(&mut self, message: FromHub, now: Duration) -> Vec<Effect> {
        match (message, self.phase) {
            (FromHub::Goodbye(goodbye), _) => self.end(End::Goodbye(link::goodbye_from_proto(&goodbye))),
            (FromHub::Welcome(welcome), Phase::Greeting) => self.welcome(&welcome, now),
            (FromHub::Welcome(_), _) => self.end(End::Protocol("a second Welcome")),
            (FromHub::Ping(ping), Phase::Live { .. }) => self.pinged(&ping, now),
            (FromHub::Ping(_), _) => Vec::new(),
            (_, Phase::Greeting) => self.end(End::Protocol("a command before Welcome")),
            (FromHub::Assign(part), _) => self.assign(part),
            (FromHub::Keep(keep), _) => match link::keep_from_proto(&keep) {
                Ok(keep) if self.overtaken(&keep.tenant, keep.nonce) => Vec::new(),
                Ok(keep) => self.in_term(keep.nonce, keep.term, || Effect::Keep(keep)),
                Err(error) => vec![self.invalid(keep.nonce, error.to_string())],
            },
            (FromHub::Withdraw(withdraw), _) => match link::withdraw_from_proto(&withdraw) {
                Ok(withdraw) if self.overtaken(&withdraw.tenant, withdraw.nonce) => Vec::new(),
                Ok(withdraw) => self.in_term(withdraw.nonce, withdraw.term, || Effect::Withdraw(withdraw)),
                Err(error) => vec![self.invalid(withdraw.nonce, error.to_string())],
            },
            // Absence never deletes: that nothing more comes means nothing.
            (FromHub::SnapshotEnd(_), _) => Vec::new(),
            (FromHub::Request(request), _) => asked(&request),
            (FromHub::Trust(trust), _) => vec![Effect::Trust(trust.ca_pem)],
        }
    }

    fn welcome(&mut self, welcome: &agent::Welcome, now: Duration) -> Vec<Effect> {
        if let Err(mismatch) = protocol::negotiate(protocol::OURS, Range::only(welcome.protocol)) {
            return self.end(End::Mismatch(mismatch));
        }
        let said = welcome
            .heartbeat_interval
            .as_ref()
            .map(time::span_from_proto)
            .filter(|said| !said.is_zero());
        self.heartbeat = said
            .unwrap_or(HEARTBEAT)
            .clamp(HEARTBEAT_BOUNDS.0, HEARTBEAT_BOUNDS.1);
        let ping = welcome.ping_interval.as_ref().map(time::span_from_proto);
        self.silence = silence(
            ping.filter(|ping| !ping.is_zero())
                .unwrap_or(PING)
                .clamp(PING_BOUNDS.0, PING_BOUNDS.1),
        );
        self.phase = Phase::Live {
            beat_due: now.saturating_add(self.heartbeat),
        };
        self.number = welcome.number;
        // The first evidence goes out at once: what is reported next is only as fresh as it.
        vec![self.beat(), Effect::Report]
    }

    /// A heartbeat that answers tells the hub how old it can be at most, whatever carried it.
    fn pinged(&mut self, ping: &agent::Ping, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if ping.number > self.number {
            self.number = ping.number;
            self.phase = Phase::Live {
                beat_due: now.saturating_add(self.heartbeat),
            };
            effects.push(self.beat());
        }
        effects.extend(
            ping.told
                .as_ref()
                .map(|told| Effect::Remember(link::store_point_from_proto(told))),
        );
        effects
    }

    const fn beat(&self) -> Effect {
        Effect::Beat { answers: self.number }
    }

    fn tick(&mut self, now: Duration) -> Vec<Effect> {
        if now.saturating_sub(self.heard) >= self.silence {
            return self.end(End::Silent);
        }
        match &mut self.phase {
            Phase::Live { beat_due } if now >= *beat_due => {
                *beat_due = now.saturating_add(self.heartbeat);
                vec![self.beat()]
            }
            _ => Vec::new(),
        }
    }

    fn assign(&mut self, part: agent::Assign) -> Vec<Effect> {
        let nonce = part.nonce;
        let whole = match self.assembler.push(part) {
            Ok(None) => return Vec::new(),
            Ok(Some(whole)) => whole,
            Err(error @ LinkError::Interleaved { .. }) => {
                // Which part is lost cannot be told, so nothing of this stream can be trusted.
                tracing::warn!(%error, "the hub mixes assignments");
                return self.end(End::Protocol("parts of two assignments are mixed"));
            }
            Err(error) => return vec![self.invalid(nonce, error.to_string())],
        };
        if self.overtaken(&whole.assignment.tenant, nonce) {
            return Vec::new();
        }
        match unpack(&whole.assignment, &whole.objects_zstd) {
            Ok(objects) => {
                let assignment = Box::new(whole.assignment);
                self.in_term(nonce, assignment.term, || Effect::Assign {
                    nonce,
                    assignment,
                    objects,
                })
            }
            Err((reason, message)) => vec![self.nack(nonce, reason, message)],
        }
    }

    /// Whether something newer was said of the tenant in this session. A stream keeps its order; what carries it might not, and an
    /// assignment after its own withdrawal would stay for ever.
    fn overtaken(&mut self, tenant: &TenantId, nonce: u64) -> bool {
        let latest = self.latest.entry(tenant.clone()).or_insert(nonce);
        let overtaken = nonce < *latest;
        *latest = nonce.max(*latest);
        overtaken
    }

    /// Only what is in no older term than was accepted goes on to the engine, which checks again and remembers.
    fn in_term(&self, nonce: u64, term: Term, effect: impl FnOnce() -> Effect) -> Vec<Effect> {
        if term < self.highest_term {
            let message = format!(
                "term {term} is older than {}, which was accepted before",
                self.highest_term
            );
            return vec![self.nack(nonce, NackReason::OlderTerm, message)];
        }
        vec![effect()]
    }

    fn answer(&mut self, nonce: u64, answer: Answer) -> Effect {
        match answer {
            Answer::Taken(term) => {
                // Older terms are refused from now on, before they reach the engine.
                self.highest_term = self.highest_term.max(term);
                Effect::Send(Box::new(ToHub::Ack(agent::Ack { nonce })))
            }
            Answer::Missing => self.nack(nonce, NackReason::Other, "not held: assign it".into()),
            Answer::Refused(refused) => {
                if let Refused::OldTerm { highest, .. } = &refused {
                    self.highest_term = self.highest_term.max(*highest);
                }
                self.nack(nonce, reason_of(&refused), refused.to_string())
            }
        }
    }

    fn invalid(&self, nonce: u64, message: String) -> Effect {
        self.nack(nonce, NackReason::Invalid, message)
    }

    fn nack(&self, nonce: u64, reason: NackReason, message: String) -> Effect {
        let nack = Nack {
            nonce,
            reason,
            message,
            highest_term: self.highest_term,
        };
        Effect::Send(Box::new(ToHub::Nack(nack_to_proto(&nack))))
    }

    fn end(&mut self, end: End) -> Vec<Effect> {
        self.phase = Phase::Over;
        vec![Effect::End(end)]
    }
}

/// How long a hub may say nothing that pings so often.
fn silence(ping: Duration) -> Duration {
    ping * SILENT_PINGS.0 / SILENT_PINGS.1
}

fn send(message: ToHub) -> Vec<Effect> {
    vec![Effect::Send(Box::new(message))]
}

/// What a question is answered by.
fn asked(request: &agent::Request) -> Vec<Effect> {
    let id = request.id;
    match &request.question {
        Some(Question::ReleaseBreaker(_)) => vec![Effect::ReleaseBreaker { id }],
        Some(Question::MintToken(mint)) => match link::mint_from_proto(mint) {
            Ok(wanted) => {
                let said = request.deadline.as_ref().map(time::span_from_proto);
                let within = said.unwrap_or(DEADLINE.0).min(DEADLINE.1);
                vec![Effect::MintToken { id, wanted, within }]
            }
            Err(error) => {
                let refused = TokenRefused::new(NoToken::Invalid, chain(&error));
                send(ToHub::Reply(link::token_reply_to_proto(id, &Err(refused))))
            }
        },
        Some(Question::ReviewToken(review)) => {
            let said = request.deadline.as_ref().map(time::span_from_proto);
            let within = said.unwrap_or(DEADLINE.0).min(DEADLINE.1);
            let review = link::review_from_proto(review.clone());
            vec![Effect::ReviewToken { id, review, within }]
        }
        Some(Question::ProbeTenant(probe)) => match link::probe_from_proto(probe) {
            Ok((tenant, uid)) => vec![Effect::Probe { id, tenant, uid }],
            Err(error) => reply(id, Err(error.to_string())),
        },
        None => reply(id, Err("this agent does not know the question".to_owned())),
    }
}

fn reply(id: u64, answer: Result<agent::reply::Answer, String>) -> Vec<Effect> {
    let (error, answer) = match answer {
        Ok(answer) => (String::new(), Some(answer)),
        Err(why) => (why, None),
    };
    send(ToHub::Reply(agent::Reply {
        id,
        error,
        answer,
        ..agent::Reply::default()
    }))
}

/// The objects, if they are what the digest says.
fn unpack(assignment: &Assignment, objects_zstd: &[u8]) -> Result<Vec<Object>, (NackReason, String)> {
    let invalid = |error: &dyn std::error::Error| (NackReason::Invalid, chain(error));
    let lines = objects::decompress(objects_zstd, LARGEST_UNPACKED).map_err(|e| invalid(&e))?;
    let found = objects::digest(&lines).map_err(|e| invalid(&e))?;
    if found != assignment.digest {
        let message = format!("the objects have digest {found}, not {}", assignment.digest);
        return Err((NackReason::DigestMismatch, message));
    }
    objects::decode_objects(&lines).map_err(|e| invalid(&e))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn reason_of(refused: &Refused) -> NackReason {
    match refused {
        Refused::OldTerm { .. } => NackReason::OlderTerm,
        Refused::OldGeneration { .. } => NackReason::OlderGeneration,
        Refused::OtherDigest { .. } => NackReason::DigestMismatch,
        Refused::Invalid { .. } => NackReason::Invalid,
        Refused::OtherUid { .. } | Refused::Withdrawing { .. } | Refused::NotReady => NackReason::Other,
    }
}

/// A heartbeat as it goes out.
pub(crate) fn heartbeat(
    time: Timestamp,
    api_age: Option<Duration>,
    api_error: String,
    answers: u64,
) -> ToHub {
    ToHub::Heartbeat(heartbeat_to_proto(&Heartbeat {
        now: Some(time),
        api_age,
        api_error,
        answers,
    }))
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
