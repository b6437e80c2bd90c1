//! The link's messages to and from the model.
//!
//! What comes in over the link is checked here for form only. Who may say it is decided by the certificate it came with, and
//! what it means by the session on either side.

mod answer;
mod assign;
mod evidence;
mod held;
mod report;
mod review;
mod token;

pub use crate::api::{facts_from_proto, facts_to_proto};
pub use answer::{
    Goodbye, GoodbyeReason, Nack, NackReason, goodbye_from_proto, goodbye_to_proto, nack_from_proto,
    nack_to_proto,
};
pub use assign::{
    Assembled, Assembler, Keep, Withdraw, chunk_assign, keep_from_proto, keep_to_proto, withdraw_from_proto,
    withdraw_to_proto,
};
pub use evidence::{evidence_from_proto, evidence_to_proto, probe_from_proto, probe_to_proto};
pub use held::{Held, held_chunks, held_from_proto, held_to_proto};
pub use report::{
    Heartbeat, heartbeat_from_proto, heartbeat_to_proto, report_from_proto, report_to_proto,
    store_point_from_proto, store_point_to_proto,
};
pub use review::{review_from_proto, review_reply_from_proto, review_reply_to_proto, review_to_proto};
pub use token::{
    mint_from_proto, mint_to_proto, minted_from_proto, minted_to_proto, token_reply_from_proto,
    token_reply_to_proto,
};

use berth_model::InvalidId;

/// Why a message of the link cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// A name in it is none.
    #[error("read {message}")]
    Name {
        /// Which message.
        message: &'static str,
        /// What is wrong.
        source: InvalidId,
    },
    /// A word in it is not known here.
    #[error("read {message}: {field} {word:?} is not known")]
    Word {
        /// Which message.
        message: &'static str,
        /// Which field.
        field: &'static str,
        /// What it said.
        word: String,
    },
    /// Parts of an Assign that do not belong together.
    #[error("read Assign: a part of nonce {found} came while nonce {expected} was incomplete")]
    Interleaved {
        /// The nonce that was being put together.
        expected: u64,
        /// The nonce of the part.
        found: u64,
    },
    /// More than is taken.
    #[error("read Assign of tenant {tenant}: its objects are larger than {limit} bytes")]
    TooLarge {
        /// Whose.
        tenant: String,
        /// How much is taken.
        limit: usize,
    },
}

fn name<T>(message: &'static str, text: &str) -> Result<T, LinkError>
where
    T: std::str::FromStr<Err = InvalidId>,
{
    text.parse().map_err(|source| LinkError::Name { message, source })
}

fn digest(message: &'static str, text: &str) -> Result<berth_model::Digest, LinkError> {
    berth_model::Digest::new(text).map_err(|source| LinkError::Name { message, source })
}
