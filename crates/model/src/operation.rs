//! Long-running operations: what a caller of the API waits for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Generation, TenantId, Uid};

/// Something that goes on after the answer. Named `operations/<tenant>.<verb>.<generation>`: it is read off the tenant and never stored apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its name without `operations/`.
    pub id: String,
    /// Whose.
    pub tenant: TenantId,
    /// Which tenant of that name.
    pub uid: Uid,
    /// What goes on.
    pub verb: OperationVerb,
    /// The generation that asked for it.
    pub generation: Generation,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// Where it stands.
    pub outcome: Outcome,
}

/// What goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationVerb {
    /// Bringing a tenant to its spec.
    Reconcile,
    /// Removing it.
    Delete,
}

impl OperationVerb {
    /// `reconcile` or `delete`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
            Self::Delete => "delete",
        }
    }
}

/// Where an operation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Outcome {
    /// Going on.
    Running {
        /// What is waited for.
        waiting_for: String,
    },
    /// Done.
    Succeeded,
    /// Needs a person.
    Failed {
        /// One word.
        reason: String,
        /// For people.
        message: String,
    },
}
