//! Rules for a tenant's own amounts.

use berth_model::{
    Quantity, TenantSpec, TierSpec,
    quota::{OVERRIDABLE, hard},
};

use super::{faults::Faults, hint};

/// Names whose amounts may have fractions.
const FRACTIONAL: [&str; 2] = ["requests.cpu", "limits.cpu"];
const NANO: i128 = 1_000_000_000;

/// What is wrong whatever the tier.
pub(super) fn names(faults: &mut Faults, spec: &TenantSpec) {
    for (name, quantity) in &spec.quota {
        let path = format!("spec.quota[{name:?}]");
        if !OVERRIDABLE.contains(&name.as_str()) {
            faults.add(
                &path,
                "is no amount that a tenant can set",
                hint::nearest(name, OVERRIDABLE),
            );
        }
        amount(faults, &path, name, quantity);
    }
}

/// What is wrong with an amount of that name.
pub(super) fn amount(faults: &mut Faults, path: &str, name: &str, amount: &Quantity) {
    if amount.is_negative() {
        faults.add(path, format!("{amount} is below nothing"), "");
    } else if !FRACTIONAL.contains(&name) && amount.nanos() % NANO != 0 {
        faults.add(path, format!("{amount} is no whole number"), "");
    }
}

/// What the tier does not grant.
pub(super) fn grants(faults: &mut Faults, spec: &TenantSpec, tier: &TierSpec) {
    if let Some(amount) = spec.quota.get("services.loadbalancers")
        && amount.count() > u64::from(tier.load_balancers)
    {
        faults.add(
            "spec.quota[\"services.loadbalancers\"]",
            format!(
                "{amount} load balancers are more than the tier's {}",
                tier.load_balancers
            ),
            "choose a tier with more",
        );
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
