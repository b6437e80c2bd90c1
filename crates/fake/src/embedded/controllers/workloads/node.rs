//! Nodes turn Ready as soon as they are there; the pods of a node that is gone go too.

use serde_json::json;

use super::super::write_status;
use super::pod::condition;
use crate::embedded::api::{Deletion, delete};
use crate::embedded::failure::Failure;
use crate::embedded::kinds;
use crate::embedded::object::{child, default, list, set_condition};
use crate::embedded::store::{Name, Store};

/// Brings one node into order.
pub(super) fn settle(store: &mut Store, name: &str, version: &str) -> Result<(), Failure> {
    let Some(mut node) = store.read(kinds::node(), "", name) else {
        return drop_pods(store, name);
    };
    if list(&node, &["status", "conditions"])
        .iter()
        .any(|c| c["type"] == "Ready")
    {
        return Ok(());
    }
    let status = child(&mut node, "status");
    let room = json!({"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"});
    default(status, "capacity", room);
    let capacity = status["capacity"].clone();
    default(status, "allocatable", capacity);
    let info = json!({
        "kubeletVersion": version, "kubeProxyVersion": "", "osImage": "embedded", "operatingSystem": "linux",
        "architecture": "amd64", "containerRuntimeVersion": "embedded://1", "kernelVersion": "", "bootID": "",
        "machineID": "", "systemUUID": "",
    });
    default(status, "nodeInfo", info);
    default(
        status,
        "addresses",
        json!([{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}]),
    );
    for pressure in ["MemoryPressure", "DiskPressure", "PIDPressure"] {
        set_condition(
            status,
            condition(pressure, "False", "KubeletHasSufficientResources", ""),
        );
    }
    set_condition(
        status,
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    );
    write_status(store, kinds::node(), node)
}

fn drop_pods(store: &mut Store, node: &str) -> Result<(), Failure> {
    let gone: Vec<Name> = store
        .list(kinds::pod(), "", None)
        .filter(|stored| stored.value()["spec"]["nodeName"] == node)
        .map(|stored| stored.name.clone())
        .collect();
    for name in gone {
        delete(store, kinds::pod(), &name, &Deletion::default())?;
    }
    Ok(())
}
