//! What every provisioner must do, as one suite over whatever cloud a [`Rig`] puts behind it.
//!
//! The suite knows the seam only. It panics with the rule that was broken.

mod making;
mod removing;
mod trouble;

use std::{collections::BTreeMap, future::Future, sync::Arc};

use async_trait::async_trait;
use berth_model::{
    ClusterInfra, ClusterName, FleetId, NodePoolInfra, Observed, PoolName, TenantId, Uid,
    tier::{Bootstrap, CapacityType, ClusterTemplate, NodePoolTemplate},
};

use crate::{ClusterRequest, NodePoolRequest, Origin, Provisioner};

/// What goes wrong on the next call that makes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done, and its answer is lost.
    LostAnswer,
    /// The cloud is asked too often.
    Throttled,
    /// The cloud is broken for a moment.
    ServerDown,
    /// The account's quota is used up.
    Quota,
    /// The account may not.
    Denied,
    /// What is made turns out broken: for a cluster, its nodes.
    Broken {
        /// The cloud's code.
        code: &'static str,
        /// The cloud's words.
        message: &'static str,
        /// Whether making it anew may help.
        replaceable: bool,
    },
}

/// How many there are in the cloud, whoever made them, without the rig's own shared cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Clusters.
    pub clusters: usize,
    /// Node pools, those of clusters made for tenants included where the cloud has them apart.
    pub pools: usize,
}

/// A cloud with a provisioner in front of it, and hands behind it.
#[async_trait]
pub trait Rig: Send + Sync {
    /// A new instance, as after a restart of the hub.
    fn provisioner(&self) -> Arc<dyn Provisioner>;
    /// Queues a fault.
    async fn inject(&self, fault: Fault);
    /// Lets pass the time the cloud needs to finish everything under way.
    async fn settle(&self);
    /// Makes everything in the cloud look as if another fleet had made it.
    async fn disown(&self);
    /// Counts.
    async fn census(&self) -> Census;
    /// Name in the cloud of a cluster somebody else made, for node pools.
    async fn shared_cluster(&self) -> String;
}

/// Runs the suite; every rule gets a rig of its own.
///
/// # Panics
/// With the rule that was broken.
pub async fn conformance<R, F>(rig: impl Fn() -> F)
where
    R: Rig,
    F: Future<Output = R>,
{
    making::asking_again_finds_the_same_cluster(&rig().await).await;
    making::asking_again_finds_the_same_node_pool(&rig().await).await;
    making::a_cluster_becomes_active_with_an_address(&rig().await).await;
    making::a_hub_that_died_between_two_calls_finds_its_work(&rig().await).await;
    making::the_next_attempt_is_another_object(&rig().await).await;
    making::several_hubs_make_one(&rig().await).await;
    trouble::foreign_tags_stop_the_work(&rig().await).await;
    trouble::broken_nodes_are_reported_in_the_clouds_own_words(&rig().await).await;
    trouble::every_failure_says_whose_turn_it_is(&rig().await).await;
    removing::releasing_ends_at_absent_and_stays_there(&rig().await).await;
    removing::a_lost_answer_to_a_release_loses_nothing(&rig().await).await;
    removing::what_never_was_is_absent(&rig().await).await;
    removing::what_is_still_being_made_can_be_released(&rig().await).await;
    removing::a_broken_cluster_can_be_released(&rig().await).await;
}

/// Most looks a rule takes before it says that the cloud never ends.
const PATIENCE: usize = 50;

async fn cluster_until(
    rig: &impl Rig,
    want: &ClusterRequest,
    done: impl Fn(&Observed<ClusterInfra>) -> bool,
) -> Observed<ClusterInfra> {
    for _ in 0..PATIENCE {
        let seen = rig
            .provisioner()
            .ensure_cluster(want)
            .await
            .unwrap_or_else(|e| panic!("ensure a cluster: {e}"));
        if done(&seen) {
            return seen;
        }
        rig.settle().await;
    }
    panic!("cluster {} never got there in {PATIENCE} looks", want.cluster);
}

async fn pool_until(
    rig: &impl Rig,
    want: &NodePoolRequest,
    done: impl Fn(&Observed<NodePoolInfra>) -> bool,
) -> Observed<NodePoolInfra> {
    for _ in 0..PATIENCE {
        let seen = rig
            .provisioner()
            .ensure_node_pool(want)
            .await
            .unwrap_or_else(|e| panic!("ensure a pool: {e}"));
        if done(&seen) {
            return seen;
        }
        rig.settle().await;
    }
    panic!("node pool {} never got there in {PATIENCE} looks", want.pool);
}

fn origin(tenant: &str, attempt: u32) -> Origin {
    Origin {
        fleet: FleetId::new("fleet-1").unwrap_or_else(|e| panic!("{e}")),
        tenant: TenantId::new(tenant).unwrap_or_else(|e| panic!("{e}")),
        uid: Uid::new(format!("uid-{tenant}")).unwrap_or_else(|e| panic!("{e}")),
        attempt,
    }
}

/// A usual node pool template.
#[must_use]
pub fn node_pool_template() -> NodePoolTemplate {
    NodePoolTemplate {
        instance_types: vec!["m5.xlarge".to_owned()],
        capacity_type: CapacityType::OnDemand,
        disk_gib: 100,
        min_nodes: 3,
        max_nodes: 20,
        desired_nodes: 3,
        labels: BTreeMap::from([("workload".to_owned(), "data-processing".to_owned())]),
    }
}

/// A usual request for a cluster.
///
/// # Panics
/// When `tenant` is no tenant id.
#[must_use]
pub fn cluster_request(tenant: &str, attempt: u32) -> ClusterRequest {
    ClusterRequest {
        origin: origin(tenant, attempt),
        cluster: ClusterName::new(tenant).unwrap_or_else(|e| panic!("{e}")),
        region: String::new(),
        template: ClusterTemplate {
            kubernetes_version: "1.33".to_owned(),
            private_endpoint: true,
            bootstrap: Bootstrap::Direct,
            public_access_cidrs: Vec::new(),
            logging: vec!["api".to_owned(), "audit".to_owned(), "authenticator".to_owned()],
            tags: BTreeMap::from([("team".to_owned(), "data".to_owned())]),
            nodes: node_pool_template(),
        },
        labels: BTreeMap::new(),
        tags: BTreeMap::new(),
        agent_connected: false,
    }
}

/// A usual request for a node pool in the cluster that is called `cloud_cluster` in the cloud.
///
/// # Panics
/// When `tenant` is no tenant id.
#[must_use]
pub fn pool_request(tenant: &str, attempt: u32, cloud_cluster: &str) -> NodePoolRequest {
    NodePoolRequest {
        origin: origin(tenant, attempt),
        cluster: ClusterName::new("shared-1").unwrap_or_else(|e| panic!("{e}")),
        cloud_cluster: cloud_cluster.to_owned(),
        region: String::new(),
        pool: PoolName::new(tenant).unwrap_or_else(|e| panic!("{e}")),
        template: node_pool_template(),
        labels: BTreeMap::new(),
        tags: BTreeMap::new(),
    }
}
