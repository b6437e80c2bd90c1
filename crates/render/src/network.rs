//! The tenant's network walls: nothing in or out, then its own namespaces, then names.

use berth_model::{Tenant, label};
use serde_json::{Value, json};

use crate::meta;

/// Where the node-local DNS cache listens by default, on every node; nothing else has this link-local address.
const NODE_LOCAL_DNS: &str = "169.254.20.10/32";

pub(crate) fn policies(tenant: &Tenant, namespace: &str) -> Vec<Value> {
    // Both labels: a namespace left over from another tenant of the same name is not let in.
    let same_tenant = json!([{
        "namespaceSelector": {
            "matchLabels": {label::TENANT: tenant.id.as_str(), label::TENANT_UID: tenant.uid.as_str()},
        },
    }]);
    let dns = json!([
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        },
        {"ipBlock": {"cidr": NODE_LOCAL_DNS}},
    ]);
    vec![
        policy(
            tenant,
            namespace,
            "default-deny",
            json!({"policyTypes": ["Ingress", "Egress"]}),
        ),
        policy(
            tenant,
            namespace,
            "allow-same-tenant",
            json!({
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": same_tenant}],
                "egress": [{"to": same_tenant}],
            }),
        ),
        policy(
            tenant,
            namespace,
            "allow-dns",
            json!({
                "policyTypes": ["Egress"],
                "egress": [{
                    "to": dns,
                    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                }],
            }),
        ),
    ]
}

/// A policy for every pod of the namespace.
fn policy(tenant: &Tenant, namespace: &str, name: &str, mut spec: Value) -> Value {
    spec["podSelector"] = json!({});
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta::namespaced(tenant, namespace, name),
        "spec": spec,
    })
}
