//! The nodes of a node group, as Node objects in its cluster.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, NodeSpec, NodeStatus, Taint},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    backend::BoxError,
    machines::{self, Machine},
    state::{Body, member, text},
};

const NODEGROUP: &str = "eks.amazonaws.com/nodegroup";

/// Makes the Node objects of a node group as many as it is to have: missing ones are made, the last ones go.
pub(super) async fn match_count(client: &Client, group: &Body, region: &str) -> Result<(), BoxError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let wanted = member(group, "scalingConfig")["desiredSize"]
        .as_u64()
        .unwrap_or_default();
    for index in 0..wanted {
        match nodes
            .create(&PostParams::default(), &node(group, region, index))
            .await
        {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    let keep: Vec<String> = (0..wanted).map(|index| name(group, region, index)).collect();
    remove(&nodes, group, |name| !keep.iter().any(|kept| kept == name)).await
}

/// Removes all of them.
pub(super) async fn remove_all(client: &Client, group: &Body) -> Result<(), BoxError> {
    remove(&Api::all(client.clone()), group, |_| true).await
}

async fn remove(nodes: &Api<Node>, group: &Body, leaves: impl Fn(&str) -> bool) -> Result<(), BoxError> {
    let ours = ListParams::default().labels(&format!("{NODEGROUP}={}", text(group, "nodegroupName")));
    for node in nodes.list(&ours).await? {
        let name = node.metadata.name.unwrap_or_default();
        if !leaves(&name) {
            continue;
        }
        match nodes.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn fingerprint(group: &Body, index: u64) -> [u8; 32] {
    Sha256::digest(format!("{}/{index}", text(group, "nodegroupArn"))).into()
}

fn name(group: &Body, region: &str, index: u64) -> String {
    let mark = fingerprint(group, index);
    format!(
        "ip-10-{}-{}-{}.{region}.compute.internal",
        mark[0], mark[1], mark[2]
    )
}

fn node(group: &Body, region: &str, index: u64) -> Node {
    let instance_type = member(group, "instanceTypes")[0].as_str().unwrap_or_default();
    let zone = format!(
        "{region}{}",
        ["a", "b", "c"][usize::try_from(index % 3).unwrap_or_default()]
    );
    let name = name(group, region, index);
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in group
        .get("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        labels.insert(key.clone(), value.as_str().unwrap_or_default().to_owned());
    }
    for (key, value) in [
        (NODEGROUP, text(group, "nodegroupName")),
        ("eks.amazonaws.com/capacityType", text(group, "capacityType")),
        ("node.kubernetes.io/instance-type", instance_type),
        ("topology.kubernetes.io/region", region),
        ("topology.kubernetes.io/zone", &zone),
        ("kubernetes.io/hostname", &name),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let taints = group
        .get("taints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(taint)
        .collect();
    let id = hex::encode(fingerprint(group, index));
    let machine = machines::machine(instance_type);
    Node {
        metadata: ObjectMeta {
            name: Some(name),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec {
            provider_id: Some(format!("aws:///{zone}/i-{}", &id[..17])),
            taints: Some(taints),
            ..NodeSpec::default()
        }),
        status: machine.map(|machine| NodeStatus {
            capacity: Some(room(&machine, machine.cpus * 1000, machine.memory_mib)),
            allocatable: Some(room(
                &machine,
                machine.allocatable_cpu_milli(),
                machine.allocatable_memory_mib(),
            )),
            ..NodeStatus::default()
        }),
    }
}

fn room(machine: &Machine, cpu_milli: u64, memory_mib: u64) -> BTreeMap<String, Quantity> {
    let mut room = BTreeMap::from([
        ("cpu".to_owned(), Quantity(format!("{cpu_milli}m"))),
        ("memory".to_owned(), Quantity(format!("{memory_mib}Mi"))),
        ("pods".to_owned(), Quantity(machine.pods.to_string())),
        ("ephemeral-storage".to_owned(), Quantity("80Gi".to_owned())),
    ]);
    if machine.gpus > 0 {
        room.insert("nvidia.com/gpu".to_owned(), Quantity(machine.gpus.to_string()));
    }
    room
}

/// EKS spells effects its own way.
fn taint(taint: &Value) -> Taint {
    let effect = match taint["effect"].as_str().unwrap_or_default() {
        "NO_EXECUTE" => "NoExecute",
        "PREFER_NO_SCHEDULE" => "PreferNoSchedule",
        _ => "NoSchedule",
    };
    Taint {
        key: taint["key"].as_str().unwrap_or_default().to_owned(),
        value: taint["value"].as_str().map(str::to_owned),
        effect: effect.to_owned(),
        time_added: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::eks::state::object;

    #[test]
    fn a_node_says_what_its_group_and_machine_say() {
        let group = object(json!({
            "nodegroupName": "pool-1", "nodegroupArn": "arn:pool-1", "capacityType": "ON_DEMAND",
            "instanceTypes": ["m5.xlarge"], "labels": {"berth.dev/pool": "acme"},
            "taints": [{"key": "berth.dev/pool", "value": "acme", "effect": "NO_SCHEDULE"}],
        }));
        let first = node(&group, "eu-central-1", 0);
        let labels = first.metadata.labels.unwrap();
        assert_eq!(labels["berth.dev/pool"], "acme");
        assert_eq!(labels[NODEGROUP], "pool-1");
        assert_eq!(labels["topology.kubernetes.io/zone"], "eu-central-1a");
        let spec = first.spec.unwrap();
        assert_eq!(spec.taints.unwrap()[0].effect, "NoSchedule");
        assert!(spec.provider_id.unwrap().starts_with("aws:///eu-central-1a/i-"));
        assert_eq!(first.status.unwrap().allocatable.unwrap()["cpu"].0, "3920m");
        assert_ne!(name(&group, "eu-central-1", 0), name(&group, "eu-central-1", 1));
    }
}
