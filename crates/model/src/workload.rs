//! What a tenant says of single workloads of its bundles: how they grow and how many of their pods may go at once.

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// One workload, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadPolicy {
    /// Deployment or StatefulSet.
    pub kind: WorkloadKind,
    /// Its name in the bundle.
    pub name: String,
    /// Renders a HorizontalPodAutoscaler.
    pub autoscaling: Option<Autoscaling>,
    /// Renders a PodDisruptionBudget.
    pub disruption: Option<Disruption>,
}

/// What can be scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// A Deployment.
    #[default]
    Deployment,
    /// A StatefulSet.
    StatefulSet,
}

impl WorkloadKind {
    /// `Deployment` or `StatefulSet`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

/// How a workload grows (`autoscaling/v2`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Fewest replicas.
    pub min_replicas: u32,
    /// Most replicas; its pods must fit into the tenant's quota.
    pub max_replicas: u32,
    /// Aimed CPU in percent of the requests; none leaves CPU out.
    pub cpu_percent: Option<u32>,
    /// Aimed memory in percent of the requests; none leaves memory out.
    pub memory_percent: Option<u32>,
    /// A metric of the pods with its aimed average.
    pub metric: Option<PodMetric>,
    /// How long a lower need must last before replicas go.
    pub scale_down_seconds: u32,
    /// Most of the replicas, in percent, that go within a minute.
    pub scale_down_percent: Option<u32>,
}

/// Aimed CPU in percent when a workload names no metric.
pub const CPU_PERCENT: u32 = 70;
/// Aimed memory in percent when a workload names no metric.
pub const MEMORY_PERCENT: u32 = 80;
/// How long a lower need lasts before replicas go, when nothing is said: Kubernetes' own default.
pub const SCALE_DOWN_SECONDS: u32 = 300;

/// A metric that pods report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMetric {
    /// Its name, such as `http_requests_per_second`.
    pub name: String,
    /// The aimed average over the pods.
    pub average: Quantity,
}

/// How many pods may go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disruption {
    /// So many stay. Must be fewer than the fewest replicas, or nodes could never be drained.
    MinAvailable(u32),
    /// At most so many go; at least one.
    MaxUnavailable(u32),
}
