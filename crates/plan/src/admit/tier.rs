//! Rules for tiers.

use std::{collections::BTreeSet, net::IpAddr};

use berth_model::{
    Isolation, TenantId, Tier, TierName, TierSpec, Violation,
    tier::{Bootstrap, ClusterTemplate, NodePoolTemplate},
};

use super::{
    Catalogue, Verdict, bundles,
    faults::{Faults, pasted_secrets, text_problem},
    hint, network, quota,
    tenant::feature_problem,
    walls,
};
use crate::place::Minor;

const LOGS: [&str; 5] = ["api", "audit", "authenticator", "controllerManager", "scheduler"];
/// Below `critical`, which has a field of its own.
const SEVERITIES: [&str; 3] = ["high", "medium", "low"];
/// Most nodes that a managed node group can have.
const MOST_NODES: u32 = 450;

/// Whether a tier may be made.
///
/// # Errors
/// Every fault, with its path.
pub fn tier(name: &str, spec: &TierSpec) -> Verdict {
    pasted_secrets(spec)?;
    let mut faults = Faults::default();
    check(&mut faults, name, spec);
    faults.verdict()
}

/// Whether there is what the tenants of a tier would run.
///
/// # Errors
/// Every fault, with its path.
pub fn tier_bundles(catalogue: &Catalogue, spec: &TierSpec) -> Verdict {
    let mut faults = Faults::default();
    bundles::check(&mut faults, catalogue, &spec.bundles, Some(&spec.secret_stores));
    faults.verdict()
}

/// Whether a tier may become `new`.
///
/// # Errors
/// Every fault, with its path; a change of the isolation is one.
pub fn tier_update(old: &Tier, new: &TierSpec) -> Verdict {
    pasted_secrets(new)?;
    let mut faults = Faults::default();
    if old.spec.isolation != new.isolation {
        faults.add(
            "spec.isolation",
            format!(
                "cannot be changed from {} to {}",
                old.spec.isolation, new.isolation
            ),
            "create another tier: the tenants of this one live where its isolation put them",
        );
    }
    check(&mut faults, old.name.as_str(), new);
    faults.verdict()
}

/// Whether a tier may be deleted, given who uses it.
///
/// # Errors
/// That it is in use, and by whom.
pub fn tier_delete<'a>(
    name: &TierName,
    users: impl IntoIterator<Item = &'a TenantId>,
) -> Result<(), Violation> {
    let users: Vec<&str> = users.into_iter().map(TenantId::as_str).collect();
    if users.is_empty() {
        return Ok(());
    }
    let some = users.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let more = if users.len() > 5 { ", ..." } else { "" };
    let problem = format!("tier {name} is in use by {} tenants: {some}{more}", users.len());
    Err(Violation::new(
        "metadata.name",
        problem,
        "delete these tenants or give them another tier of the same isolation first",
    ))
}

fn check(faults: &mut Faults, name: &str, spec: &TierSpec) {
    if let Err(error) = TierName::new(name) {
        faults.add(
            "metadata.name",
            error.problem,
            "a DNS label of at most 40 characters",
        );
    }
    let mut stores = BTreeSet::new();
    for (at, store) in spec.secret_stores.iter().enumerate() {
        let path = format!("spec.secretStores[{at}]");
        faults.check(&path, store.problem());
        if !stores.insert(&store.name) {
            faults.add(path, format!("store {:?} is there twice", store.name), "");
        }
    }
    faults.check("spec.displayName", text_problem(&spec.display_name, 128));
    for key in spec.features.keys() {
        faults.check(format!("spec.features[{key:?}]"), feature_problem(key));
    }
    if let Some(uptime) = &spec.sla.uptime_percent
        && (uptime.is_negative() || uptime.nanos() > 100_000_000_000)
    {
        faults.add(
            "spec.sla.uptimePercent",
            format!("{uptime} is no percentage"),
            "0 to 100, such as 99.9",
        );
    }
    faults.check("spec.sla.supportHours", text_problem(&spec.sla.support_hours, 64));
    for severity in spec.sla.response_minutes.keys() {
        if !SEVERITIES.contains(&severity.as_str()) {
            faults.add(
                format!("spec.sla.responseMinutes[{severity:?}]"),
                "is no severity",
                hint::nearest(severity, SEVERITIES),
            );
        }
    }
    amounts(faults, spec);
    walls::registries(faults, &spec.registries);
    walls::names(faults, "spec.storageClasses", &spec.storage_classes);
    walls::required_labels(faults, &spec.required_labels);
    if spec.pod_security_dev > Some(spec.pod_security) {
        faults.add(
            "spec.podSecurityDev",
            "is stricter than podSecurity",
            "development is held to the same or to less",
        );
    }
    network::tier(faults, spec);
    template(
        faults,
        "spec.nodePool",
        spec.isolation,
        Isolation::NodePool,
        spec.node_pool.is_some(),
    );
    template(
        faults,
        "spec.cluster",
        spec.isolation,
        Isolation::Cluster,
        spec.cluster.is_some(),
    );
    if let Some(pool) = &spec.node_pool {
        nodes(faults, "spec.nodePool", pool);
    }
    if let Some(made) = &spec.cluster {
        cluster(faults, made);
    }
}

/// Amounts that every tenant has, and that one may ask for.
fn amounts(faults: &mut Faults, spec: &TierSpec) {
    for (at, resource) in spec.extended_resources.iter().enumerate() {
        if !quota::is_extended_resource(resource) {
            faults.add(
                format!("spec.extendedResources[{at}]"),
                format!("{resource:?} is no extended resource"),
                "such as nvidia.com/gpu or nvidia.com/gpu.shared",
            );
        }
    }
    quota::names(faults, "spec.quota", &spec.quota);
    quota::names(faults, "spec.quotaMax", &spec.quota_max);
    for (name, amount) in &spec.quota {
        if let Some(most) = spec.quota_max.get(name)
            && amount > most
        {
            faults.add(
                format!("spec.quotaMax[{name:?}]"),
                format!("{most} is less than what every tenant has, {amount}"),
                "",
            );
        }
    }
}

fn template(faults: &mut Faults, path: &str, isolation: Isolation, of: Isolation, there: bool) {
    if isolation == of && !there {
        faults.add(path, format!("is missing: isolation {of} is made from it"), "");
    }
    if isolation != of && there {
        faults.add(
            path,
            format!("has no use with isolation {isolation}"),
            "leave it out",
        );
    }
}

fn nodes(faults: &mut Faults, path: &str, pool: &NodePoolTemplate) {
    if pool.instance_types.is_empty() {
        faults.add(
            format!("{path}.instanceTypes"),
            "is empty",
            "name at least one machine type",
        );
    }
    for (at, kind) in pool.instance_types.iter().enumerate() {
        if kind.is_empty()
            || !kind
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        {
            faults.add(
                format!("{path}.instanceTypes[{at}]"),
                format!("{kind:?} is no machine type"),
                "such as m6i.xlarge",
            );
        }
    }
    let (least, start, most) = (pool.min_nodes, pool.desired_nodes, pool.max_nodes);
    if least == 0 {
        faults.add(
            format!("{path}.minNodes"),
            "is 0: a tenant without nodes never becomes ready",
            "at least 1",
        );
    }
    if !(least <= start && start <= most) {
        faults.add(
            format!("{path}.desiredNodes"),
            format!("{start} is not between minNodes {least} and maxNodes {most}"),
            "minNodes <= desiredNodes <= maxNodes",
        );
    }
    if most > MOST_NODES {
        faults.add(
            format!("{path}.maxNodes"),
            format!("{most} is more than a node group can have"),
            format!("at most {MOST_NODES}"),
        );
    }
    if pool.disk_gib < 20 {
        faults.add(
            format!("{path}.diskGib"),
            format!("{} GiB is less than a node's image needs", pool.disk_gib),
            "at least 20",
        );
    }
    for (key, value) in &pool.labels {
        faults.check(format!("{path}.labels[{key:?}]"), hint::label_key_problem(key));
        faults.check(
            format!("{path}.labels[{key:?}]"),
            hint::label_value_problem(value),
        );
    }
}

fn cluster(faults: &mut Faults, made: &ClusterTemplate) {
    if Minor::parse_exact(&made.kubernetes_version).is_none() {
        let problem = format!("{:?} is no Kubernetes minor version", made.kubernetes_version);
        faults.add(
            "spec.cluster.kubernetesVersion",
            problem,
            "major and minor, such as 1.33",
        );
    }
    for (at, log) in made.logging.iter().enumerate() {
        if !LOGS.contains(&log.as_str()) {
            faults.add(
                format!("spec.cluster.logging[{at}]"),
                format!("there is no log {log:?}"),
                hint::nearest(log, LOGS),
            );
        }
    }
    for (at, cidr) in made.public_access_cidrs.iter().enumerate() {
        if !is_cidr(cidr) {
            faults.add(
                format!("spec.cluster.publicAccessCidrs[{at}]"),
                format!("{cidr:?} is no CIDR"),
                "such as 203.0.113.7/32",
            );
        }
    }
    if made.bootstrap == Bootstrap::PublicThenPrivate && made.public_access_cidrs.is_empty() {
        faults.add(
            "spec.cluster.publicAccessCidrs",
            "is empty, and bootstrap public-then-private would open the endpoint to everybody",
            "name the CIDRs the hub comes from",
        );
    }
    for key in made.tags.keys() {
        if key.is_empty() || key.len() > 128 || key.starts_with("aws:") || key.starts_with("berth.dev/") {
            faults.add(
                format!("spec.cluster.tags[{key:?}]"),
                "cannot be set: empty, longer than 128, or reserved",
                "not aws: or berth.dev/",
            );
        }
    }
    nodes(faults, "spec.cluster.nodes", &made.nodes);
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}
