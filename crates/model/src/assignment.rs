//! What one cluster is told to hold for one tenant.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    id::{ClusterName, Generation, TenantId, Term, Uid},
};

/// Whose state a cluster holds: a tenant and its uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignmentOf {
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
}

/// The unit sent to an agent; its objects travel beside it under their digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// Where.
    pub cluster: ClusterName,
    /// Its own counter, raised when the digest changes, saved before it is sent.
    pub generation: Generation,
    /// Of the objects.
    pub digest: Digest,
    /// The leader that decided it.
    pub term: Term,
}

/// Who applies an object, and so whose rights bound it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliedAs {
    /// The agent itself: the namespace and its walls.
    Agent,
    /// The tenant's deployer account: what the tenant's bundles hold.
    Deployer,
}

/// When an object is applied: phases run in order, and a phase starts when the one before is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyPhase {
    /// The namespaces.
    Namespace,
    /// Quotas, limits, network policies: in force (`status.hard` equals the spec) before anybody is let in.
    Walls,
    /// Accounts and role bindings.
    Access,
    /// What the tenant runs.
    Workload,
}

/// One Kubernetes object of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// When it is applied.
    pub phase: ApplyPhase,
    /// Who applies it.
    pub applied_as: AppliedAs,
    /// The object, with `apiVersion`, `kind`, `metadata.name`, and `metadata.namespace` where it has one.
    pub manifest: Value,
}
