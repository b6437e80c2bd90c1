//! Nodes that are only objects: the real scheduler places pods on them, and kwok says that they run.

use http::Method;
use kube::Client;
use serde_json::{Value, json};

use super::{ask, create, until, walls::made};

pub(crate) async fn get(client: &Client, path: &str) -> Value {
    ask(client, Method::GET, path, None).await.1
}

/// A Ready node with so many CPUs, of a pool or for everybody.
pub(crate) async fn node(client: &Client, name: &str, pool: Option<&str>, cpus: &str) {
    let mut node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": cpus, "memory": "64Gi", "pods": "110"},
            "capacity": {"cpu": cpus, "memory": "64Gi", "pods": "110"}}});
    let taints = pool.map_or(json!([]), |pool| {
        node["metadata"]["labels"]["berth.dev/pool"] = json!(pool);
        json!([{"key": "berth.dev/pool", "value": pool, "effect": "NoSchedule"}])
    });
    node["spec"] = json!({"taints": taints});
    made("a node", &create(client, &node).await);
    let path = format!("/api/v1/nodes/{name}");
    until("the node is ready", async || {
        let node = get(client, &path).await;
        let conditions = node["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    })
    .await;
    until("the node takes pods", async || {
        let node = get(client, &path).await;
        let left = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        left.iter().all(|taint| taint["key"] == "berth.dev/pool")
    })
    .await;
}
