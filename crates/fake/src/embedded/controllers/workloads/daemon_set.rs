//! DaemonSets: one pod on every node that takes it.

use serde_json::{Value, json};

use super::super::{is_gone, write_status};
use super::deployment::template_hash;
use super::pod::{is_ready, make, owned};
use super::schedule::{tolerates, wants};
use crate::embedded::api::{Deletion, delete};
use crate::embedded::failure::Failure;
use crate::embedded::kinds;
use crate::embedded::object::{child, generation, name as name_of, text};
use crate::embedded::store::{Name, Store};

const REVISION: &str = "controller-revision-hash";

/// Brings one DaemonSet into order.
pub(super) fn settle(store: &mut Store, name: &Name) -> Result<(), Failure> {
    let Some(mut set) = store.get(kinds::daemon_set(), name).map(|s| s.value()) else {
        return Ok(());
    };
    if is_gone(&set) {
        return Ok(());
    }
    let revision = template_hash(&set["spec"]["template"]);
    let template = json!({"spec": set["spec"]["template"]["spec"]});
    let nodes: Vec<String> = store
        .list(kinds::node(), "", None)
        .map(|s| s.value())
        .filter(|node| wants(&template, node) && tolerates(&template, node))
        .map(|node| name_of(&node).to_owned())
        .collect();
    let current = |pod: &Value| pod["metadata"]["labels"][REVISION] == revision.as_str();
    for pod in owned(store, &set) {
        let on = text(&pod, &["spec", "nodeName"]);
        if !nodes.iter().any(|n| n == on) || !current(&pod) {
            delete(store, kinds::pod(), &Name::of(&pod), &Deletion::default())?;
        }
    }
    let pods = owned(store, &set);
    let mut refused = Ok(());
    for node in nodes
        .iter()
        .filter(|node| !pods.iter().any(|p| p["spec"]["nodeName"] == node.as_str()))
    {
        let made = make(
            store,
            kinds::daemon_set(),
            &set,
            None,
            &[(REVISION, &revision)],
            |spec| {
                spec.insert("nodeName".into(), node.as_str().into());
            },
        );
        refused = refused.and(made);
    }
    let pods = owned(store, &set);
    let ready = pods.iter().filter(|p| is_ready(p)).count();
    let updated = pods.iter().filter(|p| current(p)).count();
    let observed = generation(&set);
    let status = child(&mut set, "status");
    for (key, value) in [
        ("desiredNumberScheduled", nodes.len()),
        ("currentNumberScheduled", pods.len()),
        ("numberMisscheduled", 0),
        ("numberReady", ready),
        ("numberAvailable", ready),
        ("numberUnavailable", nodes.len().saturating_sub(ready)),
        ("updatedNumberScheduled", updated),
    ] {
        status.insert(key.into(), value.into());
    }
    status.insert("observedGeneration".into(), observed.into());
    write_status(store, kinds::daemon_set(), set)?;
    refused
}
