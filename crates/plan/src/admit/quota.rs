//! Rules for a tenant's own amounts.

use std::collections::BTreeMap;

use berth_model::{
    Quantity, TenantSpec, TierSpec,
    quota::{OVERRIDABLE, extended, hard, most},
};

use super::{faults::Faults, hint};

/// Names whose amounts may have fractions.
const FRACTIONAL: [&str; 2] = ["requests.cpu", "limits.cpu"];
const NANO: i128 = 1_000_000_000;

/// What is wrong with amounts whatever the tier.
pub(super) fn names(faults: &mut Faults, path: &str, amounts: &BTreeMap<String, Quantity>) {
    for (name, quantity) in amounts {
        let path = format!("{path}[{name:?}]");
        if !OVERRIDABLE.contains(&name.as_str()) && !is_extended(name) {
            faults.add(
                &path,
                "is no amount of a tenant's quota",
                hint::nearest(name, OVERRIDABLE),
            );
        }
        amount(faults, &path, name, quantity);
    }
}

/// What is wrong with an amount of that name.
fn amount(faults: &mut Faults, path: &str, name: &str, amount: &Quantity) {
    if amount.is_negative() {
        faults.add(path, format!("{amount} is below nothing"), "");
    } else if !FRACTIONAL.contains(&name) && amount.nanos() % NANO != 0 {
        faults.add(path, format!("{amount} is no whole number"), "");
    }
}

/// `requests.` and an extended resource such as `nvidia.com/gpu`.
fn is_extended(name: &str) -> bool {
    name.strip_prefix("requests.").is_some_and(is_extended_resource)
}

/// Whether `name` is one that device plug-ins give their resources: a domain that is not Kubernetes' own, and a name.
pub(super) fn is_extended_resource(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(domain, _)| domain.contains('.') && hint::label_key_problem(name).is_none())
}

/// What the tier does not grant.
pub(super) fn grants(faults: &mut Faults, spec: &TenantSpec, tier: &TierSpec) {
    for (name, amount) in &spec.quota {
        let path = format!("spec.quota[{name:?}]");
        if is_extended(name)
            && !tier
                .extended_resources
                .iter()
                .any(|resource| extended(resource) == *name)
            && amount.nanos() > 0
        {
            faults.add(
                &path,
                "is no resource of this tier",
                if tier.extended_resources.is_empty() {
                    "choose a tier that has it in extendedResources".to_owned()
                } else {
                    hint::nearest(
                        name,
                        tier.extended_resources.iter().map(|resource| extended(resource)),
                    )
                },
            );
            continue;
        }
        if !OVERRIDABLE.contains(&name.as_str()) && !is_extended(name) {
            continue;
        }
        let most = most(spec, tier, name);
        if *amount > most {
            faults.add(
                &path,
                format!("{amount} is more than the tier gives a tenant of this size: {most}"),
                "choose a larger size, or a tier whose quotaMax has more",
            );
        }
    }
    let hard = hard(spec, tier);
    for (requests, limits) in [
        ("requests.cpu", "limits.cpu"),
        ("requests.memory", "limits.memory"),
        ("requests.ephemeral-storage", "limits.ephemeral-storage"),
    ] {
        if let (Some(asked), Some(limit)) = (hard.get(requests), hard.get(limits))
            && asked > limit
        {
            faults.warn(format!("{requests} is {asked} and {limits} is {limit}: no more than {limit} can be requested, since no request may exceed its limit"));
        }
    }
}
