//! Names in EKS: at most 100 characters for clusters and 63 for node groups, of letters, digits and `-`.

use berth_provision::{ClusterRequest, NodePoolRequest};

const CLUSTER_LENGTH: usize = 100;
const NODEGROUP_LENGTH: usize = 63;

/// Steps of making; each has its own names and idempotency tokens.
pub(crate) mod step {
    pub(crate) const CLUSTER: &str = "cluster";
    pub(crate) const CLUSTER_NODES: &str = "cluster-nodes";
    pub(crate) const CLOSE_ENDPOINT: &str = "close-endpoint";
    pub(crate) const ADMIT_HUB: &str = "admit-hub";
    pub(crate) const POOL: &str = "pool";
}

/// The EKS name of a cluster made for a tenant.
pub(crate) fn cluster(want: &ClusterRequest) -> String {
    want.origin
        .name(step::CLUSTER, &format!("berth-{}", want.cluster), CLUSTER_LENGTH)
}

/// The EKS name of that cluster's own node group.
pub(crate) fn cluster_nodes(want: &ClusterRequest) -> String {
    want.origin.name(step::CLUSTER_NODES, "nodes", NODEGROUP_LENGTH)
}

/// The EKS name of the node group behind a tenant's node pool.
pub(crate) fn pool(want: &NodePoolRequest) -> String {
    want.origin
        .name(step::POOL, &format!("berth-{}", want.pool), NODEGROUP_LENGTH)
}

#[cfg(test)]
mod tests {
    use berth_model::{ClusterName, PoolName};
    use berth_provision::testing::{cluster_request, pool_request};

    use super::*;

    #[test]
    fn the_longest_names_of_a_fleet_fit_into_eks() {
        let mut want = cluster_request("acme", 1);
        want.cluster = ClusterName::new("c".repeat(63)).unwrap();
        let mut tenants_pool = pool_request("acme", 1, "shared");
        tenants_pool.pool = PoolName::new("p".repeat(63)).unwrap();
        assert!(cluster(&want).len() <= 100);
        assert_eq!(pool(&tenants_pool).len(), 63);
        assert!(cluster(&want).starts_with("berth-ccc"), "{}", cluster(&want));
    }

    #[test]
    fn a_cut_name_is_still_unique_to_its_tenant() {
        let long = |tenant: &str| {
            let mut want = pool_request(tenant, 1, "shared");
            want.pool = PoolName::new("p".repeat(63)).unwrap();
            pool(&want)
        };
        assert_ne!(long("acme"), long("beta"));
    }
}
