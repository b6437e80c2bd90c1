//! Runs one session: carries messages between the stream, the [`Session`] and the engine.
//!
//! All decisions are the session's. Everything here is bounded: the queue to the hub, the time a send may take, and reports,
//! which are read from the engine (latest per tenant) only when there is room for them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use berth_apply::{Engine, Kept, Refused, Reports};
use berth_model::{ClusterFacts, ClusterName, TenantId, TenantReport, Term, Timestamp, Uid};
use berth_proto::agent::{LinkRequest, LinkResponse, link_request::Message as ToHub};
use berth_runtime::clock::Clock;
use berth_wire::link::{Held, Keep, Withdraw};
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::{
    memory::Memory,
    minting::Minting,
    session::{Answer, Effect, End, Input, Session, greeting, heartbeat},
};
use crate::{
    evidence::{Desk, Fresh},
    identity::keeper::Keeper,
};

/// Messages that may wait for the hub.
const QUEUE: usize = 64;
/// A hub that takes no message for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// A hub that does not open the stream within this is no use.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// What a session needs of the agent.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cluster: ClusterName,
    pub(crate) instance: String,
    pub(crate) facts: watch::Receiver<Arc<ClusterFacts>>,
    pub(crate) evidence: Desk,
    /// Set while a hub listens.
    pub(crate) live: watch::Sender<bool>,
    /// Who this is and whom it trusts; none where nobody is asked for a certificate.
    pub(crate) keeper: Option<Keeper>,
    /// What outlives a session.
    pub(crate) memory: Memory,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// By a rule of the protocol.
    Ended(End),
    /// The hub closed the stream without a word.
    Closed,
    /// The stream broke.
    Broken(Status),
    /// The hub takes no messages.
    Stuck,
    /// The engine is gone, so the agent ends.
    EngineGone,
}

impl Driver {
    /// Opens a stream, into which the agent speaks by the given queue, and runs the session until it ends.
    pub(crate) async fn run<O, F, S>(&self, open: O) -> Outcome
    where
        O: FnOnce(mpsc::Receiver<LinkRequest>) -> F,
        F: Future<Output = Result<S, Status>>,
        S: Stream<Item = Result<LinkResponse, Status>> + Unpin,
    {
        let outcome = self.session(open).await.unwrap_or_else(|outcome| outcome);
        self.live.send_replace(false);
        outcome
    }

    async fn session<O, F, S>(&self, open: O) -> Result<Outcome, Outcome>
    where
        O: FnOnce(mpsc::Receiver<LinkRequest>) -> F,
        F: Future<Output = Result<S, Status>>,
        S: Stream<Item = Result<LinkResponse, Status>> + Unpin,
    {
        let mut facts = self.facts.clone();
        let mut reports = self.engine.reports();
        let mut evidence = self.evidence.news();
        let hello = {
            let facts = facts.borrow_and_update().clone();
            let pins = self.keeper.as_ref().map(Keeper::pins).unwrap_or_default();
            greeting(
                &self.instance,
                self.engine.highest_term(),
                &facts,
                &self.held(),
                pins,
                &self.memory.known(),
            )
        };
        let (queue, outgoing) = mpsc::channel(QUEUE.max(hello.len()));
        let out = Out { queue };
        for message in hello {
            out.send(message).await?;
        }
        let opened = tokio::time::timeout(OPEN_TIMEOUT, open(outgoing)).await;
        let mut stream = opened.map_err(|_| Outcome::Stuck)?.map_err(Outcome::Broken)?;
        let mut session = Session::new(
            self.cluster.clone(),
            self.engine.highest_term(),
            self.clock.monotonic(),
        );
        let mut minting = Minting::default();
        loop {
            let inputs = tokio::select! {
                biased;
                inputs = self.next(&session, &mut stream, &mut reports, &mut facts) => inputs?,
                answered = minting.next() => vec![answered],
                // Last of all: it is large, and nothing waits for it.
                fresh = evidence.next(), if session.live() => vec![self.aged(fresh)],
            };
            for input in inputs {
                let ended = self.perform(input, &mut session, &mut reports, &mut minting, &out);
                if let Some(end) = ended.await? {
                    return Ok(Outcome::Ended(end));
                }
            }
        }
    }

    /// Waits for whatever happens first.
    async fn next(
        &self,
        session: &Session,
        stream: &mut (impl Stream<Item = Result<LinkResponse, Status>> + Unpin),
        reports: &mut Reports,
        facts: &mut watch::Receiver<Arc<ClusterFacts>>,
    ) -> Result<Vec<Input>, Outcome> {
        let wait = session.wake_at().saturating_sub(self.clock.monotonic());
        // What is due first, so that a hub that says much does not keep heartbeats back; then what the hub says.
        tokio::select! {
            biased;
            () = self.clock.sleep(wait) => Ok(vec![Input::Tick]),
            message = stream.next() => match message {
                Some(Ok(message)) => Ok(vec![Input::Heard(message.message)]),
                None => Err(Outcome::Closed),
                Some(Err(status)) => Err(Outcome::Broken(status)),
            },
            news = reports.changed(), if session.live() => {
                let news = news.ok_or(Outcome::EngineGone)?.into_iter();
                Ok(news.map(|report| Input::Reported(self.dated(report))).collect())
            }
            changed = facts.changed(), if session.live() => {
                changed.map_err(|_| Outcome::EngineGone)?;
                let facts = facts.borrow_and_update().as_ref().clone();
                Ok(vec![Input::Facts(Box::new(facts))])
            }
        }
    }

    /// Does what the session says of `input`, and what follows from that.
    async fn perform(
        &self,
        input: Input,
        session: &mut Session,
        reports: &mut Reports,
        minting: &mut Minting,
        out: &Out,
    ) -> Result<Option<End>, Outcome> {
        let mut effects = VecDeque::from(self.step(session, input));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send(message) => out.send(*message).await?,
                Effect::Beat { answers } => out.send(self.heartbeat(answers)).await?,
                Effect::Remember(told) => self.memory.remember(told),
                Effect::Report => {
                    self.memory.found();
                    reports.rewind();
                    self.live.send_replace(true);
                }
                Effect::Assign {
                    nonce,
                    assignment,
                    objects,
                } => {
                    let term = assignment.term;
                    let answer = taken(term, self.engine.assign(*assignment, objects).await);
                    effects.extend(self.step(session, Input::Answered { nonce, answer }));
                }
                Effect::Keep(keep) => {
                    let Keep {
                        nonce,
                        tenant,
                        uid,
                        generation,
                        digest,
                        term,
                    } = keep;
                    let answer = match self.engine.keep(tenant, uid, generation, digest, term).await {
                        Ok(Kept::Held) => Answer::Taken(term),
                        Ok(Kept::Missing) => Answer::Missing,
                        Err(refused) => Answer::Refused(refused),
                    };
                    effects.extend(self.step(session, Input::Answered { nonce, answer }));
                }
                Effect::Withdraw(Withdraw {
                    nonce,
                    tenant,
                    uid,
                    term,
                    confirmed,
                }) => {
                    let answer = if confirmed {
                        self.engine.withdraw_confirmed(tenant, uid, term).await
                    } else {
                        self.engine.withdraw(tenant, uid, term).await
                    };
                    let answer = taken(term, answer);
                    effects.extend(self.step(session, Input::Answered { nonce, answer }));
                }
                Effect::ReleaseBreaker { id } => {
                    self.engine.release_breaker().await;
                    effects.extend(self.step(session, Input::BreakerReleased { id, answer: Ok(()) }));
                }
                Effect::MintToken { id, wanted, within } => {
                    let (engine, clock) = (self.engine.clone(), self.clock.clone());
                    if let Some(refused) = minting.begin(engine, clock, id, wanted, within) {
                        effects.extend(self.step(session, refused));
                    }
                }
                Effect::ReviewToken { id, review, within } => {
                    let (engine, clock) = (self.engine.clone(), self.clock.clone());
                    if let Some(refused) = minting.begin_review(engine, clock, id, review, within) {
                        effects.extend(self.step(session, refused));
                    }
                }
                Effect::Probe { id, tenant, uid } => {
                    let answer = self.have_probed(tenant, &uid);
                    effects.extend(self.step(session, Input::ProbeQueued { id, answer }));
                }
                Effect::Trust(ca_pem) => {
                    let Some(keeper) = &self.keeper else { continue };
                    let pins = match keeper.trust(ca_pem).await {
                        Ok(pins) => pins.iter().map(ToString::to_string).collect(),
                        Err(error) => {
                            tracing::warn!(
                                error = error.message(),
                                "the hub says whom to trust, and that is not done; it says it again in the next session"
                            );
                            continue;
                        }
                    };
                    effects.extend(self.step(session, Input::TrustKept(pins)));
                }
                Effect::End(end) => return Ok(Some(end)),
            }
        }
        Ok(None)
    }

    fn step(&self, session: &mut Session, input: Input) -> Vec<Effect> {
        session.step(input, self.clock.monotonic(), self.clock.now())
    }

    fn held(&self) -> Vec<Held> {
        let held = self.engine.held().into_iter();
        held.map(|held| Held {
            tenant: held.tenant,
            uid: held.uid,
            generation: held.generation,
            digest: held.digest,
        })
        .collect()
    }

    /// A wall clock that was set back since the evidence was gathered must not make it younger.
    fn dated(&self, report: TenantReport) -> TenantReport {
        let age = self.engine.evidence_age().unwrap_or_default();
        let latest = self.clock.now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        TenantReport {
            observed_at: report.observed_at.min(latest),
            ..report
        }
    }

    fn aged(&self, fresh: Fresh) -> Input {
        let age = self.clock.monotonic().saturating_sub(fresh.began);
        Input::Probed(fresh.sealed, age)
    }

    fn have_probed(&self, tenant: TenantId, uid: &Uid) -> Result<(), String> {
        let held = self
            .engine
            .report(&tenant)
            .is_some_and(|report| report.uid == *uid);
        if !held {
            return Err(format!("tenant {tenant} is not held here"));
        }
        self.evidence.ask(tenant)
    }

    fn heartbeat(&self, answers: u64) -> ToHub {
        let (now, age) = (self.clock.now(), self.engine.evidence_age());
        let stale = age.is_none_or(|age| age > STALE);
        let error = if stale {
            "the API server does not answer".to_owned()
        } else {
            String::new()
        };
        heartbeat(now, age, error, answers)
    }
}

fn taken(term: Term, answer: Result<(), Refused>) -> Answer {
    answer.map_or_else(Answer::Refused, |()| Answer::Taken(term))
}

/// The engine probes every couple of seconds; older than this means that it gets no answer.
const STALE: Duration = Duration::from_secs(8);

/// The sending half.
struct Out {
    queue: mpsc::Sender<LinkRequest>,
}

impl Out {
    async fn send(&self, message: ToHub) -> Result<(), Outcome> {
        let message = LinkRequest {
            message: Some(message),
        };
        match self.queue.send_timeout(message, SEND_TIMEOUT).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(Outcome::Stuck),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(Outcome::Closed),
        }
    }
}
