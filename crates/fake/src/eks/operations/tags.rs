//! Tags of clusters, node groups and access entries, by ARN.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, Outcome, check_tags};
use crate::eks::{
    Inner,
    refusal::Refusal,
    state::{Body, State, text},
};

fn owner<'a>(state: &'a mut State, arn: &str) -> Result<&'a mut Body, Refusal> {
    if !arn.starts_with("arn:") {
        return Err(Refusal::new(
            400,
            "BadRequestException",
            "resourceArn is not a valid ARN",
        ));
    }
    for cluster in state.clusters.values_mut() {
        if text(&cluster.body, "arn") == arn {
            return Ok(&mut cluster.body);
        }
        let groups = cluster.nodegroups.values_mut().map(|group| &mut group.body);
        let entries = cluster.entries.values_mut().map(|entry| &mut entry.body);
        let found = groups
            .chain(entries)
            .find(|body| text(body, "nodegroupArn") == arn || text(body, "accessEntryArn") == arn);
        if let Some(body) = found {
            return Ok(body);
        }
    }
    Err(Refusal::new(
        404,
        "NotFoundException",
        format!("Resource {arn} not found"),
    ))
}

fn tags(body: &mut Body) -> Result<&mut Body, Refusal> {
    body.entry("tags")
        .or_insert_with(|| json!({}))
        .as_object_mut()
        .ok_or_else(|| Refusal::new(500, "ServerException", "tags are not a map"))
}

pub(super) fn tag(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let mut state = inner.state();
    let tags = tags(owner(&mut state, path[1])?)?;
    let mut after = tags.clone();
    after.extend(
        call.parameters
            .get("tags")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    );
    check_tags(Some(&Value::Object(after.clone())))
        .map_err(|refusal| Refusal::new(400, "BadRequestException", refusal.text()))?;
    *tags = after;
    Ok((json!({}), None))
}

pub(super) fn untag(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let mut state = inner.state();
    let tags = tags(owner(&mut state, path[1])?)?;
    for (_, key) in call.query.iter().filter(|(name, _)| name == "tagKeys") {
        tags.remove(key);
    }
    Ok((json!({}), None))
}

pub(super) fn list(inner: &Arc<Inner>, path: &[&str], _: Call<'_>) -> Outcome {
    let mut state = inner.state();
    let tags = tags(owner(&mut state, path[1])?)?.clone();
    Ok((json!({"tags": tags}), None))
}
