//! ReplicaSets: as many pods as wanted.

use serde_json::Value;

use super::super::{is_gone, write_status};
use super::pod::{condition, is_ready, make, owned};
use crate::embedded::api::{Deletion, delete};
use crate::embedded::failure::Failure;
use crate::embedded::kinds;
use crate::embedded::object::{child, generation, number, set_condition};
use crate::embedded::store::{Name, Store};

/// Brings one ReplicaSet into order.
pub(super) fn settle(store: &mut Store, name: &Name) -> Result<(), Failure> {
    let Some(mut set) = store.get(kinds::replica_set(), name).map(|s| s.value()) else {
        return Ok(());
    };
    if is_gone(&set) {
        return Ok(());
    }
    let wanted = usize::try_from(number(&set, &["spec", "replicas"]).unwrap_or(1)).unwrap_or(0);
    let mut pods = owned(store, &set);
    let mut refused = None;
    for _ in pods.len()..wanted {
        if let Err(failure) = make(store, kinds::replica_set(), &set, None, &[], |_| {}) {
            refused = Some(failure);
            break;
        }
    }
    if pods.len() > wanted {
        pods.sort_by_key(is_ready);
        for pod in &pods[..pods.len() - wanted] {
            delete(store, kinds::pod(), &Name::of(pod), &Deletion::default())?;
        }
    }
    let pods = owned(store, &set);
    let ready = pods.iter().filter(|p| is_ready(p)).count();
    let observed = generation(&set);
    let status = child(&mut set, "status");
    for (key, value) in [
        ("replicas", pods.len()),
        ("fullyLabeledReplicas", pods.len()),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
    ] {
        status.insert(key.into(), value.into());
    }
    status.insert("observedGeneration".into(), observed.into());
    match refused {
        Some(failure) => {
            set_condition(
                status,
                condition("ReplicaFailure", "True", "FailedCreate", &failure.message),
            );
        }
        None => {
            if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
                conditions.retain(|c| c["type"] != "ReplicaFailure");
            }
        }
    }
    write_status(store, kinds::replica_set(), set)
}
