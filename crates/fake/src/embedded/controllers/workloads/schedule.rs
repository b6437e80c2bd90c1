//! Where a pod can go: node selectors, required affinity to nodes, taints, and the room a node says it has.

use serde_json::Value;

use super::pod::request;
use crate::embedded::api::selector::matches_selector;
use crate::embedded::kinds;
use crate::embedded::object::{list, strings, text};
use crate::embedded::shape::Quantity;
use crate::embedded::store::Store;

/// Where a pod goes.
pub(super) enum Placement {
    Node(String),
    Nowhere(String),
}

/// Finds the first node that takes the pod, in name order with the fewest pods first.
pub(super) fn place(store: &Store, pod: &Value) -> Placement {
    let nodes: Vec<Value> = store.list(kinds::node(), "", None).map(|s| s.value()).collect();
    let (mut unmatched, mut tainted, mut full) = (0, 0, 0);
    let mut best: Option<(usize, &str)> = None;
    let pods: Vec<Value> = store.list(kinds::pod(), "", None).map(|s| s.value()).collect();
    for node in &nodes {
        if !wants(pod, node) {
            unmatched += 1;
        } else if !tolerates(pod, node) {
            tainted += 1;
        } else {
            let here: Vec<&Value> = pods
                .iter()
                .filter(|p| p["spec"]["nodeName"] == node["metadata"]["name"])
                .filter(|p| !matches!(text(p, &["status", "phase"]), "Succeeded" | "Failed"))
                .collect();
            if fits(pod, node, &here) {
                let candidate = (here.len(), text(node, &["metadata", "name"]));
                best = Some(best.map_or(candidate, |b| b.min(candidate)));
            } else {
                full += 1;
            }
        }
    }
    if let Some((_, name)) = best {
        return Placement::Node(name.to_owned());
    }
    let mut reasons = Vec::new();
    for (count, why) in [
        (full, "Insufficient resources"),
        (tainted, "node(s) had untolerated taint(s)"),
        (unmatched, "node(s) didn't match Pod's node affinity/selector"),
    ] {
        if count > 0 {
            reasons.push(format!("{count} {why}"));
        }
    }
    Placement::Nowhere(format!(
        "0/{} nodes are available: {}.",
        nodes.len(),
        reasons.join(", ")
    ))
}

/// Whether the pod may be on the node by selector and required affinity.
pub(super) fn wants(pod: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selected = strings(&pod["spec"]["nodeSelector"]).all(|(k, v)| labels[k] == v);
    let path = [
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    ];
    let terms = list(pod, &path);
    selected && (terms.is_empty() || terms.iter().any(|term| matches_selector(term, labels)))
}

/// Whether the pod tolerates every taint of the node that keeps pods out.
pub(super) fn tolerates(pod: &Value, node: &Value) -> bool {
    let unschedulable = node["spec"]["unschedulable"] == true;
    let tolerations = list(pod, &["spec", "tolerations"]);
    let tolerated = |key: &str, value: &str, effect: &str| {
        tolerations.iter().any(|t| {
            let effect_fits = matches!(text(t, &["effect"]), "") || text(t, &["effect"]) == effect;
            let exists = text(t, &["operator"]) == "Exists";
            let key_fits = text(t, &["key"]) == key || (exists && text(t, &["key"]).is_empty());
            effect_fits && key_fits && (exists || text(t, &["value"]) == value)
        })
    };
    let taints = list(node, &["spec", "taints"]).iter();
    let barred = taints
        .filter(|t| matches!(text(t, &["effect"]), "NoSchedule" | "NoExecute"))
        .any(|t| !tolerated(text(t, &["key"]), text(t, &["value"]), text(t, &["effect"])));
    let cordoned = unschedulable && !tolerated("node.kubernetes.io/unschedulable", "", "NoSchedule");
    !barred && !cordoned
}

fn fits(pod: &Value, node: &Value, here: &[&Value]) -> bool {
    let room = |resource: &str| {
        node["status"]["allocatable"][resource]
            .as_str()
            .and_then(Quantity::parse)
    };
    let amounts = ["cpu", "memory"].iter().all(|resource| {
        room(resource).is_none_or(|room| {
            let taken = here
                .iter()
                .map(|p| request(p, resource))
                .fold(request(pod, resource), Quantity::plus);
            !taken.exceeds(room)
        })
    });
    amounts && room("pods").is_none_or(|room| !Quantity::count(here.len() + 1).exceeds(room))
}
