//! The ordinary nodes of a shared cluster: for everybody's pods, without taints, looking like EKS's.

use k8s_openapi::api::core::v1::Node;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use super::SharedCluster;
use crate::eks::BoxError;

/// What a node has for pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPUs.
    pub cpus: u32,
    /// Memory.
    pub memory_gib: u32,
    /// Pods.
    pub pods: u32,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: 16,
            memory_gib: 64,
            pods: 200,
        }
    }
}

/// Makes the nodes; those that exist stay as they are.
pub(super) async fn make(client: &Client, cluster: &SharedCluster) -> Result<(), BoxError> {
    let nodes = Api::<Node>::all(client.clone());
    for number in 0..cluster.nodes {
        match nodes
            .create(&PostParams::default(), &node(cluster, number)?)
            .await
        {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn node(cluster: &SharedCluster, number: u32) -> Result<Node, serde_json::Error> {
    let name = format!("{}-shared-{number}", cluster.name);
    let zone = format!(
        "{}{}",
        cluster.region,
        if number.is_multiple_of(2) { "a" } else { "b" }
    );
    let amounts = json!({
        "cpu": cluster.machine.cpus.to_string(),
        "memory": format!("{}Gi", cluster.machine.memory_gib),
        "pods": cluster.machine.pods.to_string(),
        "ephemeral-storage": "100Gi",
    });
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": "m5.4xlarge",
            "eks.amazonaws.com/nodegroup": "shared",
            "eks.amazonaws.com/capacityType": "ON_DEMAND",
            "topology.kubernetes.io/region": cluster.region,
            "topology.kubernetes.io/zone": zone,
        }},
        "spec": {"providerID": format!("aws:///{zone}/i-{:017x}", 0x0a11_ce00_u64 + u64::from(number))},
        "status": {"capacity": amounts, "allocatable": amounts},
    }))
}
