//! What a provisioner is asked for, and the credential it can hand out.

use std::{collections::BTreeMap, fmt, time::Duration};

use berth_model::{
    ClusterName, PoolName, label,
    tier::{ClusterTemplate, NodePoolTemplate},
};

use crate::origin::Origin;

/// A cluster for one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRequest {
    /// For whom.
    pub origin: Origin,
    /// Its name in the fleet.
    pub cluster: ClusterName,
    /// Where; empty takes the provisioner's default.
    pub region: String,
    /// How it is made.
    pub template: ClusterTemplate,
    /// Labels of its nodes, besides the template's.
    pub labels: BTreeMap<String, String>,
    /// Tags besides ownership's and the template's, such as cost centre and tier.
    pub tags: BTreeMap<String, String>,
    /// Whether the cluster's agent has dialled in: from then on a private cluster needs no public endpoint.
    pub agent_connected: bool,
}

/// A node pool for one tenant in a cluster that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePoolRequest {
    /// For whom.
    pub origin: Origin,
    /// The cluster's name in the fleet.
    pub cluster: ClusterName,
    /// The cluster's name in the cloud; empty when it is the name in the fleet.
    pub cloud_cluster: String,
    /// Where the cluster is; empty takes the provisioner's default.
    pub region: String,
    /// The pool's name: value of the label and the taint [`label::POOL`] on its nodes.
    pub pool: PoolName,
    /// How it is made.
    pub template: NodePoolTemplate,
    /// Labels of its nodes, besides the template's.
    pub labels: BTreeMap<String, String>,
    /// Tags besides ownership's.
    pub tags: BTreeMap<String, String>,
}

impl NodePoolRequest {
    /// The cluster's name in the cloud.
    #[must_use]
    pub fn cloud_cluster(&self) -> &str {
        if self.cloud_cluster.is_empty() {
            self.cluster.as_str()
        } else {
            &self.cloud_cluster
        }
    }

    /// All labels of its nodes; the pool's own cannot be overridden.
    #[must_use]
    pub fn node_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.template.labels.clone();
        labels.extend(self.labels.clone());
        labels.insert(label::POOL.to_owned(), self.pool.to_string());
        labels
    }

    /// The taint that keeps everybody else's pods off its nodes.
    #[must_use]
    pub fn taint(&self) -> Taint {
        Taint {
            key: label::POOL.to_owned(),
            value: self.pool.to_string(),
        }
    }
}

impl ClusterRequest {
    /// All labels of its nodes.
    #[must_use]
    pub fn node_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.template.nodes.labels.clone();
        labels.extend(self.labels.clone());
        labels
    }
}

/// A taint of effect `NoSchedule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// How the hub reaches a cluster, for a short while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterAccess {
    /// The API's address.
    pub endpoint: String,
    /// Its certificate authority, PEM.
    pub ca_pem: String,
    /// What to present.
    pub bearer_token: Secret,
    /// How long it is taken, from now; shorter than the cloud's own limit.
    pub expires_in: Duration,
}

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The text, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pool_request;

    #[test]
    fn a_credential_is_never_printed() {
        let access = ClusterAccess {
            endpoint: "https://example.invalid".into(),
            ca_pem: String::new(),
            bearer_token: Secret::new("k8s-aws-v1.abc"),
            expires_in: Duration::from_secs(60),
        };
        assert!(!format!("{access:?}").contains("k8s-aws"));
        assert_eq!(access.bearer_token.reveal(), "k8s-aws-v1.abc");
    }

    #[test]
    fn the_pools_own_label_cannot_be_overridden() {
        let mut want = pool_request("acme", 1, "shared");
        want.labels.insert(label::POOL.into(), "another".into());
        want.template.labels.insert(label::POOL.into(), "another".into());
        assert_eq!(
            want.node_labels().get(label::POOL).map(String::as_str),
            Some(want.pool.as_str())
        );
        assert_eq!(want.taint().value, want.pool.as_str());
    }
}
