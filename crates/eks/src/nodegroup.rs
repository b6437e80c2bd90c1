//! Node groups: what a tenant's node pool and the nodes of a tenant's cluster are in EKS.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_eks::{
    Client,
    error::SdkError,
    types::{
        AmiTypes, CapacityTypes, Nodegroup, NodegroupScalingConfig, NodegroupStatus, Taint, TaintEffect,
        UpdateLabelsPayload,
    },
};
use berth_model::tier::{CapacityType, NodePoolTemplate};
use berth_provision::{Failure, Origin};

use crate::{classes, failure};

/// A node group as wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) step: &'static str,
    pub(crate) cluster: &'a str,
    pub(crate) name: &'a str,
    pub(crate) template: &'a NodePoolTemplate,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taint: Option<berth_provision::Taint>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) subnets: &'a [String],
    pub(crate) node_role: &'a str,
    pub(crate) ami_type: &'a str,
}

/// Node counts as EKS takes them: at least one node may exist, the start lies between fewest and most.
fn scaling(template: &NodePoolTemplate, desired: i32) -> NodegroupScalingConfig {
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let most = count(template.max_nodes).max(1);
    let fewest = count(template.min_nodes).min(most);
    NodegroupScalingConfig::builder()
        .min_size(fewest)
        .max_size(most)
        .desired_size(desired.clamp(fewest, most))
        .build()
}

/// The node group called `name`, if there is one.
pub(crate) async fn find(eks: &Client, cluster: &str, name: &str) -> Result<Option<Nodegroup>, Failure> {
    match eks
        .describe_nodegroup()
        .cluster_name(cluster)
        .nodegroup_name(name)
        .send()
        .await
    {
        Ok(answer) => Ok(answer.nodegroup),
        Err(SdkError::ServiceError(answer)) if answer.err().is_resource_not_found_exception() => Ok(None),
        Err(error) => Err(failure::of_call(
            &format!("describe node group {name} of cluster {cluster}"),
            error,
        )),
    }
}

/// Starts making it. Making what is there already is no failure: the next look finds it.
pub(crate) async fn create(eks: &Client, want: &Wanted<'_>) -> Result<(), Failure> {
    let template = want.template;
    let capacity = match template.capacity_type {
        CapacityType::OnDemand => CapacityTypes::OnDemand,
        CapacityType::Spot => CapacityTypes::Spot,
    };
    let taints = want.taint.as_ref().map(|taint| {
        let taint = Taint::builder()
            .key(&taint.key)
            .value(&taint.value)
            .effect(TaintEffect::NoSchedule);
        vec![taint.build()]
    });
    let outcome = eks
        .create_nodegroup()
        .cluster_name(want.cluster)
        .nodegroup_name(want.name)
        .client_request_token(want.origin.token(want.step))
        .scaling_config(scaling(
            template,
            i32::try_from(template.desired_nodes).unwrap_or(i32::MAX),
        ))
        .disk_size(i32::try_from(template.disk_gib).unwrap_or(i32::MAX))
        .set_subnets(Some(want.subnets.to_vec()))
        .set_instance_types(Some(template.instance_types.clone()))
        .ami_type(AmiTypes::from(want.ami_type))
        .capacity_type(capacity)
        .node_role(want.node_role)
        .set_labels(Some(want.labels.clone().into_iter().collect()))
        .set_taints(taints)
        .set_tags(Some(want.tags.clone().into_iter().collect()))
        .send()
        .await;
    match outcome {
        Ok(_) => Ok(()),
        Err(error) => Err(failure::of_call(
            &format!("create node group {} of cluster {}", want.name, want.cluster),
            error,
        )),
    }
}

/// Starts removing it; fine when it is gone.
pub(crate) async fn delete(eks: &Client, cluster: &str, name: &str) -> Result<(), Failure> {
    match eks
        .delete_nodegroup()
        .cluster_name(cluster)
        .nodegroup_name(name)
        .send()
        .await
    {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(answer)) if answer.err().is_resource_not_found_exception() => Ok(()),
        Err(error) => Err(failure::of_call(
            &format!("delete node group {name} of cluster {cluster}"),
            error,
        )),
    }
}

/// Names of the cluster's node groups, whoever made them.
pub(crate) async fn list(eks: &Client, cluster: &str) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    let mut pages = eks
        .list_nodegroups()
        .cluster_name(cluster)
        .into_paginator()
        .items()
        .send();
    while let Some(name) = pages.next().await {
        match name {
            Ok(name) => names.push(name),
            Err(SdkError::ServiceError(answer)) if answer.err().is_resource_not_found_exception() => break,
            Err(error) => {
                return Err(failure::of_call(
                    &format!("list node groups of cluster {cluster}"),
                    error,
                ));
            }
        }
    }
    Ok(names)
}

/// Brings fewest, most and labels of an active node group to what is wanted. How many there are between fewest and most
/// is an autoscaler's. True when EKS was asked to change something.
pub(crate) async fn align(eks: &Client, want: &Wanted<'_>, found: &Nodegroup) -> Result<bool, Failure> {
    let has = found.scaling_config();
    let desired = has
        .and_then(NodegroupScalingConfig::desired_size)
        .unwrap_or_default();
    let wanted = scaling(want.template, desired);
    let same_size =
        has.is_some_and(|has| has.min_size() == wanted.min_size() && has.max_size() == wanted.max_size());
    let labels: HashMap<_, _> = want
        .labels
        .iter()
        .filter(|(key, value)| found.labels().and_then(|has| has.get(*key)) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if same_size && labels.is_empty() {
        return Ok(false);
    }
    let mut call = eks
        .update_nodegroup_config()
        .cluster_name(want.cluster)
        .nodegroup_name(want.name);
    if !same_size {
        call = call.scaling_config(wanted);
    }
    if !labels.is_empty() {
        call = call.labels(
            UpdateLabelsPayload::builder()
                .set_add_or_update_labels(Some(labels))
                .build(),
        );
    }
    call.send().await.map_err(|error| {
        failure::of_call(
            &format!("update node group {} of cluster {}", want.name, want.cluster),
            error,
        )
    })?;
    Ok(true)
}

/// That it is ours.
pub(crate) fn own(origin: &Origin, group: &Nodegroup) -> Result<(), Failure> {
    let tags = group.tags();
    match origin.disowned_by(|key| tags.and_then(|tags| tags.get(key)).map(String::as_str)) {
        None => Ok(()),
        Some(found) => {
            let name = group.nodegroup_name().unwrap_or_default();
            let cluster = group.cluster_name().unwrap_or_default();
            Err(Failure::not_ours(
                &format!("node group {name} of cluster {cluster}"),
                &found,
            ))
        }
    }
}

/// The failure a node group's status means, if it means one.
pub(crate) fn trouble(group: &Nodegroup) -> Option<Failure> {
    let (state, class): (_, fn(&str) -> _) = match group.status()? {
        NodegroupStatus::CreateFailed => ("could not be made", classes::of_making),
        NodegroupStatus::DeleteFailed => ("could not be removed", classes::of_running),
        NodegroupStatus::Degraded => ("is degraded", classes::of_running),
        _ => return None,
    };
    let object = format!(
        "node group {} {state}",
        group.nodegroup_name().unwrap_or_default()
    );
    let issues = group.health().map(|health| health.issues()).unwrap_or_default();
    let issues = issues
        .iter()
        .map(|issue| (issue.code().map(|code| code.as_str()), issue.message()));
    Some(failure::of_issues(&object, issues, class))
}

/// Nodes asked for.
pub(crate) fn desired(group: &Nodegroup) -> u32 {
    let desired = group
        .scaling_config()
        .and_then(NodegroupScalingConfig::desired_size)
        .unwrap_or_default();
    u32::try_from(desired).unwrap_or_default()
}
