//! What is to be said to one agent: bounded by the number of its tenants, latest wins per tenant.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use berth_model::{Assignment, TenantId, Term, Uid};
use tokio::sync::Notify;

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
    /// The session is over.
    Goodbye {
        /// `Superseded`, `Draining`, `NotLeader` or `Refused`.
        reason: &'static str,
        /// For people.
        message: String,
    },
}

/// The outbox of one session.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    order: VecDeque<TenantId>,
    commands: BTreeMap<TenantId, Command>,
    snapshot_end: bool,
    release_breaker: bool,
    goodbye: Option<(&'static str, String)>,
}

impl Outbox {
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

    /// Ends the session; what is waiting is not said any more.
    pub fn goodbye(&self, reason: &'static str, message: impl Into<String>) {
        self.state().goodbye = Some((reason, message.into()));
        self.filled.notify_one();
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
        if let Some((reason, message)) = state.goodbye.take() {
            return Some(Outgoing::Goodbye { reason, message });
        }
        if std::mem::take(&mut state.release_breaker) {
            return Some(Outgoing::ReleaseBreaker);
        }
        while let Some(tenant) = state.order.pop_front() {
            if let Some(command) = state.commands.remove(&tenant) {
                return Some(Outgoing::Command(command));
            }
        }
        std::mem::take(&mut state.snapshot_end).then_some(Outgoing::SnapshotEnd)
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
