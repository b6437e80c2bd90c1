//! Operations on access entries: who may come into a cluster, and as what.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, Outcome, now, page, required};
use crate::eks::{
    ACCOUNT, Inner,
    refusal::Refusal,
    state::{Body, EntryRecord, object, text},
};

fn missing(cluster: &str, principal: &str) -> Refusal {
    Refusal::not_found(format!(
        "The specified principalArn could not be found: {principal}"
    ))
    .on_cluster(cluster)
}

pub(super) fn describe_new(inner: &Inner, cluster: &str, principal: &str, parameters: &Body) -> Body {
    let created = now(inner);
    let asked = |member: &str, default: Value| parameters.get(member).cloned().unwrap_or(default);
    object(json!({
        "clusterName": cluster,
        "principalArn": principal,
        "kubernetesGroups": asked("kubernetesGroups", json!([])),
        "accessEntryArn": format!("arn:aws:eks:{}:{ACCOUNT}:access-entry/{cluster}/{principal}", inner.region),
        "createdAt": created,
        "modifiedAt": created,
        "tags": asked("tags", json!({})),
        "username": asked("username", json!(principal)),
        "type": asked("type", json!("STANDARD")),
    }))
}

pub(super) fn create(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let cluster = path[1];
    let mut state = inner.state();
    let record = state.cluster(cluster)?;
    let principal = required(&call.parameters, "principalArn")?.to_owned();
    if !principal.starts_with("arn:") {
        return Err(
            Refusal::invalid_parameter("The principalArn parameter format is not valid").on_cluster(cluster),
        );
    }
    let groups = call
        .parameters
        .get("kubernetesGroups")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    if groups
        .filter_map(Value::as_str)
        .any(|group| group.starts_with("system:"))
    {
        let message = "The kubernetes group name must not start with system:";
        return Err(Refusal::invalid_parameter(message).on_cluster(cluster));
    }
    if record.entries.contains_key(&principal) {
        let message = "The specified access entry resource is already in use on this cluster.";
        return Err(Refusal::in_use(message).on_cluster(cluster));
    }
    let body = describe_new(inner, cluster, &principal, &call.parameters);
    record.entries.insert(
        principal,
        EntryRecord {
            body: body.clone(),
            policies: Vec::new(),
        },
    );
    Ok((json!({"accessEntry": body}), None))
}

pub(super) fn describe(inner: &Arc<Inner>, path: &[&str], _: Call<'_>) -> Outcome {
    let mut state = inner.state();
    let entry = state
        .cluster(path[1])?
        .entries
        .get(path[3])
        .ok_or_else(|| missing(path[1], path[3]))?;
    Ok((json!({"accessEntry": entry.body}), None))
}

pub(super) fn list(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let mut state = inner.state();
    let principals = state.cluster(path[1])?.entries.keys().cloned();
    Ok((page(&call, "accessEntries", principals)?, None))
}

pub(super) fn delete(inner: &Arc<Inner>, path: &[&str], _: Call<'_>) -> Outcome {
    let mut state = inner.state();
    match state.cluster(path[1])?.entries.remove(path[3]) {
        Some(_) => Ok((json!({}), None)),
        None => Err(missing(path[1], path[3])),
    }
}

pub(super) fn associate(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let (cluster, principal) = (path[1], path[3]);
    let mut state = inner.state();
    let entry = state
        .cluster(cluster)?
        .entries
        .get_mut(principal)
        .ok_or_else(|| missing(cluster, principal))?;
    let policy = required(&call.parameters, "policyArn")?;
    if !policy.starts_with("arn:aws:eks::aws:cluster-access-policy/") {
        return Err(
            Refusal::invalid_parameter("The policyArn parameter format is not valid").on_cluster(cluster),
        );
    }
    let scope = call.parameters.get("accessScope").cloned().unwrap_or_default();
    if scope["type"] != "cluster" && scope["type"] != "namespace" {
        return Err(
            Refusal::invalid_parameter("accessScope type must be cluster or namespace").on_cluster(cluster),
        );
    }
    let namespaces = scope["namespaces"].as_array().cloned().unwrap_or_default();
    let scope = json!({"type": scope["type"], "namespaces": namespaces});
    let associated = json!({
        "policyArn": policy, "accessScope": scope, "associatedAt": now(inner), "modifiedAt": now(inner),
    });
    entry.policies.retain(|have| have["policyArn"] != policy);
    entry.policies.push(associated.clone());
    let principal = text(&entry.body, "principalArn");
    let answer =
        json!({"clusterName": cluster, "principalArn": principal, "associatedAccessPolicy": associated});
    Ok((answer, None))
}
