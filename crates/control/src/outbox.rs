//! What is to be said to one agent: bounded by the number of its tenants, latest wins per tenant.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use berth_model::{Assignment, TenantId, Term, TokenToReview, TokenWanted, Uid};
use tokio::sync::{Notify, oneshot};

use crate::questions::{Questions, ReviewAnswer, TokenAnswer, TooMany};

/// A thing to say about one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Hold this; the objects are in the store under the digest.
    Assign(Assignment),
    /// What you hold is right.
    Keep(Assignment),
    /// Remove this tenant.
    Withdraw {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
        /// The leader that decided.
        term: Term,
        /// An operator has confirmed it: no breaker counts or stops it.
        confirmed: bool,
    },
}

impl Command {
    /// About whom.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::Assign(assignment) | Self::Keep(assignment) => &assignment.tenant,
            Self::Withdraw { tenant, .. } => tenant,
        }
    }

    /// What tells that tenant from others of its name.
    #[must_use]
    pub const fn uid(&self) -> &Uid {
        match self {
            Self::Assign(assignment) | Self::Keep(assignment) => &assignment.uid,
            Self::Withdraw { uid, .. } => uid,
        }
    }
}

/// What the stream's writer takes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// About one tenant.
    Command(Command),
    /// Everything that is to be held has been said.
    SnapshotEnd,
    /// An operator confirmed that deletions may go on.
    ReleaseBreaker,
    /// Trust these authorities, PEM.
    Trust(String),
    /// Somebody waits for a token.
    MintToken {
        /// Of the answer, see [`Outbox::answer`].
        id: u64,
        /// Which.
        wanted: TokenWanted,
    },
    /// Somebody waits to hear whose token that is.
    ReviewToken {
        /// Of the answer, see [`Outbox::answer_review`].
        id: u64,
        /// Which.
        review: TokenToReview,
    },
    /// Somebody wants a tenant's walls probed now.
    Probe {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
    },
    /// The session is over.
    Goodbye {
        /// `Superseded`, `Draining`, `NotLeader` or `Refused`.
        reason: &'static str,
        /// For people.
        message: String,
        /// Where the leader's agent listener is, when it is another hub and known.
        leader: String,
    },
}

/// Questions whose token something is are numbered from here, so that no answer is taken for one to another question.
const REVIEWS: u64 = 1 << 32;

/// Whether this hub may command at this moment.
pub type Gate = Arc<dyn Fn() -> bool + Send + Sync>;

/// The outbox of one session.
#[derive(Default)]
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    ending: Notify,
    /// Asked before each command is let out; none lets everything out.
    gate: Option<Gate>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    order: VecDeque<TenantId>,
    commands: BTreeMap<TenantId, Command>,
    snapshot_end: bool,
    release_breaker: bool,
    trust: Option<String>,
    questions: Questions<TokenWanted, TokenAnswer>,
    reviews: Questions<TokenToReview, ReviewAnswer>,
    /// Tenants to be probed; no more than there are.
    probes: BTreeMap<TenantId, Uid>,
    goodbye: Option<(&'static str, String, String)>,
    /// Goodbye was or will be said.
    over: bool,
}

impl Outbox {
    /// An outbox that lets commands out only while `gate` says so, and ends its session otherwise.
    #[must_use]
    pub fn gated(gate: Gate) -> Self {
        Self {
            gate: Some(gate),
            ..Self::default()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says `command`, in place of what has not been said yet about the same tenant.
    pub fn tell(&self, command: Command) {
        let mut state = self.state();
        let tenant = command.tenant().clone();
        if state.commands.insert(tenant.clone(), command).is_none() {
            state.order.push_back(tenant);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Says that everything that is to be held has been said, after what is waiting now.
    pub fn snapshot_end(&self) {
        self.state().snapshot_end = true;
        self.filled.notify_one();
    }

    /// Says that an operator confirmed that deletions may go on.
    pub fn release_breaker(&self) {
        self.state().release_breaker = true;
        self.filled.notify_one();
    }

    /// Says whom to trust from now on.
    pub fn trust(&self, ca_pem: String) {
        self.state().trust = Some(ca_pem);
        self.filled.notify_one();
    }

    /// Asks for a token; the receiver fails when there will be no answer.
    ///
    /// # Errors
    /// Too many questions wait for their answers.
    pub fn ask(&self, wanted: TokenWanted) -> Result<oneshot::Receiver<TokenAnswer>, TooMany> {
        let asked = self.state().questions.ask(wanted)?;
        self.filled.notify_one();
        Ok(asked)
    }

    /// The agent answered the question with that id; one that nobody waits for is dropped.
    pub fn answer(&self, id: u64, answer: TokenAnswer) {
        self.state().questions.answer(id, answer);
    }

    /// Asks whose token that is; the receiver fails when there will be no answer.
    ///
    /// # Errors
    /// Too many questions wait for their answers.
    pub fn review(&self, review: TokenToReview) -> Result<oneshot::Receiver<ReviewAnswer>, TooMany> {
        let asked = self.state().reviews.ask(review)?;
        self.filled.notify_one();
        Ok(asked)
    }

    /// Whether the question with that id was whose token something is.
    #[must_use]
    pub const fn is_review(id: u64) -> bool {
        id >= REVIEWS
    }

    /// The agent answered the question with that id; one that nobody waits for is dropped.
    pub fn answer_review(&self, id: u64, answer: ReviewAnswer) {
        self.state().reviews.answer(id.wrapping_sub(REVIEWS), answer);
    }

    /// Asks for a tenant's walls to be probed.
    pub fn probe(&self, tenant: TenantId, uid: Uid) {
        self.state().probes.insert(tenant, uid);
        self.filled.notify_one();
    }

    /// Ends the session; what is waiting is not said any more.
    pub fn goodbye(&self, reason: &'static str, message: impl Into<String>) {
        self.goodbye_to(reason, message, "");
    }

    /// Ends the session and says where the leader is.
    pub fn goodbye_to(&self, reason: &'static str, message: impl Into<String>, leader: &str) {
        let mut state = self.state();
        state.goodbye = Some((reason, message.into(), leader.to_owned()));
        state.over = true;
        state.questions.give_up();
        state.reviews.give_up();
        drop(state);
        self.filled.notify_one();
        self.ending.notify_one();
    }

    /// Until goodbye is to be said: whoever listens to this agent need not wait for it to be heard. One waiter.
    pub async fn ending(&self) {
        while !self.state().over {
            self.ending.notified().await;
        }
    }

    /// The next thing to say. Cancel safe; one reader.
    pub async fn next(&self) -> Outgoing {
        loop {
            if let Some(outgoing) = self.pop() {
                return outgoing;
            }
            self.filled.notified().await;
        }
    }

    fn pop(&self) -> Option<Outgoing> {
        let mut state = self.state();
        if let Some((reason, message, leader)) = state.goodbye.take() {
            return Some(Outgoing::Goodbye {
                reason,
                message,
                leader,
            });
        }
        let silent = state.order.is_empty()
            && state.probes.is_empty()
            && !state.release_breaker
            && !state.snapshot_end
            && state.trust.is_none()
            && state.questions.silent()
            && state.reviews.silent();
        // A hub that was paused past its lease goes on right here: what it had to say is not its to say any more.
        if !silent && self.gate.as_ref().is_some_and(|gate| !gate()) {
            return Some(Outgoing::Goodbye {
                reason: "NotLeader",
                message: "this hub does not lead any more".to_owned(),
                leader: String::new(),
            });
        }
        if std::mem::take(&mut state.release_breaker) {
            return Some(Outgoing::ReleaseBreaker);
        }
        if let Some(ca_pem) = state.trust.take() {
            return Some(Outgoing::Trust(ca_pem));
        }
        // Somebody waits, and it is short.
        if let Some((id, wanted)) = state.questions.next() {
            return Some(Outgoing::MintToken { id, wanted });
        }
        if let Some((id, review)) = state.reviews.next() {
            return Some(Outgoing::ReviewToken {
                id: REVIEWS + id,
                review,
            });
        }
        while let Some(tenant) = state.order.pop_front() {
            if let Some(command) = state.commands.remove(&tenant) {
                return Some(Outgoing::Command(command));
            }
        }
        if std::mem::take(&mut state.snapshot_end) {
            return Some(Outgoing::SnapshotEnd);
        }
        let (tenant, uid) = state.probes.pop_first()?;
        Some(Outgoing::Probe { tenant, uid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdraw(tenant: &str, term: u64) -> Command {
        Command::Withdraw {
            tenant: TenantId::new(tenant).unwrap(),
            uid: Uid::new("u").unwrap(),
            term: Term(term),
            confirmed: false,
        }
    }

    #[tokio::test]
    async fn the_latest_command_about_a_tenant_replaces_the_one_that_waits() {
        let outbox = Outbox::default();
        outbox.tell(withdraw("a", 1));
        outbox.tell(withdraw("b", 1));
        outbox.tell(withdraw("a", 2));
        outbox.snapshot_end();
        assert_eq!(outbox.next().await, Outgoing::Command(withdraw("a", 2)));
        assert_eq!(outbox.next().await, Outgoing::Command(withdraw("b", 1)));
        assert_eq!(outbox.next().await, Outgoing::SnapshotEnd);
        assert_eq!(outbox.pop(), None);
    }

    #[tokio::test]
    async fn a_hub_that_may_not_command_any_more_says_goodbye_instead() {
        let may = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let asked = may.clone();
        let outbox = Outbox::gated(Arc::new(move || asked.load(std::sync::atomic::Ordering::Relaxed)));
        outbox.tell(withdraw("a", 1));
        outbox.tell(withdraw("b", 1));
        assert_eq!(outbox.next().await, Outgoing::Command(withdraw("a", 1)));
        may.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(matches!(
            outbox.next().await,
            Outgoing::Goodbye {
                reason: "NotLeader",
                ..
            }
        ));
    }

    #[tokio::test]
    async fn a_goodbye_overtakes_what_waits() {
        let outbox = Outbox::default();
        outbox.tell(withdraw("a", 1));
        outbox.goodbye("Superseded", "another session");
        assert!(matches!(
            outbox.next().await,
            Outgoing::Goodbye {
                reason: "Superseded",
                ..
            }
        ));
    }
}
