//! What the cluster's admission policies hold a namespace to: its Pod Security level and the annotations they read.
//!
//! The policies are fixed and come with the agent; all that differs between tenants is said here.

use std::collections::BTreeSet;

use berth_model::{
    TenantSpec, TierSpec, label,
    quota::extended,
    tenant::Environment,
    tier::{PodSecurity, Priority},
};

use crate::quota::Share;

/// The level that pods of a namespace are held to.
pub(crate) fn pod_security(spec: &TenantSpec, tier: &TierSpec, environment: Environment) -> PodSecurity {
    let of_tier = match environment {
        Environment::Dev => tier.pod_security_dev.unwrap_or(tier.pod_security),
        Environment::Staging | Environment::Production => tier.pod_security,
    };
    spec.pod_security.unwrap_or(of_tier)
}

/// The highest priority of pods: the tier's in production, and below it the others, so that production comes first whatever runs there.
pub(crate) fn priority(tier: &TierSpec, environment: Environment) -> Priority {
    match environment {
        Environment::Production => tier.priority,
        Environment::Staging => tier.priority.min(Priority::Standard),
        Environment::Dev => Priority::Low,
    }
}

/// The tenant's own list where it has one, and the tier's otherwise: admission has seen to it that it is narrower.
pub(crate) const fn narrower<'a>(own: &'a [String], of_tier: &'a [String]) -> &'a [String] {
    if own.is_empty() { of_tier } else { own }
}

/// Domains that Ingresses may serve.
pub(crate) fn domains(spec: &TenantSpec) -> Vec<String> {
    let all: BTreeSet<&String> = std::iter::once(&spec.domain)
        .chain(&spec.domains)
        .filter(|domain| !domain.is_empty())
        .collect();
    all.into_iter().cloned().collect()
}

/// Keys of labels that pods and workloads carry.
pub(crate) fn required_labels(spec: &TenantSpec, tier: &TierSpec) -> Vec<String> {
    let all: BTreeSet<&String> = tier.required_labels.iter().chain(&spec.required_labels).collect();
    all.into_iter().cloned().collect()
}

/// Extended resources of which the namespace has any.
pub(crate) fn extended_resources(tier: &TierSpec, share: &Share) -> Vec<String> {
    let resources = tier.extended_resources.iter();
    resources
        .filter(|resource| has(share, &extended(resource)))
        .cloned()
        .collect()
}

/// Whether the namespace may have Services of type LoadBalancer.
pub(crate) fn load_balancers(share: &Share) -> bool {
    has(share, "services.loadbalancers")
}

fn has(share: &Share, name: &str) -> bool {
    share.get(name).is_some_and(|amount| amount.count() > 0)
}

/// What the policies read, in the namespace's annotations; what is left out is forbidden, or free where nothing is named.
pub(crate) fn annotations(
    spec: &TenantSpec,
    tier: &TierSpec,
    environment: Environment,
    share: &Share,
) -> Vec<(&'static str, String)> {
    let highest = priority(tier, environment);
    let classes: Vec<&str> = Priority::ALL
        .into_iter()
        .filter(|priority| *priority <= highest)
        .map(Priority::class)
        .collect();
    let balancers = if load_balancers(share) { "true" } else { "" };
    vec![
        (label::PRIORITY_CLASSES, classes.join(",")),
        (
            label::REGISTRIES,
            narrower(&spec.registries, &tier.registries).join(","),
        ),
        (
            label::STORAGE_CLASSES,
            narrower(&spec.storage_classes, &tier.storage_classes).join(","),
        ),
        (label::INGRESS_DOMAINS, domains(spec).join(",")),
        (label::REQUIRED_LABELS, required_labels(spec, tier).join(",")),
        (
            label::EXTENDED_RESOURCES,
            extended_resources(tier, share).join(","),
        ),
        (label::LOAD_BALANCERS, balancers.to_owned()),
    ]
}
