//! What a tenant says of single workloads: a HorizontalPodAutoscaler and a PodDisruptionBudget for each.

use berth_model::{
    Violation,
    workload::{Autoscaling, CPU_PERCENT, Disruption, MEMORY_PERCENT, WorkloadPolicy},
};
use serde_json::{Value, json};

use crate::{Input, meta};

/// Adds to `objects` what the tenant says of them. Names of what is added are those of the workloads.
pub(super) fn add(input: &Input<'_>, objects: &mut Vec<Value>, violations: &mut Vec<Violation>) {
    for (at, policy) in input.tenant.spec.workloads.iter().enumerate() {
        let path = format!("spec.workloads[{at}]");
        let kind = policy.kind.as_str();
        let Some(workload) = objects
            .iter_mut()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == policy.name.as_str())
        else {
            violations.push(Violation::new(
                format!("{path}.name"),
                format!("there is no {kind} {:?} in the tenant's bundles", policy.name),
                "name a workload of one of spec.bundles",
            ));
            continue;
        };
        let replicas = workload["spec"]["replicas"].as_u64().unwrap_or(1);
        let selector = workload["spec"]["selector"].clone();
        let namespace = workload["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let bundle = workload["metadata"]["labels"][berth_model::label::BUNDLE].clone();
        if policy.autoscaling.is_some()
            && let Some(spec) = workload["spec"].as_object_mut()
        {
            // Whoever applies a number of replicas fights with the autoscaler over it.
            spec.remove("replicas");
        }
        let mut metadata = meta::namespaced(input.tenant, &namespace, &policy.name);
        metadata["labels"][berth_model::label::BUNDLE] = bundle;
        let mut add = |kind: &str, version: &str, spec: Value| {
            if objects
                .iter()
                .any(|object| object["kind"] == kind && object["metadata"]["name"] == policy.name.as_str())
            {
                violations.push(Violation::new(
                    path.clone(),
                    format!("a bundle has a {kind} {:?} already", policy.name),
                    "leave one of the two out",
                ));
                return;
            }
            objects.push(json!({
                "apiVersion": version, "kind": kind, "metadata": metadata.clone(), "spec": spec,
            }));
        };
        if let Some(scaling) = &policy.autoscaling {
            add(
                "HorizontalPodAutoscaler",
                "autoscaling/v2",
                autoscaler(policy, scaling),
            );
        }
        if let Some(disruption) = policy.disruption {
            let fewest = policy
                .autoscaling
                .as_ref()
                .map_or(replicas, |scaling| u64::from(scaling.min_replicas));
            match most_unavailable(disruption, fewest) {
                Some(most) => add(
                    "PodDisruptionBudget",
                    "policy/v1",
                    json!({
                        "maxUnavailable": most,
                        "selector": selector,
                        // A pod that never gets ready would stop every eviction otherwise.
                        "unhealthyPodEvictionPolicy": "AlwaysAllow",
                    }),
                ),
                None => violations.push(Violation::new(
                    format!("{path}.disruption.minAvailable"),
                    format!("leaves none of {fewest} replicas to go: no node could ever be drained"),
                    "fewer, or more replicas",
                )),
            }
        }
    }
}

/// How many may go, whichever way it was said. `minAvailable` becomes what it means for the fewest replicas: with more of them
/// more stay than were asked for.
fn most_unavailable(disruption: Disruption, fewest: u64) -> Option<u64> {
    match disruption {
        Disruption::MaxUnavailable(most) => Some(u64::from(most)),
        Disruption::MinAvailable(stay) => fewest.checked_sub(u64::from(stay)),
    }
    .filter(|most| *most > 0)
}

fn autoscaler(policy: &WorkloadPolicy, scaling: &Autoscaling) -> Value {
    let utilisation = |name: &str, percent: u32| {
        json!({
            "type": "Resource",
            "resource": {"name": name, "target": {"type": "Utilization", "averageUtilization": percent}},
        })
    };
    let silent =
        scaling.cpu_percent.is_none() && scaling.memory_percent.is_none() && scaling.metric.is_none();
    let (cpu, memory) = if silent {
        (Some(CPU_PERCENT), Some(MEMORY_PERCENT))
    } else {
        (scaling.cpu_percent, scaling.memory_percent)
    };
    let mut metrics: Vec<Value> = Vec::new();
    metrics.extend(cpu.map(|percent| utilisation("cpu", percent)));
    metrics.extend(memory.map(|percent| utilisation("memory", percent)));
    metrics.extend(scaling.metric.as_ref().map(|metric| {
        json!({
            "type": "Pods",
            "pods": {
                "metric": {"name": metric.name},
                "target": {"type": "AverageValue", "averageValue": metric.average.as_str()},
            },
        })
    }));
    let mut down = json!({"stabilizationWindowSeconds": scaling.scale_down_seconds});
    if let Some(percent) = scaling.scale_down_percent {
        down["policies"] = json!([{"type": "Percent", "value": percent, "periodSeconds": 60}]);
    }
    json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": policy.kind.as_str(), "name": policy.name},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": metrics,
        "behavior": {"scaleDown": down},
    })
}
