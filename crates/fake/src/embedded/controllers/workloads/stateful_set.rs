//! StatefulSets: numbered pods, one after the other, with claims of their own that are bound at once.

use serde_json::{Value, json};

use super::super::{MANAGER, is_gone, write_status};
use super::deployment::template_hash;
use super::pod::{is_ready, make, owned};
use crate::embedded::api::{Caller, Deletion, create, delete};
use crate::embedded::failure::Failure;
use crate::embedded::kinds;
use crate::embedded::object::{self, child, generation, list, number, text};
use crate::embedded::store::{Name, Store};

const REVISION: &str = "controller-revision-hash";

/// Brings one StatefulSet into order.
pub(super) fn settle(store: &mut Store, name: &Name) -> Result<(), Failure> {
    let Some(mut set) = store.get(kinds::stateful_set(), name).map(|s| s.value()) else {
        return Ok(());
    };
    if is_gone(&set) {
        return Ok(());
    }
    let revision = format!("{}-{}", name.name, template_hash(&set["spec"]["template"]));
    let wanted = usize::try_from(number(&set, &["spec", "replicas"]).unwrap_or(1)).unwrap_or(0);
    let mut pods = owned(store, &set);
    pods.sort_by_key(ordinal);
    let parallel = text(&set, &["spec", "podManagementPolicy"]) == "Parallel";
    let surplus: Vec<Name> = pods
        .iter()
        .filter(|p| ordinal(p) >= wanted)
        .map(Name::of)
        .collect();
    for pod in surplus.iter().rev() {
        delete(store, kinds::pod(), pod, &Deletion::default())?;
    }
    let replaced = text(&set, &["spec", "updateStrategy", "type"]) != "OnDelete";
    let outdated = pods
        .iter()
        .rev()
        .find(|p| ordinal(p) < wanted && p["metadata"]["labels"][REVISION] != revision.as_str());
    let settled = pods.iter().filter(|p| ordinal(p) < wanted).count() == wanted && pods.iter().all(is_ready);
    let mut refused = Ok(());
    if let Some(outdated) = outdated.filter(|p| replaced && (settled || !is_ready(p))) {
        delete(store, kinds::pod(), &Name::of(outdated), &Deletion::default())?;
    }
    for index in 0..wanted {
        match pods.iter().find(|p| ordinal(p) == index) {
            Some(pod) if !parallel && !is_ready(pod) => break,
            Some(_) => {}
            None => {
                refused = add(store, &set, index, &revision);
                if refused.is_err() || !parallel {
                    break;
                }
            }
        }
    }
    let pods = owned(store, &set);
    let ready = pods.iter().filter(|p| is_ready(p)).count();
    let updated = pods
        .iter()
        .filter(|p| p["metadata"]["labels"][REVISION] == revision.as_str())
        .count();
    let observed = generation(&set);
    let status = child(&mut set, "status");
    for (key, value) in [
        ("replicas", pods.len()),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("currentReplicas", updated),
        ("updatedReplicas", updated),
    ] {
        status.insert(key.into(), value.into());
    }
    status.insert("observedGeneration".into(), observed.into());
    status.insert("updateRevision".into(), revision.clone().into());
    if updated == pods.len() || !status.contains_key("currentRevision") {
        status.insert("currentRevision".into(), revision.into());
    }
    status.insert("collisionCount".into(), 0.into());
    write_status(store, kinds::stateful_set(), set)?;
    refused
}

fn ordinal(pod: &Value) -> usize {
    object::name(pod)
        .rsplit('-')
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX)
}

fn add(store: &mut Store, set: &Value, index: usize, revision: &str) -> Result<(), Failure> {
    let name = format!("{}-{index}", object::name(set));
    let mut volumes = Vec::new();
    for template in list(set, &["spec", "volumeClaimTemplates"]) {
        let volume = object::name(template).to_owned();
        let claim = format!("{volume}-{name}");
        volumes.push(json!({"name": volume, "persistentVolumeClaim": {"claimName": claim}}));
        let at = Name::new(object::namespace(set), &claim);
        let Some(kind) = kinds::by_kind("", "PersistentVolumeClaim") else {
            continue;
        };
        if store.get(kind, &at).is_none() {
            let made = json!({"metadata": {"name": claim, "labels": template["metadata"]["labels"]}, "spec": template["spec"]});
            create(store, kind, &at.namespace, made, &Caller::server(MANAGER))?;
            let Some(mut made) = store.get(kind, &at).map(|s| s.value()) else {
                continue;
            };
            let capacity = made["spec"]["resources"]["requests"].clone();
            let modes = made["spec"]["accessModes"].clone();
            made["status"] = json!({"phase": "Bound", "accessModes": modes, "capacity": capacity});
            write_status(store, kind, made)?;
        }
    }
    let index = index.to_string();
    let labels = [
        (REVISION, revision),
        ("statefulset.kubernetes.io/pod-name", name.as_str()),
        ("apps.kubernetes.io/pod-index", index.as_str()),
    ];
    make(
        store,
        kinds::stateful_set(),
        set,
        Some(name.clone()),
        &labels,
        |spec| {
            spec.insert("hostname".into(), name.as_str().into());
            let into = spec.entry("volumes").or_insert_with(|| json!([]));
            if let Some(into) = into.as_array_mut() {
                into.extend(volumes);
            }
        },
    )
}
