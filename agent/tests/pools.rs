//! Pods run on their own tenant's pool and nowhere else, whoever makes them: by asking a real API server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod support;

use berth_agent::manifest::ManifestOptions;
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use support::{
    Answer, apply, ask, control_plane, create, install, manifest_options, refused, tenant_namespace, until,
};

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "registry.example/i"}]}});
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    pod
}

fn tolerate(pool: &str) -> Value {
    json!({"tolerations": [{"key": "berth.dev/pool", "operator": "Equal", "value": pool, "effect": "NoSchedule"}]})
}

async fn make(client: &Client, namespace: &str, pod: &Value) -> Answer {
    ask(
        client,
        Method::POST,
        &format!("/api/v1/namespaces/{namespace}/pods"),
        Some(pod),
    )
    .await
}

async fn try_out(client: &Client, namespace: &str, pod: &Value) -> Answer {
    ask(
        client,
        Method::POST,
        &format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"),
        Some(pod),
    )
    .await
}

/// Namespaces whose pods can be made: the controller has given them their account.
async fn namespaces(client: &Client) {
    for namespace in [
        tenant_namespace("t-pooled", "pooled", Some("p1")),
        tenant_namespace("t-plain", "plain", None),
    ] {
        assert!(apply(client, &namespace).await.0 < 300);
    }
    for namespace in ["t-pooled", "t-plain", "default"] {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        until("the default account", async || {
            ask(client, Method::GET, &path, None).await.0 == 200
        })
        .await;
    }
    let elsewhere = pod("probe", tolerate("p1"));
    until("pods are bounded", async || {
        refused(&try_out(client, "t-plain", &elsewhere).await)
    })
    .await;
}

#[track_caller]
fn assert_refused(what: &str, answer: &Answer) {
    assert!(refused(answer), "{what}: {} {:#}", answer.0, answer.1);
}

fn pool_tolerations(pod: &Value) -> usize {
    pod["spec"]["tolerations"].as_array().map_or(0, |all| {
        all.iter().filter(|t| t["key"] == "berth.dev/pool").count()
    })
}

#[tokio::test]
async fn pods_of_a_pooled_namespace_are_pinned_and_others_stay_out() {
    let plane = control_plane().await;
    install(&plane, &manifest_options()).await;
    let admin = plane.client();
    namespaces(&admin).await;
    until("pods are pinned", async || {
        try_out(&admin, "t-pooled", &pod("probe", json!({}))).await.1["spec"]["nodeSelector"]["berth.dev/pool"] == "p1"
    })
    .await;

    for (name, spec) in [
        ("plain", json!({})),
        ("with-selector", json!({"nodeSelector": {"disk": "ssd"}})),
        (
            "with-other-pool",
            json!({"nodeSelector": {"berth.dev/pool": "p2"}}),
        ),
        (
            "with-toleration",
            json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]}),
        ),
        ("pinned-already", tolerate("p1")),
    ] {
        let (status, made) = make(&admin, "t-pooled", &pod(name, spec)).await;
        assert_eq!(status, 201, "{name}: {made:#}");
        assert_eq!(
            made["spec"]["nodeSelector"]["berth.dev/pool"], "p1",
            "{name}: {made:#}"
        );
        assert_eq!(pool_tolerations(&made), 1, "{name}: {made:#}");
    }
    let (_, kept) = ask(
        &admin,
        Method::GET,
        "/api/v1/namespaces/t-pooled/pods/with-selector",
        None,
    )
    .await;
    assert_eq!(kept["spec"]["nodeSelector"]["disk"], "ssd");

    assert_refused(
        "another pool's taint",
        &make(&admin, "t-pooled", &pod("x", tolerate("p2"))).await,
    );
    assert_refused(
        "a pool's taint without a pool",
        &make(&admin, "t-plain", &pod("x", tolerate("p1"))).await,
    );
    let everything = json!({"tolerations": [{"operator": "Exists"}]});
    assert_refused(
        "every taint",
        &make(&admin, "t-plain", &pod("x", everything)).await,
    );
    assert_refused(
        "a named node",
        &make(&admin, "t-plain", &pod("x", json!({"nodeName": "n1"}))).await,
    );

    assert_eq!(make(&admin, "t-plain", &pod("waiting", json!({}))).await.0, 201);
    let (_, waiting) = ask(
        &admin,
        Method::GET,
        "/api/v1/namespaces/t-plain/pods/waiting",
        None,
    )
    .await;
    let mut tolerations = waiting["spec"]["tolerations"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tolerations.push(tolerate("p1")["tolerations"][0].clone());
    let later = json!({"spec": {"tolerations": tolerations}});
    let path = "/api/v1/namespaces/t-plain/pods/waiting";
    assert_refused(
        "a toleration added later",
        &ask(&admin, Method::PATCH, path, Some(&later)).await,
    );
    let label = json!({"metadata": {"labels": {"x": "y"}}});
    assert_eq!(ask(&admin, Method::PATCH, path, Some(&label)).await.0, 200);

    assert_eq!(
        make(&admin, "default", &pod("system", tolerate("p1"))).await.0,
        201,
        "only tenants are bounded"
    );

    // A namespace that gets a pool later: what runs there unpinned can still be changed and ended.
    assert!(
        apply(&admin, &tenant_namespace("t-plain", "plain", Some("p1")))
            .await
            .0
            < 300
    );
    let label = json!({"metadata": {"labels": {"x": "z"}}});
    assert_eq!(ask(&admin, Method::PATCH, path, Some(&label)).await.0, 200);
    assert_eq!(ask(&admin, Method::DELETE, path, None).await.0, 200);
    plane.stop().await;
}

#[tokio::test]
async fn without_mutating_policies_pods_that_are_not_pinned_are_refused() {
    let plane = control_plane().await;
    install(
        &plane,
        &ManifestOptions {
            mutating: false,
            ..manifest_options()
        },
    )
    .await;
    let admin = plane.client();
    namespaces(&admin).await;
    assert_refused(
        "not pinned",
        &make(&admin, "t-pooled", &pod("x", json!({}))).await,
    );
    let mut pinned = tolerate("p1");
    pinned["nodeSelector"] = json!({"berth.dev/pool": "p1"});
    let (status, made) = make(&admin, "t-pooled", &pod("x", pinned)).await;
    assert_eq!(status, 201, "{made:#}");
    assert_eq!(
        create(&admin, &tenant_namespace("t-other", "other", None))
            .await
            .0,
        201
    );
    plane.stop().await;
}
