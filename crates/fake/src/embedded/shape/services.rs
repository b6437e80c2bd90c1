//! Services: the addresses and ports a cluster hands out, kept over updates and taken back when the type no longer has them.

use serde_json::{Map, Value, json};

use crate::embedded::object::{child, default, list, root, text};

/// Gives a service what it needs and was not given.
pub(super) fn addresses(object: &mut Value, serial: u64) {
    default(child(object, "status"), "loadBalancer", json!({}));
    let spec = child(object, "spec");
    if spec["type"] == "ExternalName" {
        return;
    }
    if spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .is_empty()
    {
        let address = format!(
            "10.{}.{}.{}",
            96 + (serial >> 16) % 16,
            (serial >> 8) % 256,
            serial % 254 + 1
        );
        spec.insert("clusterIP".into(), address.into());
    }
    let address = spec["clusterIP"].clone();
    default(spec, "clusterIPs", json!([address]));
    default(spec, "ipFamilies", json!(["IPv4"]));
    default(spec, "ipFamilyPolicy", "SingleStack");
    if !is_outside(spec) {
        return;
    }
    for (index, port) in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .enumerate()
    {
        default(root(port), "nodePort", 30000 + (serial * 7 + index as u64) % 2768);
    }
}

/// Whether nodes open ports for it.
fn is_outside(spec: &Map<String, Value>) -> bool {
    matches!(
        spec.get("type").and_then(Value::as_str),
        Some("NodePort" | "LoadBalancer")
    )
}

/// Prepares a new version of a service.
pub(super) fn update(object: &mut Value, old: &Value, serial: u64) {
    let had_address = old["spec"]["type"] != "ExternalName";
    let was_outside = matches!(text(old, &["spec", "type"]), "NodePort" | "LoadBalancer");
    let old_ports = list(old, &["spec", "ports"]);
    let spec = child(object, "spec");
    let has_address = spec["type"] != "ExternalName";
    let outside = is_outside(spec);
    if had_address && has_address {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(value) = old["spec"].get(key) {
                default(spec, key, value.clone());
            }
        }
    }
    if was_outside && outside {
        for port in spec
            .get_mut("ports")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let same = old_ports
                .iter()
                .find(|o| o["port"] == port["port"] && o["protocol"] == port["protocol"]);
            if let Some(number) = same.and_then(|o| o.get("nodePort")) {
                default(root(port), "nodePort", number.clone());
            }
        }
    }
    if had_address && !has_address {
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if spec.get(key) == old["spec"].get(key) {
                spec.remove(key);
            }
        }
    }
    if was_outside && !outside {
        let before = node_ports(old["spec"].get("ports"));
        if node_ports(spec.get("ports"))
            .iter()
            .all(|number| before.contains(number))
        {
            for port in spec
                .get_mut("ports")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                root(port).remove("nodePort");
            }
        }
        if spec.get("externalTrafficPolicy") == old["spec"].get("externalTrafficPolicy") {
            spec.remove("externalTrafficPolicy");
        }
    }
    let balanced = |spec: &Map<String, Value>| spec.get("type").is_some_and(|t| t == "LoadBalancer");
    if old["spec"]["type"] == "LoadBalancer"
        && !balanced(spec)
        && spec.get("allocateLoadBalancerNodePorts") == old["spec"].get("allocateLoadBalancerNodePorts")
    {
        spec.remove("allocateLoadBalancerNodePorts");
    }
    addresses(object, serial);
}

/// The node ports in use.
fn node_ports(ports: Option<&Value>) -> Vec<i64> {
    let ports = ports.and_then(Value::as_array).into_iter().flatten();
    ports.filter_map(|p| p["nodePort"].as_i64()).collect()
}
