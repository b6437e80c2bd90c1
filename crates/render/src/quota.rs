//! What the tenant may use, divided over its namespaces, and what a container gets that names nothing.

use std::collections::BTreeMap;

use berth_model::{Bytes, MilliCpu, Quantity, Tenant, TenantSpec, TierSpec, quota};
use serde_json::{Map, Value, json};

use crate::{Input, meta};

/// The name of the quota and of the limit range in each namespace.
const NAME: &str = "berth";
/// Ephemeral storage of a container that names none: what the quota counts for a replica.
const EPHEMERAL_REQUEST: Bytes = Bytes(1 << 30);
const EPHEMERAL_LIMIT: Bytes = Bytes(2 << 30);
/// The smallest volume worth its management.
const SMALLEST_VOLUME: Bytes = Bytes(1 << 30);

/// Hard limits of one namespace, by quota name.
pub(crate) type Share = BTreeMap<String, Quantity>;

/// What the namespace at place `at` of `namespaces` gets: an even part of each amount, the first one with what is left over.
pub(crate) fn share(spec: &TenantSpec, tier: &TierSpec, namespaces: usize, at: usize) -> Share {
    let hard = quota::hard(spec, tier);
    if namespaces <= 1 {
        return hard;
    }
    let parts = namespaces as u64;
    hard.into_iter()
        .map(|(name, amount)| {
            let part = match unit(&name) {
                Unit::Cpu => MilliCpu(divide(amount.milli_cpu().0, parts, 1, at)).into(),
                Unit::Bytes => {
                    let bytes = amount.bytes().0;
                    // Whole mebibytes read better, as long as there is one for everybody.
                    let step = if bytes / parts >= MEBIBYTE { MEBIBYTE } else { 1 };
                    Bytes(divide(bytes, parts, step, at)).into()
                }
                Unit::Count => divide(amount.count(), parts, 1, at).into(),
            };
            (name, part)
        })
        .collect()
}

const MEBIBYTE: u64 = 1 << 20;

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

fn divide(amount: u64, parts: u64, step: u64, at: usize) -> u64 {
    let part = amount / parts / step * step;
    if at == 0 {
        amount - part * (parts - 1)
    } else {
        part
    }
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
    let container = json!({
        "type": "Container",
        "defaultRequest": {
            "cpu": cpu("requests.cpu", size.request_cpu).min(limit_cpu).to_string(),
            "memory": bytes("requests.memory", size.request_memory).min(limit_memory).to_string(),
            "ephemeral-storage": bytes("requests.ephemeral-storage", EPHEMERAL_REQUEST).min(limit_ephemeral).to_string(),
        },
        "default": {
            "cpu": limit_cpu.to_string(),
            "memory": limit_memory.to_string(),
            "ephemeral-storage": limit_ephemeral.to_string(),
        },
        "max": {"cpu": limit_cpu.to_string(), "memory": limit_memory.to_string()},
    });
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_add_up_and_only_the_first_is_larger(amount in any::<u64>(), parts in 1_u64..9, mebibytes in any::<bool>()) {
            let step = if mebibytes { MEBIBYTE } else { 1 };
            let all: Vec<u64> = (0..parts).map(|at| divide(amount, parts, step, usize::try_from(at).unwrap())).collect();
            prop_assert_eq!(all.iter().map(|part| u128::from(*part)).sum::<u128>(), u128::from(amount));
            prop_assert!(all[1..].iter().all(|part| *part <= all[0] && part.is_multiple_of(step)));
            prop_assert!(all[1..].windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}
