//! Rules for what a tenant says of single workloads: that it can be kept within its quota, and that nodes can still be drained.

use std::collections::BTreeSet;

use berth_model::{
    TenantSpec, TierSpec,
    id::is_dns_subdomain,
    quota,
    workload::{Autoscaling, Disruption, WorkloadPolicy},
};

use super::faults::Faults;

pub(super) fn check(faults: &mut Faults, spec: &TenantSpec, tier: Option<&TierSpec>) {
    let mut seen = BTreeSet::new();
    for (at, policy) in spec.workloads.iter().enumerate() {
        let path = format!("spec.workloads[{at}]");
        if !is_dns_subdomain(&policy.name) {
            faults.add(
                format!("{path}.name"),
                format!("{:?} is no name", policy.name),
                "",
            );
        }
        if !seen.insert((policy.kind, &policy.name)) {
            faults.add(
                &path,
                format!("{} {:?} is there twice", policy.kind.as_str(), policy.name),
                "",
            );
        }
        if policy.autoscaling.is_none() && policy.disruption.is_none() {
            faults.add(&path, "says nothing", "set autoscaling or disruption");
        }
        if let Some(scaling) = &policy.autoscaling {
            autoscaling(faults, &format!("{path}.autoscaling"), scaling);
            if let Some(tier) = tier {
                room(faults, spec, tier, &path, policy, scaling);
            }
        }
        disruption(faults, &path, policy);
    }
}

fn autoscaling(faults: &mut Faults, path: &str, scaling: &Autoscaling) {
    let (least, most) = (scaling.min_replicas, scaling.max_replicas);
    if least == 0 {
        faults.add(
            format!("{path}.minReplicas"),
            "is 0: what has no pod has no metric to grow by",
            "at least 1",
        );
    }
    if most < least.max(1) {
        faults.add(
            format!("{path}.maxReplicas"),
            format!("{most} is less than minReplicas {least}"),
            "",
        );
    }
    for (field, percent) in [
        ("cpuPercent", scaling.cpu_percent),
        ("memoryPercent", scaling.memory_percent),
    ] {
        if percent.is_some_and(|percent| percent > 1000) {
            faults.add(format!("{path}.{field}"), "is no utilisation", "1 to 1000");
        }
    }
    if let Some(metric) = &scaling.metric {
        let fine = !metric.name.is_empty()
            && metric.name.len() <= 253
            && metric
                .name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
        if !fine {
            faults.add(
                format!("{path}.metric.name"),
                format!("{:?} is no metric", metric.name),
                "such as http_requests_per_second",
            );
        }
        if metric.average.nanos() <= 0 {
            faults.add(format!("{path}.metric.average"), "must be more than nothing", "");
        }
    }
    // The API server refuses a longer window.
    if scaling.scale_down_seconds > 3600 {
        faults.add(
            format!("{path}.scaleDownSeconds"),
            "is more than an hour",
            "0 to 3600",
        );
    }
    if scaling.scale_down_percent.is_some_and(|percent| percent > 100) {
        faults.add(
            format!("{path}.scaleDownPercent"),
            "is more than everything",
            "1 to 100",
        );
    }
}

/// Pods beyond the quota would never be made; that is no mistake in itself, and is told.
fn room(
    faults: &mut Faults,
    spec: &TenantSpec,
    tier: &TierSpec,
    path: &str,
    policy: &WorkloadPolicy,
    scaling: &Autoscaling,
) {
    let hard = quota::hard(spec, tier);
    let pods = hard.get("pods").map_or(0, berth_model::Quantity::count);
    if u64::from(scaling.min_replicas) > pods {
        faults.add(
            format!("{path}.autoscaling.minReplicas"),
            format!(
                "{} pods are more than the tenant may have: {pods}",
                scaling.min_replicas
            ),
            format!("at most {pods}, or more pods in spec.quota"),
        );
    } else if u64::from(scaling.max_replicas) > pods {
        faults.warn(format!(
            "{} {} can grow to {} pods and the tenant may have {pods}: at most {pods} are reachable",
            policy.kind.as_str(),
            policy.name,
            scaling.max_replicas
        ));
    }
}

fn disruption(faults: &mut Faults, path: &str, policy: &WorkloadPolicy) {
    let path = format!("{path}.disruption");
    match policy.disruption {
        Some(Disruption::MaxUnavailable(0)) => faults.add(
            format!("{path}.maxUnavailable"),
            "is 0: no node could ever be drained",
            "at least 1",
        ),
        Some(Disruption::MinAvailable(stay)) => {
            if let Some(scaling) = &policy.autoscaling
                && stay >= scaling.min_replicas
            {
                faults.add(
                    format!("{path}.minAvailable"),
                    format!(
                        "{stay} is not less than the fewest replicas, {}: no node could ever be drained",
                        scaling.min_replicas
                    ),
                    "fewer, or maxUnavailable: 1",
                );
            }
        }
        Some(Disruption::MaxUnavailable(_)) | None => {}
    }
}
