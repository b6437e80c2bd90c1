//! What an agent must remember, so that a restart needs no hub: the highest accepted term, and of each tenant its uid,
//! generation, digest, inventory and content.
//!
//! Written before what it describes. The rules of what may be accepted are pure and live in [`decide`].

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod decide;
mod encode;
mod kube;
mod memory;

use std::sync::Arc;

use async_trait::async_trait;
use berth_model::{ClusterName, Digest, Generation, TenantId, Term, Uid, assignment::AppliedAs};
use serde::{Deserialize, Serialize};

use crate::{
    breaker::BreakerMemory,
    object::{Item, ObjectRef},
};

pub use decide::{Decision, HeldAs, decide_assign, decide_keep, decide_withdraw};
pub use kube::KubeLedger;
pub use memory::MemoryLedger;

/// Where the agent's memory is.
///
/// # Guarantees
/// - What [`remember`](Self::remember), [`settle`](Self::settle) and [`keep_breaker`](Self::keep_breaker) returned `Ok` for is in
///   every later [`load`](Self::load).
/// - A record is replaced as a whole or not at all.
/// - One record costs one write, unless its content is larger than an object of the cluster may be.
///
/// # Assumptions
/// One writer: one agent acts in a cluster.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Everything that is remembered.
    async fn load(&self) -> Result<Memory, LedgerError>;

    /// Writes a tenant's head and content.
    async fn remember(&self, record: &Record) -> Result<(), LedgerError>;

    /// Writes a tenant's head alone; its content stays what [`remember`](Self::remember) wrote.
    async fn settle(&self, head: &Head) -> Result<(), LedgerError>;

    /// Forgets a tenant, but never a term: `term` is kept when it is higher than any that is remembered.
    async fn forget(&self, tenant: &TenantId, term: Term) -> Result<(), LedgerError>;

    /// Writes what the breaker must remember.
    async fn keep_breaker(&self, breaker: &BreakerMemory) -> Result<(), LedgerError>;
}

/// What a ledger holds.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The highest term under which anything was done.
    pub term: Term,
    /// The tenants.
    pub records: Vec<Record>,
    /// The breaker that stops a mass delete.
    pub breaker: BreakerMemory,
    /// What could not be read: where, and why. It is left alone until that tenant is written again.
    pub damaged: Vec<(String, String)>,
}

/// A tenant as remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// All but the content.
    pub head: Head,
    /// What is to be in the cluster.
    pub items: Arc<[Item]>,
}

/// A tenant as remembered, without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// The cluster's name in the fleet.
    pub cluster: ClusterName,
    /// Of the assignment.
    pub generation: Generation,
    /// Of the assignment.
    pub digest: Digest,
    /// The term it was accepted in.
    pub term: Term,
    /// How far it has come.
    pub stage: Stage,
    /// Every object that may be in the cluster because of this tenant.
    pub inventory: Vec<Remembered>,
}

/// How far a tenant has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Objects may be missing or superfluous.
    Applying,
    /// Everything was applied and pruned.
    Applied,
    /// On its way out.
    Withdrawing,
}

/// One object of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remembered {
    /// Which.
    pub object: ObjectRef,
    /// By whom it was applied.
    pub applied_as: AppliedAs,
    /// Its uid in the cluster, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// How it looked when it was last applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<u64>,
}

/// Why the memory cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The cluster did not answer as it should.
    #[error("{operation} ConfigMap {name}")]
    Cluster {
        /// Such as `create`.
        operation: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<crate::request::RequestError>,
    },
    /// Written by a newer agent.
    #[error(
        "ConfigMap {name} has format {found}, newer than {known}; run an agent at least as new as the one that wrote it"
    )]
    Newer {
        /// Its name.
        name: String,
        /// Its format.
        found: u32,
        /// The newest this agent knows.
        known: u32,
    },
    /// Cannot be written down.
    #[error("encode the record of tenant {tenant}: {problem}")]
    Encode {
        /// The tenant.
        tenant: TenantId,
        /// Why.
        problem: String,
    },
}
