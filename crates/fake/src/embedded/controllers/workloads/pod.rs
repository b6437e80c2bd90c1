//! A pod's life: it finds a node, its containers start at once and stay ready. Images named `registry.invalid/...` or tagged
//! `broken` cannot be pulled; a Job's pod succeeds as soon as it runs.

use serde_json::{Map, Value, json};

use super::super::{MANAGER, is_gone, write_status};
use super::schedule::{Placement, place};
use crate::embedded::api::{Caller, Door, create, update};
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{self, Kind};
use crate::embedded::object::{self, child, list, set_condition, text};
use crate::embedded::shape::Quantity;
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

/// Moves one pod on.
pub(super) fn settle(store: &mut Store, name: &Name) -> Result<(), Failure> {
    let Some(mut pod) = store.get(kinds::pod(), name).map(|s| s.value()) else {
        return Ok(());
    };
    let phase = text(&pod, &["status", "phase"]);
    if is_gone(&pod) || matches!(phase, "Succeeded" | "Failed") {
        return Ok(());
    }
    if text(&pod, &["spec", "nodeName"]).is_empty() {
        match place(store, &pod) {
            Placement::Node(node) => {
                child(&mut pod, "spec").insert("nodeName".into(), node.into());
                update(
                    store,
                    kinds::pod(),
                    name,
                    pod,
                    &Caller::server("kube-scheduler"),
                    Door::Other("binding"),
                )?;
                let Some(bound) = store.get(kinds::pod(), name).map(|s| s.value()) else {
                    return Ok(());
                };
                pod = bound;
            }
            Placement::Nowhere(why) => {
                let status = child(&mut pod, "status");
                set_condition(status, condition("PodScheduled", "False", "Unschedulable", &why));
                return write_status(store, kinds::pod(), pod);
            }
        }
    }
    run(&mut pod);
    write_status(store, kinds::pod(), pod)
}

pub(super) fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": time::now_text()});
    if !reason.is_empty() {
        condition["reason"] = reason.into();
    }
    if !message.is_empty() {
        condition["message"] = message.into();
    }
    condition
}

fn run(pod: &mut Value) {
    let containers: Vec<Value> = list(pod, &["spec", "containers"]).to_vec();
    let completes = list(pod, &["metadata", "ownerReferences"])
        .iter()
        .any(|o| o["kind"] == "Job");
    let started = match text(pod, &["status", "startTime"]) {
        "" => time::now_text(),
        since => since.to_owned(),
    };
    let broken: Vec<&str> = containers
        .iter()
        .filter(|c| is_broken(text(c, &["image"])))
        .map(|c| text(c, &["name"]))
        .collect();
    let statuses: Vec<Value> = containers
        .iter()
        .map(|c| container(c, &started, completes))
        .collect();
    let address = address(object::uid(pod));
    let unready = format!("containers with unready status: [{}]", broken.join(" "));
    let (ready, reason, message) = match (broken.is_empty(), completes) {
        (true, false) => ("True", "", ""),
        (true, true) => ("False", "PodCompleted", ""),
        (false, _) => ("False", "ContainersNotReady", unready.as_str()),
    };
    let phase = match (broken.is_empty(), completes) {
        (false, _) => "Pending",
        (true, true) => "Succeeded",
        (true, false) => "Running",
    };
    let status = child(pod, "status");
    status.insert("phase".into(), phase.into());
    status.insert("startTime".into(), started.into());
    status.insert("hostIP".into(), "10.0.0.1".into());
    status.insert("hostIPs".into(), json!([{"ip": "10.0.0.1"}]));
    status.insert("podIP".into(), address.clone().into());
    status.insert("podIPs".into(), json!([{"ip": address}]));
    status.insert("containerStatuses".into(), statuses.into());
    set_condition(status, condition("PodReadyToStartContainers", "True", "", ""));
    set_condition(status, condition("Initialized", "True", "", ""));
    set_condition(status, condition("Ready", ready, reason, message));
    set_condition(status, condition("ContainersReady", ready, reason, message));
    set_condition(status, condition("PodScheduled", "True", "", ""));
}

fn is_broken(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    image.starts_with("registry.invalid/") || last.split_once(':').is_some_and(|(_, tag)| tag == "broken")
}

fn container(spec: &Value, started: &str, completes: bool) -> Value {
    let image = text(spec, &["image"]);
    let broken = is_broken(image);
    let state = if broken {
        let message = format!("Back-off pulling image \"{image}\"");
        json!({"waiting": {"reason": "ImagePullBackOff", "message": message}})
    } else if completes {
        json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": started}})
    } else {
        json!({"running": {"startedAt": started}})
    };
    json!({
        "name": spec["name"], "image": image, "imageID": "", "ready": !broken && !completes,
        "restartCount": 0, "started": !broken && !completes, "state": state,
    })
}

/// An address of its own for every pod, or nearly.
fn address(uid: &str) -> String {
    let mut bytes = [0_u8; 3];
    for (index, byte) in uid.bytes().enumerate() {
        bytes[index % 3] = bytes[index % 3].wrapping_mul(31).wrapping_add(byte);
    }
    format!("10.{}.{}.{}", 128 + bytes[0] % 64, bytes[1], bytes[2].max(1))
}

pub(super) fn is_ready(pod: &Value) -> bool {
    list(pod, &["status", "conditions"])
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// The live pods a workload controls, in name order.
pub(super) fn owned(store: &Store, owner: &Value) -> Vec<Value> {
    let of = store
        .dependents(object::uid(owner))
        .into_iter()
        .filter(|(kind, _)| kind.is("", "Pod"));
    of.filter_map(|(kind, name)| store.get(kind, &name).map(|s| s.value()))
        .filter(|pod| !is_gone(pod))
        .collect()
}

/// Makes a pod from a workload's template.
pub(super) fn make(
    store: &mut Store,
    kind: &Kind,
    owner: &Value,
    name: Option<String>,
    labels: &[(&str, &str)],
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<(), Failure> {
    let template = &owner["spec"]["template"];
    let mut pod = json!({"metadata": template["metadata"], "spec": template["spec"]});
    let metadata = child(&mut pod, "metadata");
    metadata.remove("name");
    match name {
        Some(name) => metadata.insert("name".into(), name.into()),
        None => metadata.insert("generateName".into(), format!("{}-", object::name(owner)).into()),
    };
    metadata.insert("ownerReferences".into(), json!([reference(kind, owner)]));
    let into = object::root(metadata.entry("labels").or_insert(Value::Null));
    for (key, value) in labels {
        into.insert((*key).to_owned(), (*value).into());
    }
    change(child(&mut pod, "spec"));
    create(
        store,
        kinds::pod(),
        object::namespace(owner),
        pod,
        &Caller::server(MANAGER),
    )
    .map(|_| ())
}

/// The owner reference of a controller.
pub(super) fn reference(kind: &Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "name": object::name(owner), "uid": object::uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// What a pod asks of one resource.
pub(super) fn request(pod: &Value, resource: &str) -> Quantity {
    let of = |c: &Value| {
        c["resources"]["requests"][resource]
            .as_str()
            .and_then(Quantity::parse)
    };
    let containers = list(pod, &["spec", "containers"]).iter();
    containers.filter_map(of).fold(Quantity::ZERO, Quantity::plus)
}
