//! What a tenant may use: the size's amounts, the tier's grants and the tenant's own overrides, under Kubernetes' quota names.
//!
//! The planner reserves by this and the renderer writes it, so a cluster is never promised more than it was counted for.

use std::collections::BTreeMap;

use crate::{
    quantity::Quantity,
    resources::Capacity,
    tenant::TenantSpec,
    tier::{Size, SizeName, TierSpec},
};

/// The quota names a tenant may override.
pub const OVERRIDABLE: [&str; 16] = [
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
    "requests.nvidia.com/gpu",
    "pods",
    "services",
    "services.loadbalancers",
    "persistentvolumeclaims",
    "configmaps",
    "secrets",
    "count/deployments.apps",
    "count/jobs.batch",
];

/// The size in force for `spec` under `tier`.
#[must_use]
pub fn size_of(spec: &TenantSpec, tier: &TierSpec) -> SizeName {
    spec.size.unwrap_or(tier.default_size)
}

/// The hard limits of the tenant as a whole. One ResourceQuota holds them when it has one namespace; with more they are split.
#[must_use]
pub fn hard(spec: &TenantSpec, tier: &TierSpec) -> BTreeMap<String, Quantity> {
    let size: Size = size_of(spec, tier).size();
    let n = size.quota_replicas();
    let pods = n * 5;
    let mut hard: BTreeMap<String, Quantity> = BTreeMap::new();
    let mut put = |name: &str, amount: Quantity| {
        hard.insert(name.to_owned(), amount);
    };
    put("requests.cpu", size.request_cpu.times(n).into());
    put("requests.memory", size.request_memory.times(n).into());
    put("limits.cpu", size.limit_cpu.times(n).into());
    put("limits.memory", size.limit_memory.times(n).into());
    put("requests.storage", size.storage.into());
    put("requests.ephemeral-storage", crate::Bytes(n << 30).into());
    put("limits.ephemeral-storage", crate::Bytes(n << 31).into());
    put("requests.nvidia.com/gpu", 0.into());
    put("pods", pods.into());
    put("services", 10.into());
    put("services.loadbalancers", u64::from(tier.load_balancers).into());
    put("services.nodeports", 0.into());
    put("persistentvolumeclaims", 10.into());
    // One more of each than a tenant sees: `kube-root-ca.crt` uses a ConfigMap.
    put("configmaps", 51.into());
    put("secrets", 50.into());
    put("count/deployments.apps", 20.into());
    put("count/jobs.batch", 50.into());
    for (name, amount) in &spec.quota {
        hard.insert(name.clone(), amount.clone());
    }
    hard
}

/// What the tenant reserves on a cluster: the requests and pods of its quota.
#[must_use]
pub fn reservation(spec: &TenantSpec, tier: &TierSpec) -> Capacity {
    let hard = hard(spec, tier);
    Capacity {
        cpu: hard
            .get("requests.cpu")
            .map(Quantity::milli_cpu)
            .unwrap_or_default(),
        memory: hard
            .get("requests.memory")
            .map(Quantity::bytes)
            .unwrap_or_default(),
        pods: hard.get("pods").map(Quantity::count).unwrap_or_default(),
    }
}
