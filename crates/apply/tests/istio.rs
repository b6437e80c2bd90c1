//! Istio's authorization policies on a real API server that serves them, by a definition that has what is used of theirs.

mod support;

use berth_model::assignment::{AppliedAs, ApplyPhase};
use serde_json::{Value, json};
use support::{Cluster, Tenant};

/// What a cluster gets with Istio, as far as it matters here.
fn definition() -> Value {
    let text = json!({"type": "array", "items": {"type": "string"}});
    let source =
        json!({"type": "object", "properties": {"namespaces": text, "ipBlocks": text, "notIpBlocks": text}});
    let operation = json!({"type": "object", "properties": {"ports": text}});
    let list = |of: &str, schema: &Value| json!({"type": "array", "items": {"type": "object", "properties": {of: schema}}});
    let condition = json!({"type": "object", "required": ["key"], "properties": {"key": {"type": "string"}, "values": text}});
    let rule = json!({"type": "object", "properties": {
        "from": list("source", &source),
        "to": list("operation", &operation),
        "when": {"type": "array", "items": condition},
    }});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "authorizationpolicies.security.istio.io"},
        "spec": {
            "group": "security.istio.io", "scope": "Namespaced",
            "names": {"kind": "AuthorizationPolicy", "listKind": "AuthorizationPolicyList", "plural": "authorizationpolicies", "singular": "authorizationpolicy"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "action": {"type": "string", "enum": ["ALLOW", "DENY", "AUDIT", "CUSTOM"]},
                    "rules": {"type": "array", "items": rule},
                }},
            }}}}],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn istio_is_seen_where_it_is_and_its_policies_are_applied_mended_and_pruned() {
    let cluster = Cluster::of("istio").await;
    let engine = cluster.start().await;
    assert!(!engine.engine.facts().await.unwrap().istio);
    cluster
        .create(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            &definition(),
        )
        .await;
    cluster
        .until("/apis/security.istio.io/v1", |served| {
            let resources = served.and_then(|served| served["resources"].as_array());
            resources.is_some_and(|resources| !resources.is_empty())
        })
        .await;
    assert!(engine.engine.facts().await.unwrap().istio);

    let rules = json!([
        {"from": [{"source": {"namespaces": ["t-istio"]}}]},
        {
            "from": [{"source": {"namespaces": ["ingress-nginx"]}}],
            "to": [{"operation": {"ports": ["8080"]}}],
            "when": [{"key": "request.headers[x-berth-tenant]", "values": ["istio"]}],
        },
    ]);
    let policy = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "allow-declared", "namespace": "t-istio"},
        "spec": {"action": "ALLOW", "rules": rules},
    });
    let plain = Tenant::new("istio");
    let walled = plain
        .next(|_| {})
        .with(ApplyPhase::Walls, AppliedAs::Agent, policy);
    engine.assign(&walled).await;
    engine.applied(&walled).await;
    let path = walled.path("security.istio.io/v1", "authorizationpolicies", "allow-declared");
    let stands = |policy: Option<&Value>| policy.is_some_and(|policy| policy["spec"]["rules"] == rules);
    cluster.until(&path, stands).await;

    // Somebody opens it.
    cluster
        .merge(&path, "somebody", &json!({"spec": {"rules": [{}]}}))
        .await;
    cluster.until(&path, stands).await;

    let without = walled.next(|objects| {
        objects.retain(|object| object.manifest["kind"] != "AuthorizationPolicy");
    });
    engine.assign(&without).await;
    engine.applied(&without).await;
    assert!(cluster.get(&path).await.is_none());
    engine.stop().await;
}
