//! What can go wrong, told by operation and object.

use berth_model::{Digest, Generation, TenantId, Term, Uid};

use crate::ledger::LedgerError;

/// Why an assignment, a keep or a withdrawal is not accepted. What is refused is not held, and nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// From a leader that has been replaced.
    #[error("term {term} is older than {highest}, which was accepted before")]
    OldTerm {
        /// Theirs.
        term: Term,
        /// The highest accepted.
        highest: Term,
    },
    /// A newer one is held.
    #[error("generation {generation} of tenant {tenant} is older than {held}, which is held")]
    OldGeneration {
        /// The tenant.
        tenant: TenantId,
        /// Theirs.
        generation: Generation,
        /// Held.
        held: Generation,
    },
    /// The same generation is held with other content.
    #[error("generation {generation} of tenant {tenant} is held with digest {held}, not {digest}")]
    OtherDigest {
        /// The tenant.
        tenant: TenantId,
        /// The generation.
        generation: Generation,
        /// Theirs.
        digest: Digest,
        /// Held.
        held: Digest,
    },
    /// A tenant of that name, made earlier, is still held: withdraw it first.
    #[error(
        "tenant {tenant} with uid {held} is held; withdraw it before uid {uid} can be assigned or withdrawn"
    )]
    OtherUid {
        /// The tenant.
        tenant: TenantId,
        /// Theirs.
        uid: Uid,
        /// Held.
        held: Uid,
    },
    /// It is being withdrawn; assign it again when that is done.
    #[error("tenant {tenant} is being withdrawn")]
    Withdrawing {
        /// The tenant.
        tenant: TenantId,
    },
    /// The objects cannot be applied as they are.
    #[error("objects of tenant {tenant} are invalid: {}", problems.join("; "))]
    Invalid {
        /// The tenant.
        tenant: TenantId,
        /// Every problem, each naming its object.
        problems: Vec<String>,
    },
    /// The engine has not read its ledger yet; ask again in a moment.
    #[error("the ledger is not read yet")]
    NotReady,
}

/// What went wrong between the engine and its cluster.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused or could not be reached.
    #[error("{operation} {object}")]
    Api {
        /// Such as `apply`.
        operation: &'static str,
        /// Such as `NetworkPolicy t-acme/default-deny`.
        object: String,
        /// What it said.
        #[source]
        source: Box<crate::request::RequestError>,
    },
    /// A namespace of the tenant's name exists and is not the tenant's.
    #[error("namespace {namespace} exists and does not belong to tenant {tenant}; it is left untouched: rename or delete it, or adopt it by labelling it {label}={uid} and {tenant_label}={tenant}",
        label = berth_model::label::TENANT_UID, tenant_label = berth_model::label::TENANT)]
    NameConflict {
        /// The namespace.
        namespace: String,
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
    },
    /// The cluster lacks what such objects are for.
    #[error(
        "apply {object}: the cluster does not serve {api_version}; install {product} there, or do without: {instead}"
    )]
    NotServed {
        /// Such as `ExternalSecret t-acme/berth.web.password`.
        object: String,
        /// Of which group and version.
        api_version: &'static str,
        /// What serves it.
        product: &'static str,
        /// What to do else.
        instead: &'static str,
    },
    /// Something did not come about in time.
    #[error("{what} did not happen within {seconds} s")]
    Overdue {
        /// Such as `quota t-acme/berth in force`.
        what: String,
        /// The bound.
        seconds: u64,
    },
    /// The memory in the cluster cannot be read or written.
    #[error("{operation} the ledger")]
    Ledger {
        /// `read` or `write`.
        operation: &'static str,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// A newer assignment or a withdrawal took its place.
    #[error("superseded")]
    Superseded,
}

impl ApplyError {
    /// One word in CamelCase, as in conditions.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Api { source, .. } => source.reason(),
            Self::NameConflict { .. } => "NameConflict",
            Self::NotServed { .. } => "NotServed",
            Self::Overdue { .. } => "Overdue",
            Self::Ledger { .. } => "LedgerUnavailable",
            Self::Superseded => "Superseded",
        }
    }

    /// Whether the API server did not answer in time.
    pub(crate) fn timed_out(&self) -> bool {
        matches!(self, Self::Api { source, .. } if matches!(**source, crate::request::RequestError::TimedOut(_)))
    }

    /// When the API server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Api { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// For people: this error and everything beneath it in one line.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}
