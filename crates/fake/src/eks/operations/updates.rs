//! Updates: what a change of a cluster or node group is called while and after it runs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, Outcome, now, page};
use crate::eks::{
    Inner,
    refusal::Refusal,
    state::{Body, ClusterRecord, UpdateRecord, object},
};

/// Notes down a change that has begun; its id and description.
pub(super) fn add(
    inner: &Inner,
    cluster: &mut ClusterRecord,
    serial: u64,
    kind: &str,
    parameters: Vec<Value>,
    nodegroup: Option<String>,
    changes: Vec<(String, Value)>,
) -> (String, Body) {
    let id = format!("{serial:08x}-0000-4000-8000-000000000000");
    let body = object(json!({
        "id": id, "status": "InProgress", "type": kind, "params": parameters, "createdAt": now(inner), "errors": [],
    }));
    cluster.updates.insert(
        id.clone(),
        UpdateRecord {
            body: body.clone(),
            nodegroup,
            changes,
        },
    );
    (id, body)
}

fn of_nodegroup(call: &Call<'_>) -> Option<String> {
    call.query
        .iter()
        .find(|(key, _)| key == "nodegroupName")
        .map(|(_, name)| name.clone())
}

pub(super) fn describe(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let group = of_nodegroup(&call);
    let mut state = inner.state();
    let found = state
        .cluster(path[1])?
        .updates
        .get(path[3])
        .filter(|update| update.nodegroup == group);
    match found {
        Some(update) => Ok((json!({"update": update.body}), None)),
        None => Err(Refusal::not_found(format!("No update found for ID: {}", path[3])).on_cluster(path[1])),
    }
}

pub(super) fn list(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let group = of_nodegroup(&call);
    let mut state = inner.state();
    let updates = state.cluster(path[1])?.updates.iter();
    let ids = updates
        .filter(|(_, update)| update.nodegroup == group)
        .map(|(id, _)| id.clone());
    Ok((page(&call, "updateIds", ids)?, None))
}
