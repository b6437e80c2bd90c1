//! Deployments: a ReplicaSet per template, rolled over as the strategy says, and the conditions people read.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{MANAGER, is_gone, write, write_status};
use super::pod::reference;
use super::rollout::{Sizes, next};
use super::{Again, Work};
use crate::embedded::api::{Caller, Deletion, create, delete};
use crate::embedded::failure::Failure;
use crate::embedded::kinds;
use crate::embedded::object::{self, child, generation, list, number, root, set_condition};
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// Brings one Deployment into order.
pub(super) fn settle(store: &mut Store, name: &Name) -> Result<Again, Failure> {
    let Some(mut deployment) = store.get(kinds::deployment(), name).map(|s| s.value()) else {
        return Ok(None);
    };
    if is_gone(&deployment) {
        return Ok(None);
    }
    let hash = template_hash(&deployment["spec"]["template"]);
    let sets = owned_sets(store, &deployment);
    let (new, old): (Vec<Value>, Vec<Value>) = sets
        .into_iter()
        .partition(|s| s["metadata"]["labels"][HASH] == hash.as_str());
    let paused = object::flag(&deployment, &["spec", "paused"]);
    let new = match new.into_iter().next() {
        Some(set) => Some(set),
        None if paused => None,
        None => Some(first(store, &deployment, &hash, &old)?),
    };
    if let Some(new) = &new {
        let revision = new["metadata"]["annotations"][REVISION].clone();
        if deployment["metadata"]["annotations"][REVISION] != revision {
            let annotations = root(
                child(&mut deployment, "metadata")
                    .entry("annotations")
                    .or_insert(Value::Null),
            );
            annotations.insert(REVISION.into(), revision);
            write(store, kinds::deployment(), deployment)?;
            let Some(written) = store.get(kinds::deployment(), name).map(|s| s.value()) else {
                return Ok(None);
            };
            deployment = written;
        }
        if !paused {
            roll(store, &deployment, new, &old)?;
        }
    }
    let again = report(store, deployment, &hash)?;
    Ok(again.map(|after| (after, Work::Workload(kinds::deployment().id, name.clone()))))
}

fn owned_sets(store: &Store, deployment: &Value) -> Vec<Value> {
    let owned = store
        .dependents(object::uid(deployment))
        .into_iter()
        .filter(|(kind, _)| kind.kind == "ReplicaSet");
    let mut sets: Vec<Value> = owned
        .filter_map(|(kind, name)| store.get(kind, &name).map(|s| s.value()))
        .filter(|s| !is_gone(s))
        .collect();
    sets.sort_by_key(revision);
    sets
}

fn revision(set: &Value) -> i64 {
    object::text(set, &["metadata", "annotations", REVISION])
        .parse()
        .unwrap_or(0)
}

/// Ten letters that differ when templates differ.
pub(super) fn template_hash(template: &Value) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(template.to_string().as_bytes());
    let letters = b"bcdfghjklmnpqrstvwxz2456789";
    digest
        .iter()
        .take(10)
        .map(|b| char::from(letters[usize::from(*b) % letters.len()]))
        .collect()
}

fn first(store: &mut Store, deployment: &Value, hash: &str, old: &[Value]) -> Result<Value, Failure> {
    let (namespace, name) = (object::namespace(deployment), object::name(deployment));
    let mut template = deployment["spec"]["template"].clone();
    let mut selector = deployment["spec"]["selector"].clone();
    for labels in [
        child(&mut template, "metadata").entry("labels"),
        root(&mut selector).entry("matchLabels"),
    ] {
        root(labels.or_insert(Value::Null)).insert(HASH.into(), hash.into());
    }
    let next = old.iter().map(revision).max().unwrap_or(0) + 1;
    let set = json!({
        "metadata": {
            "name": format!("{name}-{hash}"),
            "labels": template["metadata"]["labels"],
            "annotations": {REVISION: next.to_string()},
            "ownerReferences": [reference(kinds::deployment(), deployment)],
        },
        "spec": {
            "replicas": 0, "selector": selector, "template": template,
            "minReadySeconds": deployment["spec"]["minReadySeconds"],
        },
    });
    let made = create(
        store,
        kinds::replica_set(),
        namespace,
        set,
        &Caller::server(MANAGER),
    )?;
    Ok(serde_json::from_slice(&made.json).unwrap_or_default())
}

fn roll(store: &mut Store, deployment: &Value, new: &Value, old: &[Value]) -> Result<(), Failure> {
    let wanted = |set: &Value| number(set, &["spec", "replicas"]).unwrap_or(0);
    let available = |set: &Value| number(set, &["status", "availableReplicas"]).unwrap_or(0);
    let sizes = Sizes {
        new: wanted(new),
        new_available: available(new),
        old: old.iter().map(wanted).sum(),
        old_available: old.iter().map(available).sum(),
    };
    let (size, left) = next(deployment, sizes);
    resize(store, new, size)?;
    let mut fewer = sizes.old - left;
    for set in old {
        let cut = fewer.min(wanted(set));
        resize(store, set, wanted(set) - cut)?;
        fewer -= cut;
    }
    let kept =
        usize::try_from(number(deployment, &["spec", "revisionHistoryLimit"]).unwrap_or(10)).unwrap_or(0);
    let empty: Vec<&Value> = old
        .iter()
        .filter(|s| wanted(s) == 0 && s["status"]["replicas"] == 0)
        .collect();
    for set in empty.iter().take(empty.len().saturating_sub(kept)) {
        delete(store, kinds::replica_set(), &Name::of(set), &Deletion::default())?;
    }
    Ok(())
}

fn resize(store: &mut Store, set: &Value, size: i64) -> Result<(), Failure> {
    if number(set, &["spec", "replicas"]) == Some(size) {
        return Ok(());
    }
    let mut set = set.clone();
    child(&mut set, "spec").insert("replicas".into(), size.into());
    write(store, kinds::replica_set(), set)
}

/// Writes the status; tells after how long the progress deadline must be looked at.
fn report(store: &mut Store, mut deployment: Value, hash: &str) -> Result<Option<Duration>, Failure> {
    let sets = owned_sets(store, &deployment);
    let sum = |sets: &[&Value], key: &str| {
        sets.iter()
            .map(|s| number(s, &["status", key]).unwrap_or(0))
            .sum::<i64>()
    };
    let all: Vec<&Value> = sets.iter().collect();
    let new: Vec<&Value> = sets
        .iter()
        .filter(|s| s["metadata"]["labels"][HASH] == hash)
        .collect();
    let wanted = number(&deployment, &["spec", "replicas"]).unwrap_or(1);
    let (total, updated) = (sum(&all, "replicas"), sum(&new, "replicas"));
    let available = sum(&all, "availableReplicas");
    let complete = updated == wanted && total == wanted && available == wanted;
    let failing = sets
        .iter()
        .flat_map(|s| list(s, &["status", "conditions"]))
        .find(|c| c["type"] == "ReplicaFailure")
        .cloned();
    let set_name = new
        .first()
        .map_or_else(String::new, |s| object::name(s).to_owned());
    let observed = generation(&deployment);
    let least = wanted - unavailable_limit(&deployment, wanted);
    let deadline = number(&deployment, &["spec", "progressDeadlineSeconds"]);
    let before = deployment["status"].clone();
    let status = child(&mut deployment, "status");
    for (key, value) in [
        ("observedGeneration", observed),
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", sum(&all, "readyReplicas")),
        ("availableReplicas", available),
        ("unavailableReplicas", (wanted.max(total) - available).max(0)),
    ] {
        status.insert(key.into(), value.into());
    }
    let (is_available, reason, message) = if available >= least {
        (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        )
    } else {
        (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        )
    };
    set_condition(status, condition("Available", is_available, reason, message));
    match failing {
        Some(mut failing) => {
            failing["lastUpdateTime"] = time::now_text().into();
            set_condition(status, failing);
        }
        None => drop_condition(status, "ReplicaFailure"),
    }
    let moved = before["updatedReplicas"].as_i64().unwrap_or(0) != updated
        || before["availableReplicas"].as_i64().unwrap_or(0) != available
        || before["observedGeneration"].as_i64() != Some(observed);
    let again = progress(status, complete, moved, deadline, &set_name);
    write_status(store, kinds::deployment(), deployment)?;
    Ok(again)
}

fn progress(
    status: &mut serde_json::Map<String, Value>,
    complete: bool,
    moved: bool,
    deadline: Option<i64>,
    set: &str,
) -> Option<Duration> {
    let conditions = status.get("conditions").and_then(Value::as_array);
    let old = conditions
        .and_then(|all| all.iter().find(|c| c["type"] == "Progressing"))
        .cloned();
    if complete {
        let message = format!("ReplicaSet \"{set}\" has successfully progressed.");
        set_condition(
            status,
            condition("Progressing", "True", "NewReplicaSetAvailable", &message),
        );
        return None;
    }
    let since = old
        .as_ref()
        .and_then(|c| c["lastUpdateTime"].as_str())
        .and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let done_before = old
        .as_ref()
        .is_some_and(|c| c["reason"] == "NewReplicaSetAvailable");
    let limit = Duration::from_secs(deadline.and_then(|d| u64::try_from(d).ok())?);
    let waited = since.map_or(Duration::ZERO, |since| {
        time::now().duration_since(since).try_into().unwrap_or_default()
    });
    if !moved && !done_before && waited >= limit {
        let message = format!("ReplicaSet \"{set}\" has timed out progressing.");
        set_condition(
            status,
            condition("Progressing", "False", "ProgressDeadlineExceeded", &message),
        );
        return None;
    }
    if moved || done_before || old.is_none() {
        drop_condition(status, "Progressing");
        let message = format!("ReplicaSet \"{set}\" is progressing.");
        set_condition(
            status,
            condition("Progressing", "True", "ReplicaSetUpdated", &message),
        );
        return Some(limit + Duration::from_millis(50));
    }
    Some(limit.saturating_sub(waited) + Duration::from_millis(50))
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    let mut condition = super::pod::condition(kind, status, reason, message);
    condition["lastUpdateTime"] = condition["lastTransitionTime"].clone();
    condition
}

fn drop_condition(status: &mut serde_json::Map<String, Value>, kind: &str) {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|c| c["type"] != kind);
    }
}

fn unavailable_limit(deployment: &Value, wanted: i64) -> i64 {
    match &deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] {
        Value::String(text) => text.trim_end_matches('%').parse::<i64>().unwrap_or(0) * wanted / 100,
        value => value.as_i64().unwrap_or(0),
    }
}
