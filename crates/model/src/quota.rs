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

/// The quota names a tenant may set. Extended resources of the tier come to them, as [`extended`] names them.
pub const OVERRIDABLE: [&str; 24] = [
    "requests.cpu",
    "requests.memory",
    "limits.cpu",
    "limits.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
    "pods",
    "services",
    "services.loadbalancers",
    "persistentvolumeclaims",
    "configmaps",
    "secrets",
    "count/pods",
    "count/serviceaccounts",
    "count/deployments.apps",
    "count/statefulsets.apps",
    "count/daemonsets.apps",
    "count/replicasets.apps",
    "count/jobs.batch",
    "count/cronjobs.batch",
    "count/ingresses.networking.k8s.io",
    "count/horizontalpodautoscalers.autoscaling",
    "count/poddisruptionbudgets.policy",
];

/// The quota name of an extended resource such as `nvidia.com/gpu`.
#[must_use]
pub fn extended(resource: &str) -> String {
    format!("requests.{resource}")
}

/// Whether `name` is one that a quota of one PriorityClass can hold.
#[must_use]
pub fn scoped_by_priority(name: &str) -> bool {
    matches!(
        name,
        "pods" | "requests.cpu" | "requests.memory" | "limits.cpu" | "limits.memory"
    )
}

/// The size in force for `spec` under `tier`.
#[must_use]
pub fn size_of(spec: &TenantSpec, tier: &TierSpec) -> SizeName {
    spec.size.unwrap_or(tier.default_size)
}

/// The hard limits of the tenant as a whole. One ResourceQuota holds them when it has one namespace; with more they are split.
#[must_use]
pub fn hard(spec: &TenantSpec, tier: &TierSpec) -> BTreeMap<String, Quantity> {
    let mut hard = granted(spec, tier);
    for (name, amount) in &spec.quota {
        hard.insert(name.clone(), amount.clone());
    }
    hard
}

/// The most that the tenant may set `name` to: what its size and tier give, or what the tier lets it ask for.
#[must_use]
pub fn most(spec: &TenantSpec, tier: &TierSpec, name: &str) -> Quantity {
    let given = granted(spec, tier).remove(name).unwrap_or_else(|| 0.into());
    tier.quota_max
        .get(name)
        .cloned()
        .unwrap_or_else(|| 0.into())
        .max(given)
}

/// What comes with the size and the tier, before the tenant says anything.
///
/// Every kind that a tenant can make is counted: one that is not could fill a cluster. `pods` leaves finished pods out, so
/// `count/pods` is there too.
fn granted(spec: &TenantSpec, tier: &TierSpec) -> BTreeMap<String, Quantity> {
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
    put("replicationcontrollers", 0.into());
    put("count/pods", (pods * 3).into());
    // Berth's own six are among them.
    put("count/serviceaccounts", 26.into());
    put("count/deployments.apps", 20.into());
    put("count/statefulsets.apps", 20.into());
    put("count/daemonsets.apps", 10.into());
    // A Deployment keeps ten old ones.
    put("count/replicasets.apps", 220.into());
    put("count/jobs.batch", 50.into());
    put("count/cronjobs.batch", 20.into());
    put("count/ingresses.networking.k8s.io", 10.into());
    put("count/horizontalpodautoscalers.autoscaling", 20.into());
    put("count/poddisruptionbudgets.policy", 20.into());
    for resource in &tier.extended_resources {
        put(&extended(resource), 0.into());
    }
    for (name, amount) in &tier.quota {
        put(name, amount.clone());
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
