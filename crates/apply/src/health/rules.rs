//! What is not a workload.

use berth_model::Quantity;
use serde_json::Value;

use super::{Subject, Verdict, text};

pub(super) fn namespace(subject: &Subject<'_>) -> Verdict {
    if subject.deleting || text(subject.status, "phase") == "Terminating" {
        let why = [
            "NamespaceDeletionContentFailure",
            "NamespaceDeletionDiscoveryFailure",
            "NamespaceFinalizersRemaining",
        ];
        let why = why
            .iter()
            .find_map(|kind| subject.condition(kind).filter(|condition| condition.is_true()));
        return Verdict::progressing(why.map_or_else(
            || "is being deleted".to_owned(),
            |condition| format!("is being deleted, which is held up: {}", condition.told()),
        ));
    }
    Verdict::default()
}

/// A quota enforces nothing until its controller has counted: `status.hard` equals `spec.hard` then.
pub(super) fn quota(subject: &Subject<'_>) -> Verdict {
    let hard = |of: &Value| {
        of.get("hard")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let (wanted, counted) = (hard(subject.spec), hard(subject.status));
    let in_force = wanted.len() == counted.len()
        && wanted.iter().all(|(name, wanted)| {
            counted
                .get(name)
                .is_some_and(|counted| same_quantity(wanted, counted))
        });
    if in_force {
        Verdict::default()
    } else {
        Verdict::progressing("is not in force yet")
    }
}

fn same_quantity(a: &Value, b: &Value) -> bool {
    let quantity = |value: &Value| value.as_str().and_then(|text| text.parse::<Quantity>().ok());
    a == b || matches!((quantity(a), quantity(b)), (Some(a), Some(b)) if a == b)
}

pub(super) fn volume_claim(subject: &Subject<'_>) -> Verdict {
    match text(subject.status, "phase") {
        "Bound" => Verdict::default(),
        "Lost" => Verdict::unhealthy("has lost its volume"),
        _ => Verdict::progressing("is not bound to a volume yet"),
    }
}

pub(super) fn service(subject: &Subject<'_>) -> Verdict {
    let addresses = subject
        .status
        .pointer("/loadBalancer/ingress")
        .and_then(Value::as_array);
    if text(subject.spec, "type") == "LoadBalancer" && addresses.is_none_or(Vec::is_empty) {
        return Verdict::progressing("has no load balancer address yet");
    }
    Verdict::default()
}

/// A service with pods behind it of which none is ready. One without any pods says nothing: they may be scaled to zero.
pub(super) fn endpoints(subject: &Subject<'_>) -> Verdict {
    let Some(service) = subject.service else {
        return Verdict::default();
    };
    let Some(endpoints) = subject.endpoints.as_array() else {
        return Verdict::default();
    };
    let flag = |endpoint: &Value, name: &str| {
        endpoint
            .get("conditions")
            .and_then(|c| c.get(name))
            .and_then(Value::as_bool)
    };
    let mut staying = endpoints
        .iter()
        .filter(|endpoint| flag(endpoint, "terminating") != Some(true))
        .peekable();
    if staying.peek().is_some() && staying.all(|endpoint| flag(endpoint, "ready") == Some(false)) {
        return Verdict::progressing(format!("service {service} has no ready endpoint"));
    }
    Verdict::default()
}

/// What External Secrets says about reading the store. It does not say the secret.
pub(super) fn external_secret(subject: &Subject<'_>) -> Verdict {
    match subject.condition("Ready") {
        Some(condition) if condition.is_true() => Verdict::default(),
        Some(condition) if condition.is_false() => Verdict::degraded(condition.told()),
        _ => Verdict::progressing("was not read from its store yet"),
    }
}

pub(super) fn autoscaler(subject: &Subject<'_>) -> Verdict {
    for kind in ["AbleToScale", "ScalingActive"] {
        if let Some(condition) = subject.condition(kind)
            && condition.is_false()
            && condition.reason != "ScalingDisabled"
        {
            return Verdict::degraded(condition.told());
        }
    }
    Verdict::default()
}

pub(super) fn disruption_budget(subject: &Subject<'_>) -> Verdict {
    if subject.stale() {
        return Verdict::progressing("was not looked at by its controller yet");
    }
    let (healthy, desired) = (subject.count("currentHealthy"), subject.count("desiredHealthy"));
    if subject.count("expectedPods") > 0 && healthy < desired {
        return Verdict::progressing(format!("{healthy} of {desired} pods that must be healthy are"));
    }
    Verdict::default()
}
