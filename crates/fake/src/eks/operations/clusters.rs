//! Operations on clusters.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Call, Outcome, check_name, check_tags, now, page, required, updates};
use crate::{
    access::Access,
    eks::{
        ACCOUNT, Inner,
        authenticate::ADMIN_POLICY,
        lifecycle::Transition,
        refusal::Refusal,
        state::{
            Asked, Body, ClusterRecord, EntryRecord, Repetition, member, object, set_status, status, text,
        },
    },
};

const VERSIONS: [&str; 6] = ["1.31", "1.32", "1.33", "1.34", "1.35", "1.36"];
const LOG_TYPES: [&str; 5] = ["api", "audit", "authenticator", "controllerManager", "scheduler"];

pub(super) fn create(inner: &Arc<Inner>, _: &[&str], call: Call<'_>) -> Outcome {
    let asked = Asked::new(&call.parameters);
    let name = required(&call.parameters, "name")?.to_owned();
    let mut state = inner.state();
    if let Some(existing) = state.clusters.get(&name) {
        return match existing.asked.as_ref().map(|first| first.repeated_by(&asked)) {
            Some(Repetition::Same) => Ok((json!({"cluster": existing.body}), None)),
            _ => Err(Refusal::in_use(format!("Cluster already exists with name: {name}")).on_cluster(&name)),
        };
    }
    let token_reused = state
        .clusters
        .values()
        .filter_map(|cluster| cluster.asked.as_ref())
        .any(|first| matches!(first.repeated_by(&asked), Repetition::Mismatch));
    if token_reused {
        return Err(Refusal::invalid_parameter(
            "Idempotent parameter mismatch: clientRequestToken was used before",
        ));
    }
    validate(&name, &call.parameters).map_err(|refusal| refusal.on_cluster(&name))?;
    if state.clusters.len() >= inner.limits.clusters {
        return Err(Refusal::limit("Cluster limit exceeded for account").on_cluster(&name));
    }
    let serial = state.next_serial();
    let body = describe_new(inner, &name, serial, &call.parameters);
    let mut record = ClusterRecord {
        body: body.clone(),
        asked: Some(asked),
        breaks: inner.faults.broken_cluster(),
        ..ClusterRecord::default()
    };
    if member(&call.parameters, "accessConfig")["bootstrapClusterCreatorAdminPermissions"] != json!(false) {
        record.entries.insert(
            call.caller.arn.clone(),
            administrator(inner, &name, &call.caller.arn),
        );
    }
    state.clusters.insert(name.clone(), record);
    Ok((
        json!({"cluster": body}),
        Some(Transition::CreateCluster { cluster: name }),
    ))
}

fn validate(name: &str, parameters: &Body) -> Result<(), Refusal> {
    check_name("cluster", name, 100)?;
    if !required(parameters, "roleArn")?.starts_with("arn:") {
        return Err(Refusal::invalid_parameter("roleArn: Role is not a valid ARN"));
    }
    let subnets = member(parameters, "resourcesVpcConfig")["subnetIds"]
        .as_array()
        .map_or(0, Vec::len);
    if subnets < 2 {
        return Err(Refusal::invalid_parameter(
            "Subnets specified must be in at least two different AZs",
        ));
    }
    let version = text(parameters, "version");
    if !version.is_empty() && !VERSIONS.contains(&version) {
        return Err(Refusal::invalid_parameter(format!(
            "unsupported Kubernetes version {version}"
        )));
    }
    check_endpoints(member(parameters, "resourcesVpcConfig"))?;
    check_logging(member(parameters, "logging"))?;
    check_tags(parameters.get("tags"))
}

fn check_endpoints(vpc: &Value) -> Result<(), Refusal> {
    if vpc["endpointPublicAccess"] == json!(false) && vpc["endpointPrivateAccess"] != json!(true) {
        return Err(Refusal::invalid_parameter(
            "Private and public endpoint access cannot be false",
        ));
    }
    Ok(())
}

fn check_logging(logging: &Value) -> Result<(), Refusal> {
    let setups = logging["clusterLogging"].as_array().into_iter().flatten();
    let unknown = setups
        .flat_map(|setup| setup["types"].as_array().into_iter().flatten())
        .find(|kind| !LOG_TYPES.iter().any(|known| *kind == known));
    match unknown {
        Some(kind) => Err(Refusal::invalid_parameter(format!(
            "log type {kind} is not valid"
        ))),
        None => Ok(()),
    }
}

fn or<'a>(value: &'a Value, default: &'a Value) -> &'a Value {
    if value.is_null() { default } else { value }
}

fn describe_new(inner: &Inner, name: &str, serial: u64, parameters: &Body) -> Body {
    let asked = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let vpc = &asked("resourcesVpcConfig");
    let public = or(&vpc["endpointPublicAccess"], &Value::Bool(true)).clone();
    let cidrs = if public == json!(true) {
        or(&vpc["publicAccessCidrs"], &json!(["0.0.0.0/0"])).clone()
    } else {
        json!([])
    };
    let on: Vec<Value> = asked("logging")["clusterLogging"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|setup| setup["enabled"] == json!(true))
        .flat_map(|setup| setup["types"].as_array().cloned().unwrap_or_default())
        .collect();
    let off: Vec<&str> = LOG_TYPES
        .into_iter()
        .filter(|kind| !on.iter().any(|on| on == kind))
        .collect();
    let version = text(parameters, "version");
    object(json!({
        "name": name,
        "arn": format!("arn:aws:eks:{}:{ACCOUNT}:cluster/{name}", inner.region),
        "createdAt": now(inner),
        "version": if version.is_empty() { VERSIONS[VERSIONS.len() - 1] } else { version },
        "roleArn": asked("roleArn"),
        "resourcesVpcConfig": {
            "subnetIds": vpc["subnetIds"],
            "securityGroupIds": or(&vpc["securityGroupIds"], &json!([])),
            "clusterSecurityGroupId": format!("sg-{serial:017x}"),
            "vpcId": format!("vpc-{serial:017x}"),
            "endpointPublicAccess": public,
            "endpointPrivateAccess": or(&vpc["endpointPrivateAccess"], &json!(false)),
            "publicAccessCidrs": cidrs,
        },
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.96.0.0/16", "ipFamily": "ipv4"},
        "logging": {"clusterLogging": [{"types": on, "enabled": true}, {"types": off, "enabled": false}]},
        "identity": {"oidc": {"issuer": format!("https://oidc.eks.{}.amazonaws.com/id/{serial:032X}", inner.region)}},
        "status": "CREATING",
        "certificateAuthority": {},
        "platformVersion": "eks.1",
        "tags": or(&asked("tags"), &json!({})),
        "health": {"issues": []},
        "accessConfig": {
            "bootstrapClusterCreatorAdminPermissions":
                or(&asked("accessConfig")["bootstrapClusterCreatorAdminPermissions"], &json!(true)),
            "authenticationMode": or(&asked("accessConfig")["authenticationMode"], &json!("CONFIG_MAP")),
        },
        "deletionProtection": false,
    }))
}

/// The entry of an administrator.
fn administrator(inner: &Inner, cluster: &str, principal: &str) -> EntryRecord {
    let policy = json!({
        "policyArn": ADMIN_POLICY, "accessScope": {"type": "cluster", "namespaces": []},
        "associatedAt": now(inner), "modifiedAt": now(inner),
    });
    let body = super::access_entries::describe_new(inner, cluster, principal, &Body::new());
    EntryRecord {
        body,
        policies: vec![policy],
    }
}

/// Shows where an active cluster is reached.
pub(in crate::eks) fn show_access(body: &mut Body, access: &Access) {
    body.insert("endpoint".to_owned(), json!(access.url));
    body.insert(
        "certificateAuthority".to_owned(),
        json!({"data": STANDARD.encode(&access.ca_pem)}),
    );
}

/// Takes in a cluster that exists already.
pub(in crate::eks) fn adopt(inner: &Inner, name: &str, access: Access, version: &str, region: &str) {
    let mut state = inner.state();
    if !state.clusters.contains_key(name) {
        let serial = state.next_serial();
        let parameters = object(json!({
            "version": version,
            "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/adopted"),
            "resourcesVpcConfig": {"subnetIds": ["subnet-1", "subnet-2"]},
        }));
        let mut body = describe_new(inner, name, serial, &parameters);
        body.insert(
            "arn".to_owned(),
            json!(format!("arn:aws:eks:{region}:{ACCOUNT}:cluster/{name}")),
        );
        set_status(&mut body, "ACTIVE");
        let mut record = ClusterRecord {
            body,
            adopted: true,
            ..ClusterRecord::default()
        };
        let first = inner.keys.first().arn;
        record
            .entries
            .insert(first.clone(), administrator(inner, name, &first));
        state.clusters.insert(name.to_owned(), record);
    }
    if let Ok(record) = state.cluster(name) {
        show_access(&mut record.body, &access);
        record.access = Some(access);
    }
}

pub(super) fn describe(inner: &Arc<Inner>, path: &[&str], _: Call<'_>) -> Outcome {
    Ok((json!({"cluster": inner.state().cluster(path[1])?.body}), None))
}

pub(super) fn list(inner: &Arc<Inner>, _: &[&str], call: Call<'_>) -> Outcome {
    Ok((
        page(&call, "clusters", inner.state().clusters.keys().cloned())?,
        None,
    ))
}

pub(super) fn delete(inner: &Arc<Inner>, path: &[&str], _: Call<'_>) -> Outcome {
    let name = path[1];
    let mut state = inner.state();
    let record = state.cluster(name)?;
    let in_use = |why: &str| Err(Refusal::in_use(why).on_cluster(name));
    match status(&record.body) {
        "CREATING" => return in_use("Cluster cannot be deleted while it is being created"),
        "UPDATING" => return in_use("Cannot delete because cluster has an update in progress"),
        "DELETING" => return in_use("Cluster is already being deleted"),
        _ => {}
    }
    if !record.nodegroups.is_empty() {
        return in_use("Cluster has nodegroups attached");
    }
    set_status(&mut record.body, "DELETING");
    let body = record.body.clone();
    Ok((
        json!({"cluster": body}),
        Some(Transition::DeleteCluster {
            cluster: name.to_owned(),
        }),
    ))
}

pub(super) fn update_config(inner: &Arc<Inner>, path: &[&str], call: Call<'_>) -> Outcome {
    let name = path[1];
    let mut state = inner.state();
    let serial = state.next_serial();
    let record = state.cluster(name)?;
    if status(&record.body) != "ACTIVE" {
        let message = format!("Cannot update a cluster in state {}", status(&record.body));
        return Err(Refusal::in_use(message).on_cluster(name));
    }
    let vpc = &call
        .parameters
        .get("resourcesVpcConfig")
        .cloned()
        .unwrap_or_default();
    if !vpc.is_object() {
        return Err(
            Refusal::invalid_parameter("only resourcesVpcConfig can be changed here").on_cluster(name),
        );
    }
    let mut after = member(&record.body, "resourcesVpcConfig").clone();
    let mut parameters = Vec::new();
    for (member, kind) in [
        ("endpointPublicAccess", "EndpointPublicAccess"),
        ("endpointPrivateAccess", "EndpointPrivateAccess"),
        ("publicAccessCidrs", "PublicAccessCidrs"),
    ] {
        if !vpc[member].is_null() {
            after[member] = vpc[member].clone();
            parameters.push(json!({"type": kind, "value": vpc[member].to_string()}));
        }
    }
    check_endpoints(&after).map_err(|refusal| refusal.on_cluster(name))?;
    if after["endpointPublicAccess"] == json!(false) {
        after["publicAccessCidrs"] = json!([]);
    }
    if after == *member(&record.body, "resourcesVpcConfig") {
        return Err(
            Refusal::invalid_parameter("Cluster is already at the desired configuration").on_cluster(name),
        );
    }
    set_status(&mut record.body, "UPDATING");
    let changes = vec![("/resourcesVpcConfig".to_owned(), after)];
    let (id, body) = updates::add(
        inner,
        record,
        serial,
        "EndpointAccessUpdate",
        parameters,
        None,
        changes,
    );
    Ok((
        json!({"update": body}),
        Some(Transition::Update {
            cluster: name.to_owned(),
            id,
        }),
    ))
}
