//! The provisioner of a hub without a cloud account.

use async_trait::async_trait;
use berth_model::{ClusterInfra, NodePoolInfra, Observed, infra::TroubleClass};

use crate::{ClusterAccess, ClusterRequest, Failure, NodePoolRequest, Provisioner};

/// Refuses everything, releasing too: a hub that lost its cloud account must not take what it once made for gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCloud;

impl NoCloud {
    fn refuse(what: &str) -> Failure {
        Failure::new(
            TroubleClass::Operator,
            "NoCloud",
            format!("cannot make {what}: this hub has no cloud account; add one to its configuration"),
        )
    }
}

#[async_trait]
impl Provisioner for NoCloud {
    async fn ensure_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        Err(Self::refuse(&format!("cluster {}", want.cluster)))
    }

    async fn ensure_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        Err(Self::refuse(&format!(
            "node pool {} in cluster {}",
            want.pool, want.cluster
        )))
    }

    async fn release_cluster(&self, want: &ClusterRequest) -> Result<Observed<ClusterInfra>, Failure> {
        Err(Self::refuse(&format!(
            "sure that cluster {} is gone",
            want.cluster
        )))
    }

    async fn release_node_pool(&self, want: &NodePoolRequest) -> Result<Observed<NodePoolInfra>, Failure> {
        Err(Self::refuse(&format!(
            "sure that node pool {} in cluster {} is gone",
            want.pool, want.cluster
        )))
    }

    async fn cluster_access(&self, want: &ClusterRequest) -> Result<ClusterAccess, Failure> {
        Err(Self::refuse(&format!(
            "a credential for cluster {}",
            want.cluster
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cluster_request, pool_request};

    #[tokio::test]
    async fn a_hub_without_a_cloud_asks_for_an_operator() {
        let cluster = NoCloud
            .ensure_cluster(&cluster_request("acme", 1))
            .await
            .unwrap_err();
        let pool = NoCloud
            .ensure_node_pool(&pool_request("acme", 1, "shared"))
            .await
            .unwrap_err();
        for failure in [cluster, pool] {
            assert_eq!(failure.class(), TroubleClass::Operator);
            assert_eq!(failure.trouble.code, "NoCloud");
        }
    }

    #[tokio::test]
    async fn a_hub_that_lost_its_cloud_account_does_not_call_its_infrastructure_gone() {
        assert!(
            NoCloud
                .release_cluster(&cluster_request("acme", 1))
                .await
                .is_err()
        );
        assert!(
            NoCloud
                .release_node_pool(&pool_request("acme", 1, "shared"))
                .await
                .is_err()
        );
    }
}
