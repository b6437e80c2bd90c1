//! Operations on node groups.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, Outcome, check_name, check_tags, now, page, required, updates};
use crate::eks::{
    ACCOUNT, Inner,
    lifecycle::Transition,
    machines,
    refusal::Refusal,
    state::{Asked, Body, NodegroupRecord, Repetition, member, object, set_status, status, text},
};

pub(super) fn create(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let cluster = path[1];
    let asked = Asked::new(&call.parameters);
    let mut state = inner.state();
    let serial = state.next_serial();
    let record = state.cluster(cluster)?;
    let name = required(&call.parameters, "nodegroupName")?.to_owned();
    let about = |refusal: Refusal| refusal.on_cluster(cluster).on_nodegroup(&name);
    if let Some(existing) = record.nodegroups.get(&name) {
        return match existing.asked.as_ref().map(|first| first.repeated_by(&asked)) {
            Some(Repetition::Same) => Ok((json!({"nodegroup": existing.body}), None)),
            _ => Err(about(Refusal::in_use(format!(
                "NodeGroup already exists with name {name} and cluster name {cluster}"
            )))),
        };
    }
    let firsts = record
        .nodegroups
        .values()
        .filter_map(|group| group.asked.as_ref());
    if firsts
        .into_iter()
        .any(|first| matches!(first.repeated_by(&asked), Repetition::Mismatch))
    {
        return Err(about(Refusal::invalid_request(
            "Idempotent parameter mismatch: clientRequestToken was used before",
        )));
    }
    if status(&record.body) != "ACTIVE" {
        let message = format!("Cluster '{cluster}' is not in ACTIVE status");
        return Err(about(Refusal::invalid_request(message)));
    }
    validate(inner, &name, &call.parameters).map_err(about)?;
    if record.nodegroups.len() >= inner.limits.nodegroups {
        return Err(about(Refusal::limit("NodeGroup limit exceeded for cluster")));
    }
    let version = text(&record.body, "version").to_owned();
    let body = describe_new(inner, cluster, &name, serial, &version, &call.parameters);
    let breaks = inner.faults.broken_nodegroup();
    record.nodegroups.insert(
        name.clone(),
        NodegroupRecord {
            body: body.clone(),
            asked: Some(asked),
            breaks,
        },
    );
    let transition = Transition::CreateNodegroup {
        cluster: cluster.to_owned(),
        group: name,
    };
    Ok((json!({"nodegroup": body}), Some(transition)))
}

fn validate(inner: &Inner, name: &str, parameters: &Body) -> Result<(), Refusal> {
    check_name("nodegroup", name, 63)?;
    if !required(parameters, "nodeRole")?.starts_with("arn:") {
        return Err(Refusal::invalid_parameter("nodeRole: Role is not a valid ARN"));
    }
    if parameters
        .get("subnets")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        return Err(Refusal::invalid_parameter("Subnets cannot be empty"));
    }
    for kind in parameters
        .get("instanceTypes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let kind = kind.as_str().unwrap_or_default();
        if machines::machine(kind).is_none() {
            return Err(Refusal::invalid_parameter(format!(
                "The following supplied instance types do not exist: [{kind}]"
            )));
        }
    }
    check_scaling(inner, parameters.get("scalingConfig").unwrap_or(&Value::Null))?;
    check_taints(parameters.get("taints"))?;
    check_tags(parameters.get("tags"))
}

fn check_scaling(inner: &Inner, scaling: &Value) -> Result<(), Refusal> {
    if scaling.is_null() {
        return Ok(());
    }
    let count = |member: &str| scaling[member].as_u64();
    let (Some(min), Some(max), Some(desired)) = (count("minSize"), count("maxSize"), count("desiredSize"))
    else {
        return Err(Refusal::invalid_parameter(
            "scalingConfig needs minSize, maxSize and desiredSize",
        ));
    };
    if max < 1 {
        return Err(Refusal::invalid_parameter("maxSize must be at least 1"));
    }
    if min > max {
        return Err(Refusal::invalid_parameter(format!(
            "Minimum capacity {min} can't be greater than maximum {max}"
        )));
    }
    if desired < min {
        return Err(Refusal::invalid_parameter(format!(
            "desired capacity {desired} can't be less than min size {min}"
        )));
    }
    if desired > max {
        return Err(Refusal::invalid_parameter(format!(
            "desired capacity {desired} can't be greater than max size {max}"
        )));
    }
    if max > inner.limits.nodes {
        return Err(Refusal::limit(format!(
            "maxSize {max} exceeds {} nodes per node group",
            inner.limits.nodes
        )));
    }
    Ok(())
}

fn check_taints(taints: Option<&Value>) -> Result<(), Refusal> {
    for taint in taints.and_then(Value::as_array).into_iter().flatten() {
        if !["NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE"]
            .iter()
            .any(|effect| taint["effect"] == *effect)
        {
            return Err(Refusal::invalid_parameter(format!(
                "taint effect {} is not valid",
                taint["effect"]
            )));
        }
    }
    Ok(())
}

fn describe_new(
    inner: &Inner,
    cluster: &str,
    name: &str,
    serial: u64,
    version: &str,
    parameters: &Body,
) -> Body {
    let asked = |member: &str, default: Value| parameters.get(member).cloned().unwrap_or(default);
    let created = now(inner);
    object(json!({
        "nodegroupName": name,
        "nodegroupArn": format!("arn:aws:eks:{}:{ACCOUNT}:nodegroup/{cluster}/{name}/{serial:08x}", inner.region),
        "clusterName": cluster,
        "version": version,
        "releaseVersion": format!("{version}.0-20261101"),
        "createdAt": created,
        "modifiedAt": created,
        "status": "CREATING",
        "capacityType": asked("capacityType", json!("ON_DEMAND")),
        "scalingConfig": asked("scalingConfig", json!({"minSize": 1, "maxSize": 2, "desiredSize": 2})),
        "instanceTypes": asked("instanceTypes", json!(["t3.medium"])),
        "subnets": asked("subnets", json!([])),
        "amiType": asked("amiType", json!("AL2023_x86_64_STANDARD")),
        "nodeRole": asked("nodeRole", Value::Null),
        "labels": asked("labels", json!({})),
        "taints": asked("taints", json!([])),
        "resources": {"autoScalingGroups": [{"name": format!("eks-{name}-{serial:08x}")}]},
        "diskSize": asked("diskSize", json!(20)),
        "health": {"issues": []},
        "updateConfig": {"maxUnavailable": 1},
        "tags": asked("tags", json!({})),
    }))
}

pub(super) fn describe(inner: &Arc<Inner>, path: &[&str], _: Call<'_>) -> Outcome {
    Ok((
        json!({"nodegroup": inner.state().cluster(path[1])?.nodegroup(path[3])?.body}),
        None,
    ))
}

pub(super) fn list(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let mut state = inner.state();
    let names = state.cluster(path[1])?.nodegroups.keys().cloned();
    Ok((page(&call, "nodegroups", names)?, None))
}

pub(super) fn delete(inner: &Arc<Inner>, path: &[&str], _: Call<'_>) -> Outcome {
    let (cluster, group) = (path[1], path[3]);
    let mut state = inner.state();
    let record = state.cluster(cluster)?.nodegroup(group)?;
    if status(&record.body) == "DELETING" {
        return Err(Refusal::in_use("NodeGroup is already being deleted")
            .on_cluster(cluster)
            .on_nodegroup(group));
    }
    set_status(&mut record.body, "DELETING");
    let body = record.body.clone();
    let transition = Transition::DeleteNodegroup {
        cluster: cluster.to_owned(),
        group: group.to_owned(),
    };
    Ok((json!({"nodegroup": body}), Some(transition)))
}

pub(super) fn update_config(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let (cluster, group) = (path[1], path[3]);
    let about = |refusal: Refusal| refusal.on_cluster(cluster).on_nodegroup(group);
    let mut state = inner.state();
    let serial = state.next_serial();
    let record = state.cluster(cluster)?;
    let body = &mut record.nodegroup(group)?.body;
    if status(body) != "ACTIVE" {
        return Err(about(Refusal::in_use(format!(
            "Nodegroup is in state {}",
            status(body)
        ))));
    }
    let mut changes = Vec::new();
    let mut parameters = Vec::new();
    if let Some(asked) = call.parameters.get("scalingConfig").and_then(Value::as_object) {
        let mut scaling = member(body, "scalingConfig").clone();
        for (member, kind) in [
            ("minSize", "MinSize"),
            ("maxSize", "MaxSize"),
            ("desiredSize", "DesiredSize"),
        ] {
            if let Some(value) = asked.get(member) {
                scaling[member] = value.clone();
                parameters.push(json!({"type": kind, "value": value.to_string()}));
            }
        }
        check_scaling(inner, &scaling).map_err(about)?;
        changes.push(("/scalingConfig".to_owned(), scaling));
    }
    if let Some(asked) = call.parameters.get("labels") {
        let mut labels = member(body, "labels").as_object().cloned().unwrap_or_default();
        labels.extend(
            asked["addOrUpdateLabels"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
        );
        for key in asked["removeLabels"].as_array().into_iter().flatten() {
            labels.remove(key.as_str().unwrap_or_default());
        }
        changes.push(("/labels".to_owned(), Value::Object(labels)));
        parameters.push(json!({"type": "LabelsToAdd", "value": asked["addOrUpdateLabels"].to_string()}));
    }
    if changes.is_empty() {
        return Err(about(Refusal::invalid_parameter(
            "nothing to change: scalingConfig and labels can be",
        )));
    }
    set_status(body, "UPDATING");
    let group_ = Some(group.to_owned());
    let (id, body) = updates::add(inner, record, serial, "ConfigUpdate", parameters, group_, changes);
    Ok((
        json!({"update": body}),
        Some(Transition::Update {
            cluster: cluster.to_owned(),
            id,
        }),
    ))
}
