//! What the tenant may use, divided over its namespaces, and what a container gets that names nothing.

use std::collections::BTreeMap;

use berth_model::{Bytes, MilliCpu, Quantity, Tenant, TenantSpec, TierSpec, quota, tenant::Environment};
use serde_json::{Map, Value, json};

use crate::{Input, meta, namespace::Namespace};

/// The name of the quota and of the limit range in each namespace.
const NAME: &str = "berth";
/// Ephemeral storage of a container that names none: what the quota counts for a replica.
const EPHEMERAL_REQUEST: Bytes = Bytes(1 << 30);
const EPHEMERAL_LIMIT: Bytes = Bytes(2 << 30);
/// The smallest volume worth its management.
const SMALLEST_VOLUME: Bytes = Bytes(1 << 30);

/// Hard limits of one namespace, by quota name.
pub(crate) type Share = BTreeMap<String, Quantity>;

/// What each of the tenant's namespaces gets, in their order, the main one first.
pub(crate) fn shares(spec: &TenantSpec, tier: &TierSpec) -> Vec<Share> {
    let weights = weights(spec);
    let mut shares = vec![Share::new(); weights.len()];
    for (name, amount) in quota::hard(spec, tier) {
        if weights.len() == 1 || WHOLE_IN_EACH.contains(&name.as_str()) {
            for share in &mut shares {
                share.insert(name.clone(), amount.clone());
            }
            continue;
        }
        let (total, step) = match unit(&name) {
            Unit::Cpu => (amount.milli_cpu().0, 1),
            // Whole mebibytes read better, as long as there is one for everybody.
            Unit::Bytes if amount.bytes().0 / 100 >= MEBIBYTE => (amount.bytes().0, MEBIBYTE),
            Unit::Bytes => (amount.bytes().0, 1),
            Unit::Count => (amount.count(), 1),
        };
        for (share, part) in shares.iter_mut().zip(divide(total, step, &weights)) {
            let part = match unit(&name) {
                Unit::Cpu => MilliCpu(part).into(),
                Unit::Bytes => Bytes(part).into(),
                Unit::Count => part.into(),
            };
            share.insert(name.clone(), part);
        }
    }
    shares
}

/// Not divided: Berth's own accounts are in every namespace.
const WHOLE_IN_EACH: [&str; 1] = ["count/serviceaccounts"];
/// The weight of a namespace that is no environment, beside those that are.
const BESIDE_ENVIRONMENTS: u32 = 10;
const MEBIBYTE: u64 = 1 << 20;

/// How the tenant's quota is divided: as it says itself, by environment where it has several, evenly otherwise.
fn weights(spec: &TenantSpec) -> Vec<u32> {
    let parts = spec.parts();
    let is_environment = |extra: &str| Environment::ALL.iter().any(|known| known.as_str() == extra);
    let by_environment = parts.iter().any(|part| part.extra.is_some_and(is_environment));
    parts
        .iter()
        .enumerate()
        .map(|(at, part)| {
            if let Some(own) = spec.quota_split.get(part.word()) {
                *own
            } else if !by_environment {
                1
            } else if at == 0 || part.extra.is_some_and(is_environment) {
                part.environment.share()
            } else {
                BESIDE_ENVIRONMENTS
            }
        })
        .collect()
}

enum Unit {
    Cpu,
    Bytes,
    Count,
}

fn unit(name: &str) -> Unit {
    match name.rsplit('.').next().unwrap_or(name) {
        "cpu" => Unit::Cpu,
        "memory" | "storage" | "ephemeral-storage" => Unit::Bytes,
        _ => Unit::Count,
    }
}

/// `total` by `weights`, in whole steps, by the largest remainder; what makes no step goes to the first. The parts add up to `total`.
fn divide(total: u64, step: u64, weights: &[u32]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let steps = u128::from(total / step);
    if sum == 0 {
        let mut parts = vec![0; weights.len()];
        if let Some(first) = parts.first_mut() {
            *first = total;
        }
        return parts;
    }
    let mut parts: Vec<u128> = Vec::with_capacity(weights.len());
    let mut remainders: Vec<(u128, std::cmp::Reverse<usize>)> = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let exact = steps * u128::from(*weight);
        parts.push(exact / sum);
        remainders.push((exact % sum, std::cmp::Reverse(at)));
    }
    let left = steps - parts.iter().sum::<u128>();
    remainders.sort_unstable_by(|one, other| other.cmp(one));
    for (_, std::cmp::Reverse(at)) in remainders
        .into_iter()
        .take(usize::try_from(left).unwrap_or(usize::MAX))
    {
        parts[at] += 1;
    }
    let mut parts: Vec<u64> = parts
        .into_iter()
        .map(|part| u64::try_from(part * u128::from(step)).unwrap_or(u64::MAX))
        .collect();
    if let Some(first) = parts.first_mut() {
        *first += total % step;
    }
    parts
}

pub(crate) fn resource_quota(tenant: &Tenant, namespace: &str, share: &Share) -> Value {
    let hard: Map<String, Value> = share
        .iter()
        .map(|(name, amount)| (name.clone(), amount.as_str().into()))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": meta::namespaced(tenant, namespace, NAME),
        "spec": {"hard": hard},
    })
}

/// Amounts for containers that name none, without which the quota would refuse them, and the most one container may have:
/// a replica of the size, and never more than the namespace has.
pub(crate) fn limit_range(input: &Input<'_>, namespace: &str, share: &Share) -> Value {
    let size = quota::size_of(&input.tenant.spec, &input.tier.spec).size();
    let cpu = |name: &str, most: MilliCpu| share.get(name).map_or(most, |have| have.milli_cpu().min(most));
    let bytes = |name: &str, most: Bytes| share.get(name).map_or(most, |have| have.bytes().min(most));
    let limit_cpu = cpu("limits.cpu", size.limit_cpu);
    let limit_memory = bytes("limits.memory", size.limit_memory);
    let limit_ephemeral = bytes("limits.ephemeral-storage", EPHEMERAL_LIMIT);
    let request_cpu = cpu("requests.cpu", size.request_cpu).min(limit_cpu);
    let request_memory = bytes("requests.memory", size.request_memory).min(limit_memory);
    let request_ephemeral = bytes("requests.ephemeral-storage", EPHEMERAL_REQUEST).min(limit_ephemeral);
    // Where requests equal limits, so do the defaults, and the ratio holds everybody to it.
    let guaranteed = input.tier.spec.guaranteed_qos;
    let (default_cpu, default_memory) = if guaranteed {
        (request_cpu, request_memory)
    } else {
        (limit_cpu, limit_memory)
    };
    let mut container = json!({
        "type": "Container",
        "defaultRequest": {
            "cpu": request_cpu.to_string(),
            "memory": request_memory.to_string(),
            "ephemeral-storage": request_ephemeral.to_string(),
        },
        "default": {
            "cpu": default_cpu.to_string(),
            "memory": default_memory.to_string(),
            "ephemeral-storage": limit_ephemeral.to_string(),
        },
        "max": {
            "cpu": limit_cpu.to_string(),
            "memory": limit_memory.to_string(),
            "ephemeral-storage": bytes("limits.ephemeral-storage", Bytes(u64::MAX)).to_string(),
        },
    });
    if guaranteed {
        container["maxLimitRequestRatio"] = json!({"cpu": "1", "memory": "1"});
    }
    let mut limits = vec![container];
    let storage = bytes("requests.storage", Bytes(u64::MAX));
    if storage.0 > 0 {
        limits.push(json!({
            "type": "PersistentVolumeClaim",
            "min": {"storage": SMALLEST_VOLUME.min(storage).to_string()},
            "max": {"storage": storage.to_string()},
        }));
    }
    json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": meta::namespaced(input.tenant, namespace, NAME),
        "spec": {"limits": limits},
    })
}

/// Quotas of single priorities, which count beside the one of everything.
pub(crate) fn priority_quotas(tenant: &Tenant, namespace: &Namespace<'_>) -> Vec<Value> {
    let quotas = tenant.spec.priority_quota.iter();
    quotas
        .map(|(priority, amounts)| {
            let hard: Map<String, Value> = amounts
                .iter()
                .map(|(name, amount)| (name.clone(), amount.as_str().into()))
                .collect();
            json!({
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": meta::namespaced(tenant, &namespace.name, &format!("{NAME}-{}", priority.as_str())),
                "spec": {
                    "hard": hard,
                    "scopeSelector": {"matchExpressions": [
                        {"scopeName": "PriorityClass", "operator": "In", "values": [priority.class()]},
                    ]},
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thirty_twenty_and_fifty_lose_nothing_to_rounding() {
        for (total, parts) in [
            (100, [50, 20, 30]),
            (10, [5, 2, 3]),
            (4, [2, 1, 1]),
            (3, [1, 1, 1]),
            (1, [1, 0, 0]),
            (0, [0, 0, 0]),
        ] {
            assert_eq!(divide(total, 1, &[50, 20, 30]), parts, "{total}");
        }
    }

    proptest! {
        #[test]
        fn parts_add_up_and_are_within_a_step_of_what_they_should_be(
            total in any::<u64>(),
            weights in proptest::collection::vec(0_u32..1000, 1..9),
            mebibytes in any::<bool>(),
        ) {
            let step = if mebibytes { MEBIBYTE } else { 1 };
            let parts = divide(total, step, &weights);
            prop_assert_eq!(parts.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(total));
            let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
            prop_assume!(sum > 0);
            for (at, part) in parts.iter().enumerate() {
                let exact = u128::from(total / step) * u128::from(weights[at]) / sum * u128::from(step);
                let most = exact + u128::from(step) + if at == 0 { u128::from(total % step) } else { 0 };
                prop_assert!(u128::from(*part) >= exact && u128::from(*part) <= most);
            }
        }
    }
}
