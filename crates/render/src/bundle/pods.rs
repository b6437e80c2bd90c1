//! Pod templates: what they may not ask for, and what they get.

use std::collections::BTreeMap;

use berth_model::{
    PoolName,
    label::{self, WORKLOAD_ACCOUNT},
    tier::Priority,
};
use serde_json::{Map, Value, json};

use super::{kinds, manifest, manifest::Faults, merge, pod_rules};
use crate::text;

/// Accounts of people and bundles start with this.
const BERTHS_ACCOUNTS: &str = "berth-";

/// Refuses what would reach other tenants' nodes or the deployer's rights. `template` points at the pod's metadata and spec.
pub(super) fn check(manifest: &Value, template: &str, faults: &mut Faults<'_>) {
    let path = template.replace('/', ".");
    let Some(pod) = manifest.pointer(template).filter(|pod| pod["spec"].is_object()) else {
        return faults.add(&format!("{path}.spec"), "is missing", "describe the pods");
    };
    if !template.is_empty() {
        if !matches!(pod["metadata"], Value::Null | Value::Object(_)) {
            faults.add(
                &format!("{path}.metadata"),
                "is no object",
                "give the pods labels",
            );
        }
        manifest::check_texts(&pod["metadata"], &format!("{path}.metadata"), faults);
        // Controllers copy the rest onto pods in their own name.
        let others = pod["metadata"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(field, _)| field);
        for field in
            others.filter(|field| !matches!(field.as_str(), "labels" | "annotations" | "creationTimestamp"))
        {
            faults.add(
                &format!("{path}.metadata.{field}"),
                "cannot be set on pods",
                "leave it out",
            );
        }
    }
    pod_rules::check(pod, &path, faults);
    let (spec, path) = (&pod["spec"], format!("{path}.spec"));
    for field in ["serviceAccountName", "serviceAccount"] {
        let account = spec[field].as_str().unwrap_or_default();
        if account.starts_with(BERTHS_ACCOUNTS) {
            faults.add(
                &format!("{path}.{field}"),
                format!("{account} is not for pods"),
                format!("use {WORKLOAD_ACCOUNT}, or an account of the bundle's own"),
            );
        }
    }
    match &spec["nodeSelector"] {
        Value::Null => {}
        Value::Object(selector) => {
            for key in selector.keys().filter(|key| text::is_berths(key)) {
                faults.add(
                    &format!("{path}.nodeSelector.{key}"),
                    "is kept for Berth",
                    "leave it out: Berth adds it",
                );
            }
        }
        _ => faults.add(
            &format!("{path}.nodeSelector"),
            "is no map",
            "write key: value pairs",
        ),
    }
    check_tolerations(&spec["tolerations"], &format!("{path}.tolerations"), faults);
}

fn check_tolerations(tolerations: &Value, path: &str, faults: &mut Faults<'_>) {
    let list = match tolerations {
        Value::Null => return,
        Value::Array(list) => list,
        _ => return faults.add(path, "is no list", "write a list of tolerations"),
    };
    for (at, toleration) in list.iter().enumerate() {
        let path = format!("{path}[{at}]");
        match toleration["key"].as_str().unwrap_or_default() {
            "" => faults.add(
                &path,
                "tolerates every taint",
                "name the taint: other tenants' nodes are tainted too",
            ),
            key if text::is_berths(key) => {
                faults.add(
                    &format!("{path}.key"),
                    format!("{key} is kept for Berth"),
                    "leave it out: Berth adds it",
                );
            }
            _ => {}
        }
    }
}

fn pod_mut(manifest: &mut Value) -> Option<&mut Value> {
    let template = kinds::pod_template(manifest)?;
    manifest.pointer_mut(template)
}

/// Pods that name no account run as the tenant's workload account, which may do nothing.
pub(super) fn run_as_workload(manifest: &mut Value) {
    if let Some(pod) = pod_mut(manifest)
        && pod["spec"]["serviceAccountName"].is_null()
        && pod["spec"]["serviceAccount"].is_null()
    {
        pod["spec"]["serviceAccountName"] = WORKLOAD_ACCOUNT.into();
    }
}

/// Pods that name no class have the highest of their namespace: production outranks development whatever runs there.
pub(super) fn rank(manifest: &mut Value, priority: Priority) {
    if let Some(pod) = pod_mut(manifest)
        && pod["spec"]["priorityClassName"]
            .as_str()
            .unwrap_or_default()
            .is_empty()
    {
        pod["spec"]["priorityClassName"] = priority.class().into();
    }
}

/// Replicas that say nothing of where they go keep away from each other, by zone and by node, as far as there is room.
pub(super) fn spread(manifest: &mut Value) {
    if !matches!(manifest["kind"].as_str(), Some("Deployment" | "StatefulSet")) {
        return;
    }
    let labels = manifest["spec"]["selector"]["matchLabels"].clone();
    if labels.as_object().is_none_or(Map::is_empty) {
        return;
    }
    let Some(pod) = pod_mut(manifest) else { return };
    let spec = &mut pod["spec"];
    if spec["topologySpreadConstraints"].is_null() {
        spec["topologySpreadConstraints"] = json!([{
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels.clone()},
        }]);
    }
    if spec["affinity"]["podAntiAffinity"].is_null() {
        if !spec["affinity"].is_object() {
            spec["affinity"] = json!({});
        }
        spec["affinity"]["podAntiAffinity"] = json!({
            "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": labels},
                },
            }],
        });
    }
}

/// Gives workloads and their pods the labels that everything must carry, from the tenant's own; what is still missing is told.
pub(super) fn require(
    manifest: &mut Value,
    required: &[String],
    known: &BTreeMap<String, String>,
) -> Vec<String> {
    let Some(template) = kinds::pod_template(manifest) else {
        return Vec::new();
    };
    let mut missing = Vec::new();
    for place in [String::new(), template.to_owned()] {
        let Some(object) = manifest.pointer_mut(&place) else {
            continue;
        };
        for key in required {
            if object["metadata"]["labels"][key]
                .as_str()
                .is_some_and(|value| !value.is_empty())
            {
                continue;
            }
            match known.get(key).filter(|value| !value.is_empty()) {
                Some(value) => {
                    let label = Map::from_iter([(key.clone(), Value::from(value.as_str()))]);
                    merge(&mut object["metadata"]["labels"], &label);
                }
                None => missing.push(format!("{}.metadata.labels.{key}", place.replace('/', "."))),
            }
        }
    }
    missing.sort();
    missing.dedup();
    missing
}

/// Says on each pod whose it is.
pub(super) fn label(manifest: &mut Value, labels: &Map<String, Value>) {
    if let Some(pod) = pod_mut(manifest) {
        if !pod["metadata"].is_object() {
            pod["metadata"] = json!({});
        }
        merge(&mut pod["metadata"]["labels"], labels);
    }
}

/// Ties each pod to the tenant's pool. Admission does so too where the cluster can; this is for where it cannot.
pub(super) fn pin(manifest: &mut Value, pool: &PoolName) {
    let Some(pod) = pod_mut(manifest) else { return };
    let spec = &mut pod["spec"];
    let mut selector = Map::new();
    selector.insert(label::POOL.into(), pool.as_str().into());
    merge(&mut spec["nodeSelector"], &selector);
    let toleration =
        json!({"key": label::POOL, "operator": "Equal", "value": pool.as_str(), "effect": "NoSchedule"});
    match spec["tolerations"].as_array_mut() {
        Some(tolerations) => tolerations.push(toleration),
        None => spec["tolerations"] = json!([toleration]),
    }
}
