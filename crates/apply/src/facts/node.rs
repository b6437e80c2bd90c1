//! Nodes, and what they say together. Pure but for the place they are kept in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use berth_model::{Bytes, Capacity, ClusterFacts, MilliCpu, Provider, Quantity, label};
use serde::Deserialize;
use tokio::sync::watch;

use crate::request::Metadata;

/// A node on the wire.
#[derive(Deserialize)]
pub(crate) struct Wire {
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(rename = "providerID")]
    provider_id: String,
    unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Deserialize)]
struct Taint {
    effect: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    allocatable: BTreeMap<String, String>,
    conditions: Vec<Condition>,
    #[serde(rename = "nodeInfo")]
    node_info: NodeInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeInfo {
    container_runtime_version: String,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

/// What is kept of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    ready: bool,
    /// Anybody's pods may go there.
    open: bool,
    pool: Option<Box<str>>,
    region: Box<str>,
    eks: bool,
    /// It names a container runtime (`containerd://2.1`); nodes that are only played name none.
    runs_containers: bool,
    capacity: Capacity,
}

pub(super) struct Nodes {
    nodes: Mutex<BTreeMap<String, Node>>,
    looked: watch::Sender<bool>,
    changed: watch::Sender<u64>,
}

impl Node {
    fn read(wire: &Wire) -> Self {
        let amount = |name: &str| {
            wire.status
                .allocatable
                .get(name)
                .and_then(|text| text.parse::<Quantity>().ok())
        };
        let keeps_away = |taint: &Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
        let eks_label = wire
            .metadata
            .labels
            .keys()
            .any(|key| key.starts_with("eks.amazonaws.com/"));
        Self {
            ready: wire
                .status
                .conditions
                .iter()
                .any(|c| c.r#type == "Ready" && c.status == "True"),
            open: !wire.spec.unschedulable && !wire.spec.taints.iter().any(keeps_away),
            pool: wire.metadata.label(label::POOL).map(Into::into),
            region: wire
                .metadata
                .label("topology.kubernetes.io/region")
                .unwrap_or("")
                .into(),
            // Both: other clusters run on the same machines too.
            eks: eks_label && wire.spec.provider_id.starts_with("aws:///"),
            runs_containers: wire.status.node_info.container_runtime_version.contains("://"),
            capacity: Capacity {
                cpu: amount("cpu").map_or(MilliCpu(0), |cpu| cpu.milli_cpu()),
                memory: amount("memory").map_or(Bytes(0), |memory| memory.bytes()),
                pods: amount("pods").map_or(0, |pods| pods.count()),
            },
        }
    }
}

impl Nodes {
    pub(super) fn new() -> Self {
        Self {
            nodes: Mutex::default(),
            looked: watch::Sender::new(false),
            changed: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, wire: &Wire) {
        let node = Node::read(wire);
        // A node says that it lives every few seconds; only what is kept of it is news.
        let news = self
            .lock()
            .insert(wire.metadata.name.clone(), node.clone())
            .as_ref()
            != Some(&node);
        self.tell(news);
    }

    pub(super) fn remove(&self, name: &str) {
        let news = self.lock().remove(name).is_some();
        self.tell(news);
    }

    pub(super) fn keep_only(&self, present: &BTreeSet<String>) {
        let news = {
            let mut nodes = self.lock();
            let before = nodes.len();
            nodes.retain(|name, _| present.contains(name));
            nodes.len() != before
        };
        self.looked.send_replace(true);
        self.tell(news);
    }

    fn tell(&self, news: bool) {
        if news {
            self.changed.send_modify(|changed| *changed += 1);
        }
    }

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Returns once all nodes were looked at. `false` when that cannot come about any more.
    pub(super) async fn looked(&self) -> bool {
        self.looked.subscribe().wait_for(|looked| *looked).await.is_ok()
    }

    /// Whether any Ready node runs containers.
    pub(super) fn run_containers(&self) -> bool {
        self.lock()
            .values()
            .any(|node| node.ready && node.runs_containers)
    }

    /// What the nodes say together.
    pub(super) fn facts(&self) -> ClusterFacts {
        let mut facts = ClusterFacts::default();
        for node in self.lock().values() {
            facts.nodes += 1;
            facts.ready_nodes += u32::from(node.ready);
            if node.ready && node.open && node.pool.is_none() {
                facts.capacity = facts.capacity.plus(node.capacity);
            }
            if let Some(pool) = &node.pool {
                let pool = facts.pools.entry(pool.to_string()).or_default();
                pool.nodes += 1;
                pool.ready_nodes += u32::from(node.ready);
                if node.ready {
                    pool.capacity = pool.capacity.plus(node.capacity);
                }
            }
            if node.eks {
                facts.provider = Provider::Eks;
            }
            if facts.region.is_empty() {
                facts.region = node.region.to_string();
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, labels: Value, spec: Value, ready: &str) -> Wire {
        serde_json::from_value(json!({
            "metadata": { "name": name, "labels": labels },
            "spec": spec,
            "status": {
                "allocatable": { "cpu": "3920m", "memory": "4Gi", "pods": "110" },
                "conditions": [{ "type": "Ready", "status": ready }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_ready_open_nodes_without_a_pool_are_shared_capacity() {
        let nodes = Nodes::new();
        let taint = json!({ "taints": [{ "key": "k", "effect": "NoSchedule" }] });
        nodes.put(&node(
            "open",
            json!({ "topology.kubernetes.io/region": "eu-west-1" }),
            json!({}),
            "True",
        ));
        nodes.put(&node("not-ready", json!({}), json!({}), "False"));
        nodes.put(&node(
            "cordoned",
            json!({}),
            json!({ "unschedulable": true }),
            "True",
        ));
        nodes.put(&node("tainted", json!({}), taint.clone(), "True"));
        nodes.put(&node("pooled", json!({ "berth.dev/pool": "p" }), taint, "True"));
        let facts = nodes.facts();
        assert_eq!((facts.nodes, facts.ready_nodes), (5, 4));
        assert_eq!(
            facts.capacity,
            Capacity {
                cpu: MilliCpu(3920),
                memory: Bytes(4 << 30),
                pods: 110
            }
        );
        assert_eq!(facts.pools["p"].ready_nodes, 1);
        assert_eq!(facts.pools["p"].capacity.pods, 110);
        assert_eq!(facts.region, "eu-west-1");
        assert_eq!(facts.provider, Provider::Generic);
    }

    #[test]
    fn eks_is_known_by_its_labels_on_amazon_machines() {
        let nodes = Nodes::new();
        let spec = json!({ "providerID": "aws:///eu-west-1a/i-1" });
        nodes.put(&node("own", json!({}), spec.clone(), "True"));
        assert_eq!(nodes.facts().provider, Provider::Generic);
        nodes.put(&node(
            "eks",
            json!({ "eks.amazonaws.com/nodegroup": "g" }),
            spec,
            "True",
        ));
        assert_eq!(nodes.facts().provider, Provider::Eks);
    }

    #[test]
    fn a_heartbeat_is_no_news() {
        let nodes = Nodes::new();
        nodes.put(&node("a", json!({}), json!({}), "True"));
        let mut changed = nodes.changed();
        nodes.put(&node("a", json!({}), json!({}), "True"));
        assert!(!changed.has_changed().unwrap());
        nodes.put(&node("a", json!({}), json!({}), "False"));
        assert!(changed.has_changed().unwrap());
        changed.borrow_and_update();
        nodes.keep_only(&BTreeSet::new());
        assert!(changed.has_changed().unwrap());
    }
}
