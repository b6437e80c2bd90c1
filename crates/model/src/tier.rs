//! What was bought: a tier decides the isolation and the defaults of its tenants.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    bundle::BundleRef,
    id::{Generation, Revision, TierName, Uid},
    money::UsdCents,
    network::TierNetwork,
    placement::Isolation,
    quantity::Quantity,
    resources::{Bytes, Capacity, MilliCpu},
    secret::SecretStore,
};

/// A tier as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Its name.
    pub name: TierName,
    /// What tells it from an earlier tier of that name.
    pub uid: Uid,
    /// Raised by every change of the spec.
    pub generation: Generation,
    /// The store's version of it; the `etag` of the API.
    pub revision: Revision,
    /// What was asked for.
    pub spec: TierSpec,
}

/// What a tier promises and builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TierSpec {
    /// One line for people.
    pub display_name: String,
    /// What is built. Cannot be edited.
    pub isolation: Isolation,
    /// The size of tenants that name none.
    pub default_size: SizeName,
    /// Pod Security Standard enforced in the tenant's namespaces.
    pub pod_security: PodSecurity,
    /// The same for namespaces of environment dev; none takes `pod_security`.
    #[serde(default)]
    pub pod_security_dev: Option<PodSecurity>,
    /// Whose turn comes first when room is scarce, and the pods' priority.
    pub priority: Priority,
    /// Load balancers a tenant may have.
    pub load_balancers: u32,
    /// How pools are made; only with [`Isolation::NodePool`].
    pub node_pool: Option<NodePoolTemplate>,
    /// How clusters are made; only with [`Isolation::Cluster`].
    pub cluster: Option<ClusterTemplate>,
    /// Monthly base price.
    pub price: UsdCents,
    /// What is promised in return.
    pub sla: Sla,
    /// Switches handed to workloads.
    pub features: BTreeMap<String, bool>,
    /// Amounts that differ from the size's, by quota name.
    #[serde(default)]
    pub quota: BTreeMap<String, Quantity>,
    /// The most that a tenant may ask for, by quota name. What is not named cannot be raised above the size's amount.
    #[serde(default)]
    pub quota_max: BTreeMap<String, Quantity>,
    /// Extended resources that pods may ask for, such as `nvidia.com/gpu` or `nvidia.com/gpu.shared`.
    #[serde(default)]
    pub extended_resources: Vec<String>,
    /// Prefixes of image references that pods may use; empty allows any.
    #[serde(default)]
    pub registries: Vec<String>,
    /// Storage classes that claims may name; empty allows any.
    #[serde(default)]
    pub storage_classes: Vec<String>,
    /// Keys of labels that pods and workloads must carry.
    #[serde(default)]
    pub required_labels: Vec<String>,
    /// Whether every pod's requests equal its limits.
    #[serde(default)]
    pub guaranteed_qos: bool,
    /// Who may talk to whom.
    #[serde(default)]
    pub network: TierNetwork,
    /// What runs in every tenant of the tier, unless the tenant names a bundle of the same name itself.
    #[serde(default)]
    pub bundles: Vec<BundleRef>,
    /// Kinds that its tenants' bundles may hold; empty allows every kind that a bundle can.
    #[serde(default)]
    pub bundle_kinds: Vec<String>,
    /// Stores that its tenants may have secrets from.
    #[serde(default)]
    pub secret_stores: Vec<SecretStore>,
    /// What a tenant may set wider than the tier has it. Narrower is always possible.
    #[serde(default)]
    pub loosen: Vec<Loosen>,
}

/// Something a tenant may set wider than its tier has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loosen {
    /// A lower Pod Security Standard.
    PodSecurity,
    /// Images from registries that the tier does not name.
    Registries,
    /// Storage classes that the tier does not name.
    StorageClasses,
}

impl Loosen {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PodSecurity, Self::Registries, Self::StorageClasses];

    /// `pod-security`, `registries` or `storage-classes`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PodSecurity => "pod-security",
            Self::Registries => "registries",
            Self::StorageClasses => "storage-classes",
        }
    }
}

/// Pod Security Standards levels (kubernetes.io/docs/concepts/security/pod-security-standards).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PodSecurity {
    /// Prevents known escalations.
    Baseline,
    /// Current hardening practice.
    Restricted,
}

impl PodSecurity {
    /// `baseline` or `restricted`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// Whose turn comes first; later is higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Best effort.
    Low,
    /// The usual.
    Standard,
    /// Before the usual.
    High,
    /// First.
    Critical,
}

impl Priority {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Standard, Self::High, Self::Critical];

    /// The PriorityClass of pods, brought by the agent's manifest.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Low => "berth-low",
            Self::Standard => "berth-standard",
            Self::High => "berth-high",
            Self::Critical => "berth-critical",
        }
    }

    /// `low`, `standard`, `high` or `critical`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Standard => "standard",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How many resources come with a tenant, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeName {
    /// 100m/256Mi a replica.
    Micro,
    /// 250m/512Mi a replica.
    Small,
    /// 500m/1Gi a replica.
    Medium,
    /// 1/2Gi a replica.
    Large,
    /// 2/4Gi a replica.
    Xlarge,
}

impl SizeName {
    /// All of them, smallest first.
    pub const ALL: [Self; 5] = [Self::Micro, Self::Small, Self::Medium, Self::Large, Self::Xlarge];

    /// `micro`, `small`, `medium`, `large` or `xlarge`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Micro => "micro",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Xlarge => "xlarge",
        }
    }
}

impl fmt::Display for SizeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The amounts of one size. All amounts are per replica except storage, which is the tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Requested CPU of a replica.
    pub request_cpu: MilliCpu,
    /// Requested memory of a replica.
    pub request_memory: Bytes,
    /// CPU limit of a replica.
    pub limit_cpu: MilliCpu,
    /// Memory limit of a replica.
    pub limit_memory: Bytes,
    /// Persistent storage of the tenant.
    pub storage: Bytes,
    /// Most replicas.
    pub max_replicas: u32,
    /// Monthly price.
    pub price: UsdCents,
}

impl Size {
    /// Replicas a namespace quota leaves room for: the most replicas and one more for a rolling update.
    #[must_use]
    pub const fn quota_replicas(&self) -> u64 {
        self.max_replicas as u64 + 1
    }

    /// What a tenant of this size reserves on its cluster.
    #[must_use]
    pub const fn reservation(&self, pods: u64) -> Capacity {
        Capacity {
            cpu: self.request_cpu.times(self.quota_replicas()),
            memory: self.request_memory.times(self.quota_replicas()),
            pods,
        }
    }
}

/// How a node pool of a tenant is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePoolTemplate {
    /// Machine types, in order of preference, as the cloud names them.
    pub instance_types: Vec<String>,
    /// On demand or spot.
    pub capacity_type: CapacityType,
    /// Root disk, in GiB.
    pub disk_gib: u32,
    /// Fewest nodes.
    pub min_nodes: u32,
    /// Most nodes.
    pub max_nodes: u32,
    /// Nodes at the start.
    pub desired_nodes: u32,
    /// Further node labels.
    pub labels: BTreeMap<String, String>,
}

/// How the cloud sells the machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityType {
    /// Ours until we return it.
    #[default]
    OnDemand,
    /// Cheaper, and may be taken away.
    Spot,
}

/// How a cluster of a tenant is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTemplate {
    /// Kubernetes version as `1.33`.
    pub kubernetes_version: String,
    /// Whether the API is reachable only from the cluster's own network.
    pub private_endpoint: bool,
    /// How the hub brings the agent in.
    pub bootstrap: Bootstrap,
    /// CIDRs that may reach a public endpoint while there is one.
    pub public_access_cidrs: Vec<String>,
    /// Control-plane logs to keep: `api`, `audit`, `authenticator`, `controllerManager`, `scheduler`.
    pub logging: Vec<String>,
    /// Further tags of everything made for the cluster.
    pub tags: BTreeMap<String, String>,
    /// Its nodes.
    pub nodes: NodePoolTemplate,
}

/// How the hub brings the agent into a new cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bootstrap {
    /// The hub reaches the endpoint as it is.
    #[default]
    Direct,
    /// The endpoint is public for the hub's CIDRs until the agent has dialled in, then closed.
    PublicThenPrivate,
}

/// What is promised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sla {
    /// Uptime in percent, as text so that `99.9` stays what was written.
    pub uptime_percent: Option<Quantity>,
    /// Support hours, such as `24x7`.
    pub support_hours: String,
    /// Minutes to a first answer on a critical incident; none when not promised.
    pub critical_response_minutes: Option<u32>,
    /// The same for the severities below: `high`, `medium`, `low`.
    #[serde(default)]
    pub response_minutes: BTreeMap<String, u32>,
}
