//! What a tenant says of single workloads, as files say it.

use berth_model::workload::{
    Autoscaling, Disruption, PodMetric, SCALE_DOWN_SECONDS, WorkloadKind, WorkloadPolicy,
};

use super::{reader::Reader, tree::Tree};
use crate::words;

pub(super) fn workload(workload: &mut Reader<'_>) -> Option<WorkloadPolicy> {
    let kind = workload.choice_or("kind", &words::WORKLOAD_KINDS, WorkloadKind::Deployment);
    let name = workload.required_text("name");
    let autoscaling = workload.object("autoscaling", autoscaling);
    let disruption = workload.object("disruption", disruption);
    Some(WorkloadPolicy {
        kind: kind?,
        name: name?,
        autoscaling,
        disruption,
    })
}

fn autoscaling(scaling: &mut Reader<'_>) -> Option<Autoscaling> {
    let some = |number: Option<u32>| number.filter(|number| *number > 0);
    Some(Autoscaling {
        min_replicas: scaling.count("minReplicas").unwrap_or(1),
        max_replicas: scaling.count("maxReplicas").unwrap_or_default(),
        cpu_percent: some(scaling.count("cpuPercent")),
        memory_percent: some(scaling.count("memoryPercent")),
        metric: scaling.object("metric", |metric| {
            let (name, average) = (metric.required_text("name"), metric.quantity("average"));
            if average.is_none() {
                let path = metric.path_of("average");
                metric
                    .faults
                    .add(&path, "is required", "the aimed average over the pods");
            }
            Some(PodMetric {
                name: name?,
                average: average?,
            })
        }),
        scale_down_seconds: scaling.count("scaleDownSeconds").unwrap_or(SCALE_DOWN_SECONDS),
        scale_down_percent: some(scaling.count("scaleDownPercent")),
    })
}

fn disruption(disruption: &mut Reader<'_>) -> Option<Disruption> {
    match (
        disruption.count("minAvailable"),
        disruption.count("maxUnavailable"),
    ) {
        (Some(pods), None) => Some(Disruption::MinAvailable(pods)),
        (None, Some(pods)) => Some(Disruption::MaxUnavailable(pods)),
        _ => {
            let path = disruption.path_of("minAvailable");
            disruption
                .faults
                .add(&path, "or maxUnavailable must be there, and not both", "");
            None
        }
    }
}

pub(super) fn workload_tree(workload: &WorkloadPolicy) -> Tree {
    let number = |number: Option<u32>| number.map_or(Tree::Null, |number| Tree::Number(number.into()));
    let autoscaling = workload.autoscaling.as_ref().map_or(Tree::Null, |scaling| {
        Tree::map()
            .number("minReplicas", scaling.min_replicas)
            .number("maxReplicas", scaling.max_replicas)
            .with_some("cpuPercent", number(scaling.cpu_percent))
            .with_some("memoryPercent", number(scaling.memory_percent))
            .with_some(
                "metric",
                scaling.metric.as_ref().map_or(Tree::Null, |metric| {
                    Tree::map()
                        .text("name", &metric.name)
                        .text("average", metric.average.as_str())
                }),
            )
            .number("scaleDownSeconds", scaling.scale_down_seconds)
            .with_some("scaleDownPercent", number(scaling.scale_down_percent))
    });
    let disruption = match workload.disruption {
        None => Tree::Null,
        Some(Disruption::MinAvailable(pods)) => Tree::map().number("minAvailable", pods),
        Some(Disruption::MaxUnavailable(pods)) => Tree::map().number("maxUnavailable", pods),
    };
    Tree::map()
        .text("kind", workload.kind.as_str())
        .text("name", &workload.name)
        .with_some("autoscaling", autoscaling)
        .with_some("disruption", disruption)
}
