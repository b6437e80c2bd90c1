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

/// What the policies read, in the namespace's annotations; what is left out is forbidden, or free where nothing is named.
pub(crate) fn annotations(
    spec: &TenantSpec,
    tier: &TierSpec,
    environment: Environment,
    share: &Share,
) -> Vec<(&'static str, String)> {
    let highest = priority(tier, environment);
    let classes = Priority::ALL
        .into_iter()
        .filter(|priority| *priority <= highest)
        .map(|priority| priority.class().to_owned());
    let domains: BTreeSet<&str> = std::iter::once(&spec.domain)
        .chain(&spec.domains)
        .map(String::as_str)
        .filter(|domain| !domain.is_empty())
        .collect();
    let required: BTreeSet<&str> = tier
        .required_labels
        .iter()
        .chain(&spec.required_labels)
        .map(String::as_str)
        .collect();
    let has = |name: &str| share.get(name).is_some_and(|amount| amount.count() > 0);
    let resources = tier
        .extended_resources
        .iter()
        .filter(|resource| has(&extended(resource)))
        .cloned();
    let narrower = |own: &[String], tiers: &[String]| {
        let list = if own.is_empty() { tiers } else { own };
        list.join(",")
    };
    vec![
        (label::PRIORITY_CLASSES, classes.collect::<Vec<_>>().join(",")),
        (label::REGISTRIES, narrower(&spec.registries, &tier.registries)),
        (
            label::STORAGE_CLASSES,
            narrower(&spec.storage_classes, &tier.storage_classes),
        ),
        (
            label::INGRESS_DOMAINS,
            domains.into_iter().collect::<Vec<_>>().join(","),
        ),
        (
            label::REQUIRED_LABELS,
            required.into_iter().collect::<Vec<_>>().join(","),
        ),
        (label::EXTENDED_RESOURCES, resources.collect::<Vec<_>>().join(",")),
        (
            label::LOAD_BALANCERS,
            if has("services.loadbalancers") { "true" } else { "" }.to_owned(),
        ),
    ]
}
