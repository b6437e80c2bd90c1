//! What the hub knows of infrastructure it had made for tenants.

use serde::{Deserialize, Serialize};

use crate::{id::ClusterName, observed::Observed};

/// The infrastructure of one tenant, as last observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Infra {
    /// Its node pool, where its placement has one.
    pub pool: Option<Observed<NodePoolInfra>>,
    /// Its cluster, where its placement is one.
    pub cluster: Option<Observed<ClusterInfra>>,
    /// The last failure of the cloud, until something succeeds.
    pub trouble: Option<Trouble>,
}

/// Where something made by a cloud stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InfraPhase {
    /// Being made.
    Creating,
    /// There and usable.
    Active,
    /// There and being changed; usable.
    Updating,
    /// Going away.
    Deleting,
    /// Broken; the trouble says how.
    Failed,
}

/// A node pool in a cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolInfra {
    /// Where it stands.
    pub phase: InfraPhase,
    /// Name in the cloud.
    pub cloud_name: String,
    /// Nodes asked for.
    pub desired_nodes: u32,
}

/// A cluster in a cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterInfra {
    /// Where it stands, its nodes included: active when the control plane and a node group are.
    pub phase: InfraPhase,
    /// Name in the cloud.
    pub cloud_name: String,
    /// The API's address; empty before it is active.
    pub endpoint: String,
    /// Its certificate authority, PEM; empty before it is active.
    pub ca_pem: String,
    /// Kubernetes version as the cloud names it, such as `1.33`.
    pub kubernetes_version: String,
    /// What is waited for, for people; empty when nothing is.
    pub waiting_for: String,
}

/// Who can do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleClass {
    /// Time.
    Retry,
    /// A person.
    Operator,
    /// Making it anew.
    Replace,
}

/// A failure of the cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// Who can do something.
    pub class: TroubleClass,
    /// The cloud's own code, such as `ResourceLimitExceeded`.
    pub code: String,
    /// The cloud's own words and what was tried.
    pub message: String,
    /// Failures in a row.
    pub attempts: u32,
}

/// What a bootstrap of an agent into a new cluster has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapFacts {
    /// The cluster.
    pub cluster: ClusterName,
    /// Whether the agent's manifest was applied.
    pub manifest_applied: bool,
}
