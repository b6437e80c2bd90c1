//! The tenant's network walls: nothing in or out, then its own namespaces, then names, then what is declared.

pub(crate) mod peer;
pub mod reach;

use std::collections::BTreeSet;

use berth_model::{
    label,
    network::{Rule, Within},
};
use serde_json::{Value, json};

use self::peer::Direction;
use crate::{Input, meta, namespace::Namespace};

/// Where the node-local DNS cache listens by default, on every node; nothing else has this link-local address.
const NODE_LOCAL_DNS: &str = "169.254.20.10/32";

/// All policies of one namespace. `allow-declared` is absent where nothing is declared.
pub(crate) fn policies(input: &Input<'_>, namespace: &Namespace<'_>) -> Vec<Value> {
    let mut policies = vec![
        policy(
            input,
            namespace,
            "default-deny",
            json!({"policyTypes": ["Ingress", "Egress"]}),
        ),
        policy(
            input,
            namespace,
            "allow-same-tenant",
            same_tenant(input, namespace),
        ),
        policy(input, namespace, "allow-dns", dns()),
    ];
    policies.extend(declared(input).map(|spec| policy(input, namespace, "allow-declared", spec)));
    policies
}

fn same_tenant(input: &Input<'_>, namespace: &Namespace<'_>) -> Value {
    let tenant = input.tenant;
    // Both labels: a namespace left over from another tenant of the same name is not let in.
    let mut labels = json!({label::TENANT: tenant.id.as_str(), label::TENANT_UID: tenant.uid.as_str()});
    match within(input) {
        Within::Tenant => {}
        Within::Environment => labels[label::ENVIRONMENT] = namespace.part.environment.as_str().into(),
    }
    let peers = json!([{"namespaceSelector": {"matchLabels": labels}}]);
    json!({
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peers}],
        "egress": [{"to": peers}],
    })
}

/// How far the tenant's namespaces reach each other: the narrower of what the tier and the tenant say.
pub(crate) fn within(input: &Input<'_>) -> Within {
    let of_tier = input.tier.spec.network.within;
    input.tenant.spec.network.within.unwrap_or(of_tier).max(of_tier)
}

/// Who gets in, by tier and tenant.
pub(crate) fn ingress<'a>(input: &Input<'a>) -> BTreeSet<&'a Rule> {
    let (of_tier, own) = (&input.tier.spec.network, &input.tenant.spec.network);
    of_tier.ingress.iter().chain(&own.ingress).collect()
}

fn egress<'a>(input: &Input<'a>) -> BTreeSet<&'a Rule> {
    let (of_tier, own) = (&input.tier.spec.network, &input.tenant.spec.network);
    of_tier.egress.iter().chain(&own.egress).collect()
}

fn dns() -> Value {
    let peers = json!([
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
        {"ipBlock": {"cidr": NODE_LOCAL_DNS}},
    ]);
    json!({
        "policyTypes": ["Egress"],
        "egress": [{
            "to": peers,
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
        }],
    })
}

/// What the tier and the tenant declare, in one policy: every object costs a call wherever the tenant is applied.
fn declared(input: &Input<'_>) -> Option<Value> {
    let rules = |direction, rules: BTreeSet<&Rule>| -> Vec<Value> {
        let rendered = rules.into_iter();
        rendered
            .filter_map(|rule| peer::rule(input, direction, rule))
            .collect()
    };
    let ingress = rules(Direction::Ingress, ingress(input));
    let egress = rules(Direction::Egress, egress(input));
    let mut spec = json!({});
    let mut types = Vec::new();
    for (word, field, rules) in [("Ingress", "ingress", ingress), ("Egress", "egress", egress)] {
        if !rules.is_empty() {
            types.push(word);
            spec[field] = rules.into();
        }
    }
    if types.is_empty() {
        return None;
    }
    spec["policyTypes"] = types.into();
    Some(spec)
}

/// A policy for every pod of the namespace.
fn policy(input: &Input<'_>, namespace: &Namespace<'_>, name: &str, mut spec: Value) -> Value {
    spec["podSelector"] = json!({});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta::namespaced(input.tenant, &namespace.name, name),
        "spec": spec,
    })
}
