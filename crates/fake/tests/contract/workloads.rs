//! Workloads, on both sides: pods are made, placed and turn ready; what is broken says why.

use serde_json::{Value, json};

use super::ask::Ask;
use super::pair::{Pair, until};

fn template(image: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 80}]}]},
    })
}

fn workload(kind: &str, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template(image)},
    })
}

fn condition<'o>(object: &'o Value, kind: &str) -> &'o Value {
    let conditions = object["status"]["conditions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    conditions
        .iter()
        .find(|c| c["type"] == kind)
        .unwrap_or(&Value::Null)
}

#[tokio::test]
async fn a_deployment_turns_available_and_its_service_finds_the_pods() {
    let pair = Pair::alive().await;
    let core = pair.namespace("alive").await;
    let apps = "/apis/apps/v1/namespaces/alive/deployments";
    for client in [&pair.real, &pair.embedded] {
        until(client, &format!("{core}/serviceaccounts/default"), |o| {
            o["metadata"]["uid"].is_string()
        })
        .await;
        let mut body = workload("Deployment", "web", "web:1");
        body["spec"]["replicas"] = 2.into();
        let made = Ask::post(apps, body).send(client).await;
        assert_eq!(made.code, 201, "{}", made.body);
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
        });
        assert_eq!(
            Ask::post(&format!("{core}/services"), service)
                .send(client)
                .await
                .code,
            201
        );
        let done = until(client, &format!("{apps}/web"), |o| {
            o["status"]["availableReplicas"] == 2
                && o["status"]["observedGeneration"] == o["metadata"]["generation"]
                && condition(o, "Progressing")["reason"] == "NewReplicaSetAvailable"
        })
        .await;
        for key in ["replicas", "updatedReplicas", "readyReplicas"] {
            assert_eq!(done["status"][key], 2, "{key}");
        }
        assert_eq!(condition(&done, "Available")["status"], "True");
        let endpoints = until(client, &format!("{core}/endpoints/web"), |o| {
            o["subsets"][0]["addresses"]
                .as_array()
                .is_some_and(|a| a.len() == 2)
        })
        .await;
        assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 80);
        let patch =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}});
        Ask::patch(
            &format!("{apps}/web"),
            "application/strategic-merge-patch+json",
            patch,
        )
        .send(client)
        .await;
        until(client, &format!("{apps}/web"), |o| {
            o["status"]["updatedReplicas"] == 2
                && o["status"]["replicas"] == 2
                && o["status"]["availableReplicas"] == 2
                && o["status"]["observedGeneration"] == o["metadata"]["generation"]
        })
        .await;
        let pods = Ask::get(format!("{core}/pods?labelSelector=app%3Dweb"))
            .send(client)
            .await
            .body;
        let live = pods["items"]
            .as_array()
            .expect("pods")
            .iter()
            .filter(|p| p["metadata"]["deletionTimestamp"].is_null());
        assert!(
            live.into_iter()
                .all(|p| p["spec"]["containers"][0]["image"] == "web:2")
        );
    }
}

#[tokio::test]
async fn a_broken_image_is_told_and_the_deadline_passes() {
    let pair = Pair::alive().await;
    let core = pair.namespace("broken").await;
    let apps = "/apis/apps/v1/namespaces/broken/deployments";
    for client in [&pair.real, &pair.embedded] {
        until(client, &format!("{core}/serviceaccounts/default"), |o| {
            o["metadata"]["uid"].is_string()
        })
        .await;
        let mut body = workload("Deployment", "web", "registry.invalid/web:1");
        body["spec"]["progressDeadlineSeconds"] = 2.into();
        assert_eq!(Ask::post(apps, body).send(client).await.code, 201);
        let pods = until(client, &format!("{core}/pods"), |list| {
            list["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"]
                == "ImagePullBackOff"
        })
        .await;
        assert_eq!(pods["items"][0]["status"]["phase"], "Pending");
        let late = until(client, &format!("{apps}/web"), |o| {
            condition(o, "Progressing")["status"] == "False"
        })
        .await;
        assert_eq!(
            condition(&late, "Progressing")["reason"],
            "ProgressDeadlineExceeded"
        );
        assert_eq!(
            condition(&late, "Available")["reason"],
            "MinimumReplicasUnavailable"
        );
    }
}

#[tokio::test]
async fn the_other_workloads_finish_too() {
    let pair = Pair::alive().await;
    let core = pair.namespace("others").await;
    for client in [&pair.real, &pair.embedded] {
        until(client, &format!("{core}/serviceaccounts/default"), |o| {
            o["metadata"]["uid"].is_string()
        })
        .await;
        let mut stateful = workload("StatefulSet", "db", "db:1");
        stateful["spec"]["serviceName"] = "db".into();
        stateful["spec"]["replicas"] = 2.into();
        let apps = "/apis/apps/v1/namespaces/others";
        assert_eq!(
            Ask::post(&format!("{apps}/statefulsets"), stateful)
                .send(client)
                .await
                .code,
            201
        );
        until(client, &format!("{apps}/statefulsets/db"), |o| {
            o["status"]["readyReplicas"] == 2 && o["status"]["updatedReplicas"] == 2
        })
        .await;
        until(client, &format!("{core}/pods/db-1"), |o| {
            o["status"]["phase"] == "Running"
        })
        .await;
        let daemon = workload("DaemonSet", "every", "d:1");
        assert_eq!(
            Ask::post(&format!("{apps}/daemonsets"), daemon)
                .send(client)
                .await
                .code,
            201
        );
        until(client, &format!("{apps}/daemonsets/every"), |o| {
            o["status"]["numberReady"].as_i64() >= Some(1)
                && o["status"]["numberReady"] == o["status"]["desiredNumberScheduled"]
        })
        .await;
        let jobs = "/apis/batch/v1/namespaces/others/jobs";
        let mut spec = template("job:1")["spec"].clone();
        spec["restartPolicy"] = "Never".into();
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": {"spec": spec}}});
        assert_eq!(Ask::post(jobs, job).send(client).await.code, 201);
        until(client, &format!("{jobs}/once"), |o| {
            o["status"]["succeeded"] == 1 && condition(o, "Complete")["status"] == "True"
        })
        .await;
    }
}

#[tokio::test]
async fn pods_go_only_where_they_are_tolerated() {
    let pair = Pair::alive().await;
    let core = pair.namespace("placed").await;
    for client in [&pair.real, &pair.embedded] {
        until(client, &format!("{core}/serviceaccounts/default"), |o| {
            o["metadata"]["uid"].is_string()
        })
        .await;
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "pool-a", "labels": {"pool": "a"}},
            "spec": {"taints": [{"key": "pool", "value": "a", "effect": "NoSchedule"}]},
        });
        assert_eq!(Ask::post("/api/v1/nodes", node).send(client).await.code, 201);
        until(client, "/api/v1/nodes/pool-a", |o| {
            condition(o, "Ready")["status"] == "True"
        })
        .await;
        let pod = |name: &str, tolerations: Value| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
                "spec": {
                    "nodeSelector": {"pool": "a"}, "tolerations": tolerations,
                    "containers": [{"name": "c", "image": "i:1"}],
                },
            })
        };
        assert_eq!(
            Ask::post(&format!("{core}/pods"), pod("no", json!([])))
                .send(client)
                .await
                .code,
            201
        );
        let waiting = until(client, &format!("{core}/pods/no"), |o| {
            condition(o, "PodScheduled")["status"] == "False"
        })
        .await;
        assert_eq!(condition(&waiting, "PodScheduled")["reason"], "Unschedulable");
        let tolerated = json!([{"key": "pool", "operator": "Exists"}]);
        assert_eq!(
            Ask::post(&format!("{core}/pods"), pod("yes", tolerated))
                .send(client)
                .await
                .code,
            201
        );
        let runs = until(client, &format!("{core}/pods/yes"), |o| {
            o["status"]["phase"] == "Running"
        })
        .await;
        assert_eq!(runs["spec"]["nodeName"], "pool-a");
        Ask::delete("/api/v1/nodes/pool-a").send(client).await;
    }
}
