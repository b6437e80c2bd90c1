//! Where a tenant is. A wrong mix of tier and place cannot be written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    id::{ClusterName, PoolName, TenantId},
    label,
};

/// How a tenant is kept apart from others: what a tier builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Its own namespaces on a shared cluster.
    Namespace,
    /// Its own tainted nodes on a shared cluster.
    NodePool,
    /// A cluster of its own.
    Cluster,
}

impl Isolation {
    /// All of them, softest first.
    pub const ALL: [Self; 3] = [Self::Namespace, Self::NodePool, Self::Cluster];

    /// `namespace`, `node-pool` or `cluster`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::NodePool => "node-pool",
            Self::Cluster => "cluster",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a tenant lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "isolation")]
pub enum Placement {
    /// Namespaces on a shared cluster.
    Namespace {
        /// The shared cluster.
        cluster: ClusterName,
    },
    /// Namespaces on a shared cluster, pods pinned to a pool of the tenant's own.
    NodePool {
        /// The shared cluster.
        cluster: ClusterName,
        /// The tenant's pool in it.
        pool: PoolName,
    },
    /// Namespaces on a cluster of the tenant's own.
    Cluster {
        /// The tenant's cluster.
        cluster: ClusterName,
    },
}

impl Placement {
    /// The cluster, shared or dedicated.
    #[must_use]
    pub const fn cluster(&self) -> &ClusterName {
        match self {
            Self::Namespace { cluster } | Self::NodePool { cluster, .. } | Self::Cluster { cluster } => {
                cluster
            }
        }
    }

    /// The tenant's own pool, where it has one.
    #[must_use]
    pub const fn pool(&self) -> Option<&PoolName> {
        match self {
            Self::NodePool { pool, .. } => Some(pool),
            Self::Namespace { .. } | Self::Cluster { .. } => None,
        }
    }

    /// How the tenant is kept apart there.
    #[must_use]
    pub const fn isolation(&self) -> Isolation {
        match self {
            Self::Namespace { .. } => Isolation::Namespace,
            Self::NodePool { .. } => Isolation::NodePool,
            Self::Cluster { .. } => Isolation::Cluster,
        }
    }
}

/// The namespace of a tenant: `t-<id>`, or `t-<id>--<name>` for an environment or an extra namespace.
#[must_use]
pub fn namespace_name(tenant: &TenantId, extra: Option<&str>) -> String {
    match extra {
        None => format!("{}{tenant}", label::NAMESPACE_PREFIX),
        Some(extra) => format!("{}{tenant}--{extra}", label::NAMESPACE_PREFIX),
    }
}
