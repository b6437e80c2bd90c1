//! Pod templates: what they may not ask for, and what they get.

use berth_model::{
    AccessRole, PoolName,
    label::{self, DEPLOYER_ACCOUNT, WORKLOAD_ACCOUNT},
};
use serde_json::{Map, Value, json};

use super::{kinds, manifest, manifest::Faults, merge};
use crate::text;

/// Refuses what would reach other tenants' nodes or the rights of the deployer and the tenant's people. `template` points at the pod's metadata and spec.
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
    }
    let (spec, path) = (&pod["spec"], format!("{path}.spec"));
    if !spec["nodeName"].is_null() {
        faults.add(
            &format!("{path}.nodeName"),
            "cannot be set",
            "let the scheduler choose the node",
        );
    }
    for field in ["serviceAccountName", "serviceAccount"] {
        let account = spec[field].as_str().unwrap_or_default();
        if account == DEPLOYER_ACCOUNT || AccessRole::owns_account(account) {
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
