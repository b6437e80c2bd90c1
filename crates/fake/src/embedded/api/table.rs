//! Lists as people read them: the columns `kubectl get` shows.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::embedded::kinds::Kind;
use crate::embedded::object::{list, number, strings, text};
use crate::embedded::store::Stored;
use crate::embedded::time;

type Column = (&'static str, fn(&Value) -> Value);

/// A table of objects.
pub(super) fn table(kind: &Kind, objects: &[Value], metadata: &Value, header: bool) -> Value {
    let columns = columns(kind);
    let mut definitions = vec![definition("Name", "name")];
    definitions.extend(columns.iter().map(|(name, _)| definition(name, "")));
    definitions.push(definition("Age", ""));
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut cells = vec![object["metadata"]["name"].clone()];
            cells.extend(columns.iter().map(|(_, cell)| cell(object)));
            cells.push(age(text(object, &["metadata", "creationTimestamp"])).into());
            let partial = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            });
            json!({"cells": cells, "object": partial})
        })
        .collect();
    let definitions = if header { json!(definitions) } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// One object of a watch as a table.
pub(crate) fn event(kind: &Kind, stored: &Stored) -> Bytes {
    let metadata = json!({"resourceVersion": stored.revision.to_string()});
    Bytes::from(table(kind, &[stored.value()], &metadata, true).to_string())
}

fn definition(name: &str, format: &str) -> Value {
    json!({"name": name, "type": "string", "format": format, "description": name, "priority": 0})
}

fn count(object: &Value, path: &[&str]) -> i64 {
    number(object, path).unwrap_or(0)
}

fn columns(kind: &Kind) -> &'static [Column] {
    match kind.kind {
        "Namespace" | "PersistentVolumeClaim" => &[("Status", |o| o["status"]["phase"].clone())],
        "Deployment" => &[
            ("Ready", |o| {
                format!(
                    "{}/{}",
                    count(o, &["status", "readyReplicas"]),
                    count(o, &["spec", "replicas"])
                )
                .into()
            }),
            ("Up-to-date", |o| count(o, &["status", "updatedReplicas"]).into()),
            ("Available", |o| count(o, &["status", "availableReplicas"]).into()),
        ],
        "StatefulSet" => &[("Ready", |o| {
            format!(
                "{}/{}",
                count(o, &["status", "readyReplicas"]),
                count(o, &["spec", "replicas"])
            )
            .into()
        })],
        "ReplicaSet" => &[
            ("Desired", |o| count(o, &["spec", "replicas"]).into()),
            ("Current", |o| count(o, &["status", "replicas"]).into()),
            ("Ready", |o| count(o, &["status", "readyReplicas"]).into()),
        ],
        "DaemonSet" => &[
            ("Desired", |o| {
                count(o, &["status", "desiredNumberScheduled"]).into()
            }),
            ("Ready", |o| count(o, &["status", "numberReady"]).into()),
        ],
        "Job" => &[("Completions", |o| {
            format!(
                "{}/{}",
                count(o, &["status", "succeeded"]),
                count(o, &["spec", "completions"])
            )
            .into()
        })],
        "Pod" => &[
            ("Ready", pod_ready),
            ("Status", pod_status),
            ("Restarts", |_| 0.into()),
        ],
        "Node" => &[
            ("Status", |o| {
                let ready = list(o, &["status", "conditions"])
                    .iter()
                    .any(|c| c["type"] == "Ready" && c["status"] == "True");
                if ready { "Ready".into() } else { "NotReady".into() }
            }),
            ("Version", |o| o["status"]["nodeInfo"]["kubeletVersion"].clone()),
        ],
        "Service" => &[
            ("Type", |o| o["spec"]["type"].clone()),
            ("Cluster-IP", |o| o["spec"]["clusterIP"].clone()),
            ("Port(s)", |o| {
                let ports = list(o, &["spec", "ports"]).iter();
                let ports: Vec<String> = ports
                    .map(|p| format!("{}/{}", p["port"], text(p, &["protocol"])))
                    .collect();
                ports.join(",").into()
            }),
        ],
        "ConfigMap" => &[("Data", |o| {
            o["data"].as_object().map_or(0, serde_json::Map::len).into()
        })],
        "Secret" => &[
            ("Type", |o| o["type"].clone()),
            ("Data", |o| {
                o["data"].as_object().map_or(0, serde_json::Map::len).into()
            }),
        ],
        "NetworkPolicy" => &[("Pod-Selector", |o| {
            let labels: Vec<String> = strings(&o["spec"]["podSelector"]["matchLabels"])
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            if labels.is_empty() {
                "<none>".into()
            } else {
                labels.join(",").into()
            }
        })],
        "ResourceQuota" => &[("Request", |o| {
            let used = &o["status"]["used"];
            let all: Vec<String> = strings(&o["status"]["hard"])
                .map(|(name, hard)| format!("{name}: {}/{hard}", text(used, &[name])))
                .collect();
            all.join(", ").into()
        })],
        "RoleBinding" | "ClusterRoleBinding" => &[("Role", |o| {
            format!(
                "{}/{}",
                text(o, &["roleRef", "kind"]),
                text(o, &["roleRef", "name"])
            )
            .into()
        })],
        _ => &[],
    }
}

fn pod_ready(pod: &Value) -> Value {
    let statuses = list(pod, &["status", "containerStatuses"]);
    let ready = statuses.iter().filter(|s| s["ready"] == true).count();
    format!("{ready}/{}", list(pod, &["spec", "containers"]).len()).into()
}

fn pod_status(pod: &Value) -> Value {
    let waiting = list(pod, &["status", "containerStatuses"])
        .iter()
        .find_map(|s| s["state"]["waiting"]["reason"].as_str());
    waiting.map_or_else(|| pod["status"]["phase"].clone(), Value::from)
}

fn age(since: &str) -> String {
    let Ok(since) = since.parse::<jiff::Timestamp>() else {
        return "<unknown>".into();
    };
    let seconds = time::now().duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
