//! Refusals and farewells.

use std::time::Duration;

use berth_model::Term;
use berth_proto::agent;

use crate::{time, words};

/// Why an agent refuses an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackReason {
    /// It holds a newer generation.
    OlderGeneration,
    /// It has accepted a higher term.
    OlderTerm,
    /// It holds the same generation with other content, or the content does not have the digest it is said to have.
    DigestMismatch,
    /// Too many tenants would go at once.
    BreakerOpen,
    /// It cannot be read or is not for this cluster.
    Invalid,
    /// Something this side does not know.
    Other,
}

const NACK_REASONS: [(&str, NackReason); 6] = [
    ("OlderGeneration", NackReason::OlderGeneration),
    ("OlderTerm", NackReason::OlderTerm),
    ("DigestMismatch", NackReason::DigestMismatch),
    ("BreakerOpen", NackReason::BreakerOpen),
    ("Invalid", NackReason::Invalid),
    ("Other", NackReason::Other),
];

impl NackReason {
    /// The word on the link.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        words::word(&NACK_REASONS, &self)
    }
}

/// A refusal; what was held before is still held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Of the Assign, Keep or Withdraw.
    pub nonce: u64,
    /// Why.
    pub reason: NackReason,
    /// For people.
    pub message: String,
    /// The highest term the agent has accepted.
    pub highest_term: Term,
}

/// A refusal.
#[must_use]
pub fn nack_to_proto(nack: &Nack) -> agent::Nack {
    agent::Nack {
        nonce: nack.nonce,
        reason: nack.reason.as_str().into(),
        message: nack.message.clone(),
        highest_term: nack.highest_term.0,
    }
}

/// Reads a refusal.
#[must_use]
pub fn nack_from_proto(nack: &agent::Nack) -> Nack {
    Nack {
        nonce: nack.nonce,
        reason: words::find(&NACK_REASONS, &nack.reason).unwrap_or(NackReason::Other),
        message: berth_model::condition::clipped(nack.message.clone()),
        highest_term: Term(nack.highest_term),
    }
}

/// Why a hub ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeReason {
    /// A newer session of the same cluster is there.
    Superseded,
    /// The hub stops.
    Draining,
    /// Another hub leads.
    NotLeader,
    /// The hub does not want this agent.
    Refused,
    /// Something this side does not know.
    Other,
}

const GOODBYE_REASONS: [(&str, GoodbyeReason); 5] = [
    ("Superseded", GoodbyeReason::Superseded),
    ("Draining", GoodbyeReason::Draining),
    ("NotLeader", GoodbyeReason::NotLeader),
    ("Refused", GoodbyeReason::Refused),
    ("Other", GoodbyeReason::Other),
];

impl GoodbyeReason {
    /// The word on the link.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        words::word(&GOODBYE_REASONS, &self)
    }
}

/// The stream ends now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Why.
    pub reason: GoodbyeReason,
    /// For people.
    pub message: String,
    /// Come back after this.
    pub retry_after: Duration,
    /// The leader's address; empty when it is nobody else.
    pub leader: String,
}

/// A farewell.
#[must_use]
pub fn goodbye_to_proto(goodbye: &Goodbye) -> agent::Goodbye {
    agent::Goodbye {
        reason: goodbye.reason.as_str().into(),
        message: goodbye.message.clone(),
        retry_after: Some(time::span_to_proto(goodbye.retry_after)),
        leader: goodbye.leader.clone(),
    }
}

/// Reads a farewell.
#[must_use]
pub fn goodbye_from_proto(goodbye: &agent::Goodbye) -> Goodbye {
    Goodbye {
        reason: words::find(&GOODBYE_REASONS, &goodbye.reason).unwrap_or(GoodbyeReason::Other),
        message: goodbye.message.clone(),
        retry_after: goodbye
            .retry_after
            .as_ref()
            .map(time::span_from_proto)
            .unwrap_or_default(),
        leader: goodbye.leader.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_farewells_survive() {
        for (_, reason) in NACK_REASONS {
            let nack = Nack {
                nonce: 4,
                reason,
                message: "no".into(),
                highest_term: Term(9),
            };
            assert_eq!(nack_from_proto(&nack_to_proto(&nack)), nack);
        }
        for (_, reason) in GOODBYE_REASONS {
            let goodbye = Goodbye {
                reason,
                message: "bye".into(),
                retry_after: Duration::from_millis(250),
                leader: "hub-2:7443".into(),
            };
            assert_eq!(goodbye_from_proto(&goodbye_to_proto(&goodbye)), goodbye);
        }
    }

    #[test]
    fn reasons_of_a_newer_side_are_tolerated() {
        let nack = nack_from_proto(&agent::Nack {
            reason: "Tired".into(),
            ..Default::default()
        });
        assert_eq!(nack.reason, NackReason::Other);
        let goodbye = goodbye_from_proto(&agent::Goodbye {
            reason: "Tired".into(),
            ..Default::default()
        });
        assert_eq!(
            (goodbye.reason, goodbye.retry_after),
            (GoodbyeReason::Other, Duration::ZERO)
        );
    }
}
