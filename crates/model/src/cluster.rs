//! The clusters of the fleet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    gap::AcceptedGaps,
    id::{ClusterName, Revision, TenantId, Uid},
    resources::Capacity,
};

/// A cluster as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name in the fleet; the only identity an agent can have.
    pub name: ClusterName,
    /// What tells it from an earlier cluster of that name.
    pub uid: Uid,
    /// The store's version of it; the `etag` of the API.
    pub revision: Revision,
    /// When it was entered.
    pub created_at: Timestamp,
    /// Labels that tenants may ask for.
    pub labels: BTreeMap<String, String>,
    /// No new tenants.
    pub cordoned: bool,
    /// For whom it is.
    pub purpose: ClusterPurpose,
    /// Region as the admin or the hub wrote it; empty takes what the agent reports.
    pub region: String,
    /// Name in the cloud when it differs from the name in the fleet; needed to make node pools there.
    pub cloud_name: String,
    /// What the agent last said of the cluster, kept so that a restarted hub can place at once; none before the first join.
    pub facts: Option<ClusterFacts>,
    /// Walls that it cannot hold and that an admin has accepted, with the reasons.
    #[serde(default)]
    pub accepted_gaps: AcceptedGaps,
    /// When the cluster's agent joined; none before.
    pub joined_at: Option<Timestamp>,
    /// UID of `kube-system` when it first joined: no other Kubernetes cluster takes its place. Empty before, and where it joined by a
    /// hub that did not ask.
    #[serde(default)]
    pub kubernetes_uid: String,
    /// No tenants until an administrator accepts it.
    #[serde(default)]
    pub awaiting_acceptance: bool,
    /// Its identity is void until it joins again with a new key.
    #[serde(default)]
    pub revoked: Option<Revocation>,
}

/// That a cluster's identity was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// For whom a cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ClusterPurpose {
    /// For many tenants.
    Shared,
    /// Made for one tenant, and never given to another.
    Dedicated {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
    },
}

/// What an agent reports of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterFacts {
    /// UID of the `kube-system` namespace.
    pub kubernetes_uid: String,
    /// `gitVersion`, such as `v1.33.4-eks-1234`.
    pub kubernetes_version: String,
    /// Where users reach the API.
    pub api_url: String,
    /// Its certificate authority, PEM.
    pub api_ca_pem: String,
    /// Nodes.
    pub nodes: u32,
    /// Nodes that are Ready.
    pub ready_nodes: u32,
    /// Allocatable of the shared (untainted, schedulable) nodes.
    pub capacity: Capacity,
    /// Ready nodes by node pool (value of the label `berth.dev/pool`).
    pub pools: BTreeMap<String, PoolFacts>,
    /// Namespaces, everybody's.
    pub namespaces: u32,
    /// Whose cloud.
    pub provider: Provider,
    /// Region by node labels.
    pub region: String,
    /// Whether network policies do anything.
    pub network_policy: NetworkPolicyEnforcement,
    /// Whether pods can be pinned to pools at admission (MutatingAdmissionPolicy is served).
    pub mutating_admission_policy: bool,
    /// Whether admission policies that refuse are served (ValidatingAdmissionPolicy).
    pub validating_admission_policy: bool,
    /// Whether Istio's authorization policies (`security.istio.io/v1`) are served.
    pub istio: bool,
}

/// What an agent sees of one node pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolFacts {
    /// Nodes.
    pub nodes: u32,
    /// Nodes that are Ready.
    pub ready_nodes: u32,
    /// Allocatable of the Ready nodes.
    pub capacity: Capacity,
}

/// Whose cloud a cluster is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Any Kubernetes.
    #[default]
    Generic,
    /// Amazon EKS: node pools can be made.
    Eks,
}

impl Provider {
    /// `generic` or `eks`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Eks => "eks",
        }
    }
}

/// Whether network policies do anything in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkPolicyEnforcement {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Seen not to be.
    NotEnforced,
    /// A plug-in that enforces them runs.
    Enforced,
}

impl NetworkPolicyEnforcement {
    /// `unknown`, `not-enforced` or `enforced`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotEnforced => "not-enforced",
            Self::Enforced => "enforced",
        }
    }
}
