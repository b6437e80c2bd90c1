//! Whether network policies do anything, by the plug-ins that are known. Pure.

use berth_model::NetworkPolicyEnforcement;
use serde::Deserialize;
use serde_json::Value;

/// DaemonSets that enforce network policies whenever they run.
const ENFORCING: [&str; 7] = [
    "calico-node",
    "cilium",
    "antrea-agent",
    "weave-net",
    "kube-router",
    "azure-npm",
    "kube-network-policies",
];
/// DaemonSets that connect pods and leave policies alone.
const NOT_ENFORCING: [&str; 3] = ["kube-flannel-ds", "kindnet", "kube-flannel"];

#[derive(Deserialize)]
pub(super) struct DaemonSets {
    #[serde(default, deserialize_with = "crate::request::or_empty")]
    items: Vec<DaemonSet>,
}

#[derive(Deserialize)]
struct DaemonSet {
    metadata: Named,
    #[serde(default)]
    spec: Value,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

pub(super) fn enforcement(found: &DaemonSets) -> NetworkPolicyEnforcement {
    let runs = |names: &[&str]| {
        found
            .items
            .iter()
            .any(|set| names.contains(&set.metadata.name.as_str()))
    };
    let vpc = found.items.iter().find(|set| set.metadata.name == "aws-node");
    if runs(&ENFORCING) || vpc.is_some_and(switched_on) {
        NetworkPolicyEnforcement::Enforced
    } else if vpc.is_some() || runs(&NOT_ENFORCING) {
        NetworkPolicyEnforcement::NotEnforced
    } else {
        NetworkPolicyEnforcement::Unknown
    }
}

/// The EKS VPC CNI enforces policies only when its node agent is told to.
fn switched_on(set: &DaemonSet) -> bool {
    let containers = set
        .spec
        .pointer("/template/spec/containers")
        .and_then(Value::as_array);
    let arguments = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("args")?.as_array());
    arguments
        .flatten()
        .any(|argument| argument.as_str() == Some("--enable-network-policy=true"))
}

#[cfg(test)]
mod tests {
    use NetworkPolicyEnforcement::{Enforced, NotEnforced, Unknown};
    use serde_json::json;

    use super::*;

    #[test]
    fn known_plug_ins_say_whether_policies_are_enforced() {
        let vpc = |on: &str| json!({ "template": { "spec": { "containers": [{}, { "args": ["--x", format!("--enable-network-policy={on}")] }] } } });
        let cases = [
            (vec![], Unknown),
            (vec![("something-else", json!({}))], Unknown),
            (vec![("calico-node", json!({}))], Enforced),
            (vec![("kube-flannel-ds", json!({}))], NotEnforced),
            (vec![("aws-node", vpc("false"))], NotEnforced),
            (vec![("aws-node", vpc("true"))], Enforced),
            (
                vec![("aws-node", vpc("false")), ("calico-node", json!({}))],
                Enforced,
            ),
        ];
        for (sets, expected) in cases {
            let items: Vec<_> = sets
                .iter()
                .map(|(name, spec)| json!({ "metadata": { "name": name }, "spec": spec }))
                .collect();
            let found = serde_json::from_value(json!({ "items": items })).unwrap();
            assert_eq!(enforcement(&found), expected, "{sets:?}");
        }
    }
}
