//! What an agent says of one tenant. Soft state: kept in memory and reported again on reconnect.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    health::Health,
    id::{Generation, TenantId, Uid},
};

/// What a cluster holds of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantReport {
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// The assignment generation this speaks of.
    pub generation: Generation,
    /// Its digest.
    pub digest: Digest,
    /// How far applying it has come.
    pub apply: ApplyState,
    /// How its objects and workloads are.
    pub health: Health,
    /// When the agent last looked at its API server successfully. By the agent's clock.
    pub observed_at: Timestamp,
}

/// How far applying has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum ApplyState {
    /// Going on.
    Applying {
        /// What is waited for, for people.
        waiting_for: String,
    },
    /// Everything is there as assigned, and what was there before and is not assigned any more is gone.
    Applied,
    /// Stopped; tried again later or when something changes.
    Failed {
        /// One word in CamelCase, such as `NameConflict`, `Forbidden`, `Invalid`, `Fight`.
        reason: String,
        /// For people; names the object.
        message: String,
    },
    /// Being withdrawn.
    Withdrawing {
        /// What is waited for, for people.
        waiting_for: String,
    },
    /// Being withdrawn, and that does not get on; tried again later or when something changes.
    WithdrawFailed {
        /// One word in CamelCase, such as `BreakerOpen`, `Forbidden`, `Overdue`.
        reason: String,
        /// For people; names the object.
        message: String,
    },
    /// Nothing of it is left.
    Withdrawn,
}
