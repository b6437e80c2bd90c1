//! Production evicts development when a node is full, and never the other way: with the real scheduler, and the PriorityClasses and
//! policies of the manifest.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod support;

use berth_fake::control_plane::{Binaries, ControlPlane, Options};
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use support::nodes::{get, node};
use support::walls::{compliant_pod, dry_run, made};
use support::{apply, ask, collection, create, install, manifest_options, refused, until};

/// A tenant's namespace whose pods may have these classes, as Berth renders it for the environment.
async fn namespace(client: &Client, name: &str, environment: &str, classes: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": format!("t-{name}"),
        "labels": {"berth.dev/tenant": name, "berth.dev/tenant-uid": format!("uid-{name}"),
            "berth.dev/environment": environment, "pod-security.kubernetes.io/enforce": "restricted"},
        "annotations": {"berth.dev/priority-classes": classes}}});
    made("a namespace", &apply(client, &namespace).await);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": format!("t-{name}"),
            "labels": {"berth.dev/tenant": name, "berth.dev/tenant-uid": format!("uid-{name}")}}});
    made("an account", &apply(client, &account).await);
}

/// A pod of which the node, with the agent on it, holds two.
fn pod(namespace: &str, name: &str, class: &str) -> Value {
    let mut pod = compliant_pod(namespace, name);
    pod["spec"]["priorityClassName"] = json!(class);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(0);
    pod["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}});
    pod
}

fn path(pod: &Value) -> String {
    format!(
        "{}/{}",
        collection(pod),
        pod["metadata"]["name"].as_str().unwrap()
    )
}

async fn runs(client: &Client, pod: &Value) {
    until("the pod runs", async || {
        get(client, &path(pod)).await["status"]["phase"] == "Running"
    })
    .await;
}

async fn is_gone(client: &Client, pod: &Value) -> bool {
    let answer = ask(client, Method::GET, &path(pod), None).await;
    answer.0 == 404 || answer.1["metadata"]["deletionTimestamp"].is_string()
}

#[tokio::test]
async fn production_evicts_development_and_never_the_other_way() {
    let plane = ControlPlane::start(&Binaries::find().unwrap(), Options::default())
        .await
        .unwrap();
    install(&plane, &manifest_options()).await;
    let client = plane.client();
    node(&client, "small", None, "2500m").await;
    namespace(&client, "dev", "dev", "berth-low").await;
    namespace(&client, "prod", "production", "berth-low,berth-standard").await;

    let greedy = pod("dev", "greedy", "berth-standard");
    until("development may not call itself production", async || {
        // Tried only: before the policy counts it would be there, and take room.
        refused(&dry_run(&client, None, &greedy).await)
    })
    .await;
    let development = [pod("dev", "one", "berth-low"), pod("dev", "two", "berth-low")];
    for pod in &development {
        made("a pod of development", &create(&client, pod).await);
        runs(&client, pod).await;
    }

    let production = [
        pod("prod", "one", "berth-standard"),
        pod("prod", "two", "berth-standard"),
    ];
    for pod in &production {
        made("a pod of production", &create(&client, pod).await);
        runs(&client, pod).await;
    }
    for pod in &development {
        assert!(
            is_gone(&client, pod).await,
            "development is still on the full node"
        );
    }

    let late = pod("dev", "late", "berth-low");
    made("a late pod of development", &create(&client, &late).await);
    until("the scheduler finds no room for it", async || {
        let seen = get(&client, &path(&late)).await;
        let conditions = seen["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        conditions
            .iter()
            .any(|c| c["type"] == "PodScheduled" && c["reason"] == "Unschedulable")
    })
    .await;
    for pod in &production {
        assert!(!is_gone(&client, pod).await, "development evicted production");
        assert_eq!(get(&client, &path(pod)).await["status"]["phase"], "Running");
    }
    plane.stop().await;
}
