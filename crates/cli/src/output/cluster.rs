//! Clusters.

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::{
    api::{capacity_from_proto, facts_from_proto},
    file::{API_VERSION, Tree},
};

use super::{
    Describe, Shown, age,
    describe::Description,
    short,
    table::{Cell, Column},
    tenant::condition_tree,
    time,
};
use crate::{
    exit::Failure,
    kinds::Kind,
    terminal::{Terminal, Tone},
};

impl Shown for v1::Cluster {
    const KIND: Kind = Kind::Cluster;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("STATUS"),
        Column::new("PROVIDER"),
        Column::new("REGION"),
        Column::new("VERSION"),
        Column::new("NODES"),
        Column::new("TENANTS"),
        Column::new("AGE"),
        Column::wide("CPU"),
        Column::wide("MEMORY"),
        Column::wide("PODS"),
        Column::wide("NETWORK-POLICY"),
        Column::wide("DEDICATED-TO"),
        Column::wide("AGENT"),
        Column::wide("LABELS"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let status = self.status.clone().unwrap_or_default();
        let known = status.facts.is_some();
        let facts = status.facts.unwrap_or_default();
        let reserved = status
            .reserved
            .as_ref()
            .map(capacity_from_proto)
            .unwrap_or_default();
        let capacity = facts
            .capacity
            .as_ref()
            .map(capacity_from_proto)
            .unwrap_or_default();
        let region = if self.region.is_empty() {
            facts.region
        } else {
            self.region.clone()
        };
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let nodes = if known {
            format!("{}/{}", facts.ready_nodes, facts.nodes)
        } else {
            String::new()
        };
        vec![
            Cell::new(self.name()),
            state(self),
            Cell::new(facts.provider),
            Cell::new(region),
            Cell::new(facts.kubernetes_version),
            Cell::new(nodes),
            Cell::new(status.tenants.to_string()),
            Cell::new(age::since(self.create_time.as_ref(), now)),
            Cell::new(format!("{}/{}", reserved.cpu, capacity.cpu)),
            Cell::new(format!("{}/{}", reserved.memory, capacity.memory)),
            Cell::new(format!("{}/{}", reserved.pods, capacity.pods)),
            Cell::new(facts.network_policy),
            Cell::new(&self.dedicated_to),
            Cell::new(status.agent_version),
            Cell::new(labels.join(",")),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let metadata = Tree::map()
            .text("name", &self.name())
            .some_text("uid", &self.uid)
            .some_text("etag", &self.etag)
            .with_some("createTime", time(self.create_time.as_ref()))
            .with_some("labels", self.labels.iter().collect());
        let spec = Tree::map()
            .some_text("region", &self.region)
            .some_text("cloudName", &self.cloud_name)
            .with("cordoned", Tree::Bool(self.cordoned))
            .with("awaitingAcceptance", Tree::Bool(self.awaiting_acceptance))
            .with_some("revokeTime", time(self.revoke_time.as_ref()))
            .some_text("revokeReason", &self.revoke_reason)
            .some_text("dedicatedTo", &self.dedicated_to);
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Cluster")
            .with("metadata", metadata)
            .with("spec", spec)
            .with("status", status(self)))
    }
}

impl Describe for v1::Cluster {
    fn describe(&self, terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        let status = self.status.clone().unwrap_or_default();
        let facts = status.facts.as_ref().map(facts_from_proto).unwrap_or_default();
        let reserved = status
            .reserved
            .as_ref()
            .map(capacity_from_proto)
            .unwrap_or_default();
        let capacity = facts.capacity;
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let pools: Vec<String> = facts
            .pools
            .iter()
            .map(|(name, pool)| format!("{name}: {} of {} nodes ready", pool.ready_nodes, pool.nodes))
            .collect();
        let evidence = status
            .evidence_time
            .as_ref()
            .map(|at| format!("{} old", age::since(Some(at), now)));
        let gaps: Vec<String> = self
            .accepted_gaps
            .iter()
            .map(|(gap, reason)| format!("{gap}: {reason}"))
            .collect();
        let room = |reserved: &dyn ToString, capacity: &dyn ToString| {
            format!("{} reserved of {}", reserved.to_string(), capacity.to_string())
        };
        Ok(Description::default()
            .field("Name", self.name())
            .field("UID", &self.uid)
            .field("Age", age::since(self.create_time.as_ref(), now))
            .field("Labels", labels.join(", "))
            .field(
                "Cordoned",
                if self.cordoned {
                    "yes: no new tenants"
                } else {
                    "no"
                },
            )
            .field(
                "Accepted",
                if self.awaiting_acceptance {
                    "no: it takes no tenants before berth accept cluster"
                } else {
                    ""
                },
            )
            .field("Revoked", &self.revoke_reason)
            .field("Dedicated to", &self.dedicated_to)
            .field(
                "Region",
                if self.region.is_empty() {
                    &facts.region
                } else {
                    &self.region
                },
            )
            .field("Name in the cloud", &self.cloud_name)
            .field("Kubernetes", facts.kubernetes_version)
            .field("API", facts.api_url)
            .field("Agent", status.agent_version)
            .field("Evidence", evidence.unwrap_or_default())
            .field("Tenants", status.tenants.to_string())
            .field("Nodes", format!("{} of {} ready", facts.ready_nodes, facts.nodes))
            .field("CPU", room(&reserved.cpu, &capacity.cpu))
            .field("Memory", room(&reserved.memory, &capacity.memory))
            .field("Pods", room(&reserved.pods, &capacity.pods))
            .field("Network policies", facts.network_policy.as_str())
            .field(
                "Admission policies",
                if facts.validating_admission_policy {
                    "served"
                } else {
                    "not served"
                },
            )
            .lines("Accepted gaps", &gaps)
            .conditions(terminal, &status.conditions, now)
            .lines("Node pools", &pools)
            .finish())
    }
}

/// As `kubectl get nodes` has it: Ready, NotReady or Unknown, and Cordoned.
fn state(cluster: &v1::Cluster) -> Cell {
    let conditions = cluster
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.r#type == "Ready");
    let (text, tone) = match ready.map(|ready| ready.status.as_str()) {
        Some("True") => ("Ready", Tone::Good),
        Some("False") => ("NotReady", Tone::Bad),
        _ => ("Unknown", Tone::Unsure),
    };
    if cluster.revoke_time.is_some() {
        return Cell::toned("Revoked", Tone::Bad);
    }
    if cluster.awaiting_acceptance {
        return Cell::toned(format!("{text},AwaitingAcceptance"), Tone::Unsure);
    }
    let stopped = conditions
        .iter()
        .any(|condition| condition.r#type == "BreakerOpen" && condition.status == "True");
    if stopped {
        let cordoned = if cluster.cordoned { ",Cordoned" } else { "" };
        Cell::toned(format!("{text}{cordoned},BreakerOpen"), Tone::Bad)
    } else if cluster.cordoned {
        Cell::toned(format!("{text},Cordoned"), Tone::Unsure)
    } else {
        Cell::toned(text, tone)
    }
}

fn status(cluster: &v1::Cluster) -> Tree {
    let status = cluster.status.clone().unwrap_or_default();
    let facts = status.facts.as_ref().map_or(Tree::Null, |facts| {
        let pools: Tree = facts
            .pools
            .iter()
            .map(|(name, pool)| {
                let tree = Tree::map()
                    .number("nodes", pool.nodes)
                    .number("readyNodes", pool.ready_nodes)
                    .with_some("capacity", capacity(pool.capacity.as_ref()));
                (name, tree)
            })
            .collect();
        Tree::map()
            .some_text("kubernetesUid", &facts.kubernetes_uid)
            .some_text("kubernetesVersion", &facts.kubernetes_version)
            .some_text("apiUrl", &facts.api_url)
            .some_text("apiCaPem", &facts.api_ca_pem)
            .number("nodes", facts.nodes)
            .number("readyNodes", facts.ready_nodes)
            .with_some("capacity", capacity(facts.capacity.as_ref()))
            .with_some("pools", pools)
            .number("namespaces", facts.namespaces)
            .some_text("provider", &facts.provider)
            .some_text("region", &facts.region)
            .some_text("networkPolicy", &facts.network_policy)
            .with(
                "validatingAdmissionPolicy",
                Tree::Bool(facts.validating_admission_policy),
            )
            .with(
                "mutatingAdmissionPolicy",
                Tree::Bool(facts.mutating_admission_policy),
            )
            .with("istio", Tree::Bool(facts.istio))
    });
    Tree::map()
        .with_some(
            "conditions",
            Tree::List(status.conditions.iter().map(condition_tree).collect()),
        )
        .with_some("facts", facts)
        .number("tenants", status.tenants)
        .with_some("reserved", capacity(status.reserved.as_ref()))
        .with_some("evidenceTime", time(status.evidence_time.as_ref()))
        .some_text("agentVersion", &status.agent_version)
}

fn capacity(capacity: Option<&v1::Capacity>) -> Tree {
    capacity.map(capacity_from_proto).map_or(Tree::Null, |capacity| {
        Tree::map()
            .text("cpu", &capacity.cpu.to_string())
            .text("memory", &capacity.memory.to_string())
            .number("pods", capacity.pods)
    })
}
