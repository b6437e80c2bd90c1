//! What the controllers do, on both sides: namespaces begin and end, quotas count, owners take their dependents along.

use kube::Client;
use serde_json::{Value, json};

use super::ask::Ask;
use super::pair::{Pair, until};

async fn ok(client: &Client, ask: Ask) -> Value {
    let answer = ask.send(client).await;
    assert!(answer.code < 300, "{} {}: {}", ask.method, ask.path, answer.body);
    answer.body
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

#[tokio::test]
async fn a_namespace_is_furnished_and_ends_when_its_finalizers_are_done() {
    let pair = Pair::alive().await;
    let path = pair.namespace("ending").await;
    for client in [&pair.real, &pair.embedded] {
        until(client, &format!("{path}/serviceaccounts/default"), |o| {
            o["metadata"]["uid"].is_string()
        })
        .await;
        until(client, &format!("{path}/configmaps/kube-root-ca.crt"), |o| {
            o["data"]["ca.crt"].is_string()
        })
        .await;
        let mut held = config_map("held");
        held["metadata"]["finalizers"] = json!(["example.com/hold"]);
        ok(client, Ask::post(&format!("{path}/configmaps"), held)).await;
        ok(
            client,
            Ask::post(&format!("{path}/configmaps"), config_map("free")),
        )
        .await;
        let deleted = ok(client, Ask::delete(&path)).await;
        assert_eq!(deleted["status"]["phase"], "Terminating");
        until(client, &format!("{path}/configmaps/free"), |o| o["code"] == 404).await;
    }
    pair.refused(403, Ask::post(&format!("{path}/configmaps"), config_map("late")))
        .await;
    pair.refused(
        403,
        Ask::apply(&format!("{path}/configmaps/late"), "one", config_map("late")),
    )
    .await;
    for client in [&pair.real, &pair.embedded] {
        until(client, &path, |o| {
            let conditions = o["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions
                .iter()
                .any(|c| c["type"] == "NamespaceFinalizersRemaining" && c["status"] == "True")
        })
        .await;
        let free = json!({"metadata": {"finalizers": null}});
        ok(client, Ask::merge(&format!("{path}/configmaps/held"), "m", free)).await;
        until(client, &path, |o| o["code"] == 404).await;
    }
}

#[tokio::test]
async fn a_quota_is_filled_in_and_then_refuses() {
    let pair = Pair::alive().await;
    let path = pair.namespace("counted").await;
    for client in [&pair.real, &pair.embedded] {
        until(client, &format!("{path}/configmaps/kube-root-ca.crt"), |o| {
            o["metadata"]["uid"].is_string()
        })
        .await;
        until(client, &format!("{path}/serviceaccounts/default"), |o| {
            o["metadata"]["uid"].is_string()
        })
        .await;
        let hard = json!({"configmaps": "2", "pods": "1", "count/jobs.batch": "0", "requests.cpu": "1"});
        let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}});
        ok(client, Ask::post(&format!("{path}/resourcequotas"), quota)).await;
        let filled = until(client, &format!("{path}/resourcequotas/q"), |o| {
            o["status"]["hard"] == o["spec"]["hard"]
        })
        .await;
        assert_eq!(
            filled["status"]["used"],
            json!({"configmaps": "1", "pods": "0", "count/jobs.batch": "0", "requests.cpu": "0"})
        );
        ok(client, Ask::post(&format!("{path}/configmaps"), config_map("a"))).await;
        until(client, &format!("{path}/resourcequotas/q"), |o| {
            o["status"]["used"]["configmaps"] == "2"
        })
        .await;
    }
    pair.code(403, Ask::post(&format!("{path}/configmaps"), config_map("b")))
        .await;
    let pod = |cpu: Value| {
        let requests = if cpu.is_null() {
            json!({})
        } else {
            json!({"cpu": cpu})
        };
        let container = json!({"name": "c", "image": "i", "resources": {"requests": requests}});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}})
    };
    pair.code(403, Ask::post(&format!("{path}/pods"), pod(json!("2"))))
        .await;
    pair.code(403, Ask::post(&format!("{path}/pods"), pod(Value::Null)))
        .await;
}

#[tokio::test]
async fn dependents_go_with_their_owner_or_are_orphaned() {
    let pair = Pair::alive().await;
    let path = pair.namespace("owned").await + "/configmaps";
    for client in [&pair.real, &pair.embedded] {
        for (policy, stays) in [("Background", false), ("Foreground", false), ("Orphan", true)] {
            let (owner, dependent) = (
                format!("o-{}", policy.to_lowercase()),
                format!("d-{}", policy.to_lowercase()),
            );
            let made = ok(client, Ask::post(&path, config_map(&owner))).await;
            let mut child = config_map(&dependent);
            child["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": made["metadata"]["uid"], "blockOwnerDeletion": true,
            }]);
            ok(client, Ask::post(&path, child)).await;
            ok(
                client,
                Ask::delete(format!("{path}/{owner}?propagationPolicy={policy}")),
            )
            .await;
            until(client, &format!("{path}/{owner}"), |o| o["code"] == 404).await;
            let at = format!("{path}/{dependent}");
            if stays {
                until(client, &at, |o| {
                    o["metadata"]["uid"].is_string() && o["metadata"]["ownerReferences"].is_null()
                })
                .await;
            } else {
                until(client, &at, |o| o["code"] == 404).await;
            }
        }
    }
}
