//! What a tenant says of single workloads.

use berth_model::workload::{
    Autoscaling, Disruption, PodMetric, SCALE_DOWN_SECONDS, WorkloadKind, WorkloadPolicy,
};
use berth_proto::v1::{self, workload_policy};

use crate::{faults::Faults, words};

pub(crate) fn workload_to_proto(policy: &WorkloadPolicy) -> v1::WorkloadPolicy {
    v1::WorkloadPolicy {
        kind: policy.kind.as_str().into(),
        name: policy.name.clone(),
        autoscaling: policy.autoscaling.as_ref().map(|scaling| v1::Autoscaling {
            min_replicas: scaling.min_replicas,
            max_replicas: scaling.max_replicas,
            cpu_percent: scaling.cpu_percent.unwrap_or_default(),
            memory_percent: scaling.memory_percent.unwrap_or_default(),
            metric: scaling.metric.as_ref().map(|metric| v1::PodMetric {
                name: metric.name.clone(),
                average: metric.average.to_string(),
            }),
            scale_down_seconds: Some(scaling.scale_down_seconds),
            scale_down_percent: scaling.scale_down_percent.unwrap_or_default(),
        }),
        disruption: policy.disruption.map(|budget| match budget {
            Disruption::MinAvailable(pods) => workload_policy::Disruption::MinAvailable(pods),
            Disruption::MaxUnavailable(pods) => workload_policy::Disruption::MaxUnavailable(pods),
        }),
    }
}

pub(crate) fn workloads_from_proto(
    faults: &mut Faults,
    path: &str,
    policies: &[v1::WorkloadPolicy],
) -> Vec<WorkloadPolicy> {
    policies
        .iter()
        .enumerate()
        .filter_map(|(at, policy)| workload_from_proto(faults, &format!("{path}[{at}]"), policy))
        .collect()
}

fn workload_from_proto(
    faults: &mut Faults,
    path: &str,
    policy: &v1::WorkloadPolicy,
) -> Option<WorkloadPolicy> {
    if policy.name.is_empty() {
        faults.add(&format!("{path}.name"), "is required", "");
    }
    let kind = faults.choice_or(
        &format!("{path}.kind"),
        &policy.kind,
        &words::WORKLOAD_KINDS,
        WorkloadKind::Deployment,
    );
    let some = |number: u32| (number > 0).then_some(number);
    let autoscaling = policy.autoscaling.as_ref().map(|scaling| Autoscaling {
        min_replicas: scaling.min_replicas,
        max_replicas: scaling.max_replicas,
        cpu_percent: some(scaling.cpu_percent),
        memory_percent: some(scaling.memory_percent),
        metric: scaling.metric.as_ref().and_then(|metric| {
            let average = faults.quantity(&format!("{path}.autoscaling.metric.average"), &metric.average)?;
            Some(PodMetric {
                name: metric.name.clone(),
                average,
            })
        }),
        scale_down_seconds: scaling.scale_down_seconds.unwrap_or(SCALE_DOWN_SECONDS),
        scale_down_percent: some(scaling.scale_down_percent),
    });
    let disruption = policy.disruption.map(|budget| match budget {
        workload_policy::Disruption::MinAvailable(pods) => Disruption::MinAvailable(pods),
        workload_policy::Disruption::MaxUnavailable(pods) => Disruption::MaxUnavailable(pods),
    });
    Some(WorkloadPolicy {
        kind: kind?,
        name: policy.name.clone(),
        autoscaling,
        disruption,
    })
}
