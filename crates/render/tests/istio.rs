//! Where Istio is, proxies hear the same as the network.
#![expect(clippy::unwrap_used, reason = "tests")]

mod samples;

use berth_model::{Tenant, network::Network};
use berth_render::{Input, render};
use serde_json::{Value, json};

fn policies(tenant: &Tenant, istio: bool) -> Vec<Value> {
    let tier = samples::tier("standard");
    let placement = samples::place(&tier);
    let input = Input {
        tenant,
        tier: &tier,
        placement: &placement,
        bundles: &[],
        istio,
    };
    let objects = render(&input).unwrap().objects.into_iter();
    let manifests = objects.map(|object| object.manifest);
    manifests
        .filter(|manifest| manifest["kind"] == "AuthorizationPolicy")
        .collect()
}

fn tenant(network: Value) -> Tenant {
    samples::tenant("acme", "standard", |spec| {
        spec.namespaces = vec!["dev".into(), "jobs".into()];
        spec.network = serde_json::from_value::<Network>(network).unwrap();
    })
}

#[test]
fn who_gets_in_by_the_network_gets_in_by_istio_and_the_gateway_only_with_the_tenants_header() {
    let tenant = tenant(json!({
        "within": "environment",
        "ingress": [
            {"peer": {"kind": "ingress-controller"}, "ports": ["8080", "53/UDP"]},
            {"peer": {"kind": "monitoring"}, "ports": ["9090-9092"]},
            {"peer": {"kind": "service", "namespace": "gateway", "labels": {"app": "x"}}, "ports": ["1-65535"]},
            {"peer": {"kind": "cidr", "cidr": "203.0.113.0/24"}, "ports": ["443"]},
            {"peer": {"kind": "cidr", "cidr": "192.0.0.0/8"}, "ports": ["443"]},
            {"peer": {"kind": "tenant", "tenant": "other"}, "ports": ["80"]},
        ],
        "egress": [{"peer": {"kind": "monitoring"}, "ports": ["4318"]}],
    }));
    let policies = policies(&tenant, true);
    assert_eq!(policies.len(), 3);
    let text: Vec<String> = policies
        .iter()
        .map(|policy| serde_json::to_string_pretty(policy).unwrap())
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn without_istio_there_is_no_word_of_it() {
    assert!(policies(&tenant(json!({})), false).is_empty());
}

#[test]
fn no_rule_lets_in_everybody() {
    let tenant = tenant(json!({
        "ingress": [
            {"peer": {"kind": "ingress-controller"}, "ports": []},
            {"peer": {"kind": "monitoring"}, "ports": ["53/UDP"]},
            {"peer": {"kind": "service", "namespace": "t-other", "labels": {}}, "ports": ["80"]},
            {"peer": {"kind": "cidr", "cidr": "10.0.0.0/8"}, "ports": ["80"]},
            {"peer": {"kind": "tenant", "tenant": "acme"}, "ports": ["80"]},
        ],
    }));
    for policy in policies(&tenant, true) {
        let own = json!([{"from": [{"source": {"namespaces": ["t-acme", "t-acme--dev", "t-acme--jobs"]}}]}]);
        assert_eq!(policy["spec"]["rules"], own);
        assert_eq!(policy["spec"]["action"], "ALLOW");
    }
}
