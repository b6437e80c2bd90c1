//! What the server itself decides at a write: generations, statuses that have their own door, addresses, phases.

use serde_json::{Value, json};

use super::defaults::{TEMPLATE_GENERATION, counts};
use super::services;
use crate::embedded::kinds::Kind;
use crate::embedded::object::{child, copy_field, default, root, text};

/// Prepares a new object. `serial` is a number no other object of the cluster gets.
pub(crate) fn for_create(kind: &Kind, object: &mut Value, serial: u64) {
    if kind.status {
        let counts = counts(kind).iter().map(|key| ((*key).to_owned(), 0.into()));
        root(object).insert("status".into(), Value::Object(counts.collect()));
    }
    if kind.generation {
        child(object, "metadata").insert("generation".into(), 1.into());
    }
    match (kind.group, kind.kind) {
        ("", "Namespace") => {
            child(object, "spec").insert("finalizers".into(), json!(["kubernetes"]));
            root(object).insert("status".into(), json!({"phase": "Active"}));
        }
        ("", "Pod") => {
            let class = quality_of_service(&object["spec"]);
            root(object).insert("status".into(), json!({"phase": "Pending", "qosClass": class}));
        }
        ("", "PersistentVolumeClaim") => {
            root(object).insert("status".into(), json!({"phase": "Pending"}));
        }
        ("", "Service") => services::addresses(object, serial),
        ("batch", "Job") => job_selector(object),
        _ => {}
    }
}

/// Prepares a new version of an object that came in through the main door.
pub(crate) fn for_update(kind: &Kind, object: &mut Value, old: &Value, serial: u64) {
    keep_server_fields(object, old);
    if kind.status {
        copy_field(old, object, "status");
    }
    match (kind.group, kind.kind) {
        ("", "Namespace") => {
            let finalizers = old["spec"].clone();
            root(object).insert("spec".into(), finalizers);
        }
        ("", "Service") => services::update(object, old, serial),
        ("apps", "DaemonSet") => {
            let before: i64 = text(old, &["metadata", "annotations", TEMPLATE_GENERATION])
                .parse()
                .unwrap_or(1);
            let now = before + i64::from(object["spec"]["template"] != old["spec"]["template"]);
            let annotations = root(
                child(object, "metadata")
                    .entry("annotations")
                    .or_insert(Value::Null),
            );
            annotations.insert(TEMPLATE_GENERATION.into(), now.to_string().into());
        }
        ("batch", "Job") => {
            let selector = old["spec"]["selector"].clone();
            default(child(object, "spec"), "selector", selector);
        }
        _ => {}
    }
    if kind.generation {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
        let raised = generation + i64::from(desire_changed(kind, object, old));
        child(object, "metadata").insert("generation".into(), raised.into());
    }
}

/// Prepares a new version that came in through the status door: only the status (and metadata) may differ.
pub(crate) fn for_status_update(kind: &Kind, object: &mut Value, old: &Value) {
    keep_server_fields(object, old);
    let status = object["status"].clone();
    let metadata = object["metadata"].clone();
    *object = old.clone();
    root(object).insert("metadata".into(), metadata);
    root(object).insert("status".into(), status);
    if kind.group == "apps" {
        copy_field(&old["metadata"], &mut object["metadata"], "labels");
    }
    copy_field(&old["metadata"], &mut object["metadata"], "generation");
}

fn keep_server_fields(object: &mut Value, old: &Value) {
    child(object, "metadata");
    for key in [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
    ] {
        copy_field(&old["metadata"], &mut object["metadata"], key);
    }
}

fn desire_changed(kind: &Kind, object: &Value, old: &Value) -> bool {
    match kind.kind {
        "PriorityClass" | "EndpointSlice" => {
            let bare = |v: &Value| {
                let mut v = v.clone();
                root(&mut v).remove("metadata");
                v
            };
            bare(object) != bare(old)
        }
        "Deployment" => {
            object["spec"] != old["spec"]
                || object["metadata"]["annotations"] != old["metadata"]["annotations"]
        }
        _ => object["spec"] != old["spec"],
    }
}

fn quality_of_service(spec: &Value) -> &'static str {
    let containers = spec["containers"].as_array().map_or(&[][..], Vec::as_slice);
    let set = |c: &Value, what: &str| c["resources"][what].as_object().is_some_and(|m| !m.is_empty());
    if containers
        .iter()
        .all(|c| !set(c, "limits") && !set(c, "requests"))
    {
        return "BestEffort";
    }
    let full = |c: &Value| {
        ["cpu", "memory"].iter().all(|r| {
            let limit = &c["resources"]["limits"][*r];
            !limit.is_null()
                && c["resources"]["requests"]
                    .get(*r)
                    .is_none_or(|request| request == limit)
        })
    };
    if containers.iter().all(full) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn job_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (uid, name) = (
        text(object, &["metadata", "uid"]).to_owned(),
        text(object, &["metadata", "name"]).to_owned(),
    );
    let spec = child(object, "spec");
    spec.insert(
        "selector".into(),
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
    let template = root(spec.entry("template").or_insert(Value::Null));
    let metadata = root(template.entry("metadata").or_insert(Value::Null));
    let labels = root(metadata.entry("labels").or_insert(Value::Null));
    for prefix in ["", "batch.kubernetes.io/"] {
        labels.insert(format!("{prefix}controller-uid"), uid.clone().into());
        labels.insert(format!("{prefix}job-name"), name.clone().into());
    }
}
