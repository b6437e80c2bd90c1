//! Secrets by reference on a real API server: without External Secrets the tenant is told what is missing, with it (by a definition that has
//! what is used of theirs) what it says counts for the tenant's health, and the tenant itself writes none.

mod support;

use berth_model::{
    HealthState,
    assignment::{AppliedAs, ApplyPhase},
};
use serde_json::{Value, json};
use support::{Cluster, Tenant};

/// What a cluster gets with External Secrets, as far as it matters here.
fn definition() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "externalsecrets.external-secrets.io"},
        "spec": {
            "group": "external-secrets.io", "scope": "Namespaced",
            "names": {"kind": "ExternalSecret", "listKind": "ExternalSecretList", "plural": "externalsecrets", "singular": "externalsecret"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": open}}}}],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_external_secrets_is_told_and_with_it_the_store_counts_for_the_tenants_health() {
    let cluster = Cluster::of("external-secrets").await;
    let engine = cluster.start().await;
    let secret = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": "berth.web.password", "namespace": "t-secrets"},
        "spec": {
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": "vault"},
            "target": {"name": "berth.web.password", "creationPolicy": "Owner"},
            "data": [{"secretKey": "value", "remoteRef": {"key": "tenants/secrets/db", "property": "password"}}],
        },
    });
    let tenant = Tenant::new("secrets").with(ApplyPhase::Access, AppliedAs::Agent, secret.clone());
    engine.assign(&tenant).await;
    let told = engine.failed(&tenant, "NotServed").await;
    assert!(
        told.contains("external-secrets.io/v1") && told.contains("existingSecret"),
        "{told}"
    );

    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster.create(definitions, &definition()).await;
    cluster
        .until("/apis/external-secrets.io/v1", |served| {
            let resources = served.and_then(|served| served["resources"].as_array());
            resources.is_some_and(|resources| !resources.is_empty())
        })
        .await;
    // Nobody has to say anything: it is tried again.
    let path = tenant.path("external-secrets.io/v1", "externalsecrets", "berth.web.password");
    cluster
        .until(&path, |there| {
            there.is_some_and(|there| there["spec"]["data"] == secret["spec"]["data"])
        })
        .await;
    // Somebody takes another tenant's key: it is put back.
    let stolen =
        json!({"spec": {"data": [{"secretKey": "value", "remoteRef": {"key": "tenants/other/db"}}]}});
    cluster.merge(&path, "somebody", &stolen).await;
    cluster
        .until(&path, |there| {
            there.is_some_and(|there| there["spec"]["data"] == secret["spec"]["data"])
        })
        .await;
    // The store refuses: the tenant says so.
    let refused = json!({"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "could not get secret"});
    let status = |condition: Value| json!({"status": {"conditions": [condition]}});
    cluster
        .merge(&format!("{path}/status"), "external-secrets", &status(refused))
        .await;
    let report = engine
        .report(&tenant, |report| report.health.state == HealthState::Degraded)
        .await;
    assert!(
        report.health.message.contains("could not get secret"),
        "{report:?}"
    );
    let read = json!({"type": "Ready", "status": "True", "reason": "SecretSynced", "message": ""});
    cluster
        .merge(&format!("{path}/status"), "external-secrets", &status(read))
        .await;
    engine
        .report(&tenant, |report| report.health.state == HealthState::Healthy)
        .await;
    engine.stop().await;
}
