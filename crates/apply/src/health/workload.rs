//! What runs pods.

use berth_model::HealthState;
use serde_json::Value;

use super::{Subject, Verdict, text};

const NOT_LOOKED_AT: &str = "was not looked at by its controller yet";

pub(super) fn deployment(subject: &Subject<'_>) -> Verdict {
    if subject.stale() {
        return Verdict::progressing(NOT_LOOKED_AT);
    }
    let wanted = subject.spec_number("/replicas", 1);
    let available = subject.count("availableReplicas");
    let updated = subject.count("updatedReplicas");
    let told = format!("{available} of {wanted} replicas are available");
    let failing = |why: String| {
        if available == 0 && wanted > 0 {
            Verdict::unhealthy(why)
        } else {
            Verdict::degraded(why)
        }
    };
    let progressing = subject.condition("Progressing");
    if let Some(condition) = progressing
        .as_ref()
        .filter(|condition| condition.reason == "ProgressDeadlineExceeded")
    {
        return failing(format!("{told}; {}", condition.reason));
    }
    if let Some(condition) = subject
        .condition("ReplicaFailure")
        .filter(|condition| condition.is_true())
    {
        return failing(format!("{told}; {}", condition.told()));
    }
    if updated < wanted {
        return Verdict::progressing(format!("{updated} of {wanted} replicas are updated"));
    }
    if subject.count("replicas") > updated {
        return Verdict::progressing("old replicas are still there");
    }
    if available >= wanted {
        return Verdict::default();
    }
    // Before the first complete roll-out that is the ordinary way; after it something broke.
    let was_complete = progressing.is_some_and(|condition| condition.reason == "NewReplicaSetAvailable");
    if was_complete
        && subject
            .condition("Available")
            .is_some_and(|condition| condition.is_false())
    {
        return failing(told);
    }
    Verdict::progressing(told)
}

pub(super) fn stateful_set(subject: &Subject<'_>) -> Verdict {
    if subject.stale() {
        return Verdict::progressing(NOT_LOOKED_AT);
    }
    let wanted = subject.spec_number("/replicas", 1);
    let ready = subject.count("readyReplicas");
    if ready < wanted {
        return Verdict::progressing(format!("{ready} of {wanted} replicas are ready"));
    }
    if subject.count("replicas") > wanted {
        return Verdict::progressing("surplus replicas are still there");
    }
    let strategy = subject
        .spec
        .pointer("/updateStrategy/type")
        .and_then(Value::as_str)
        .unwrap_or("RollingUpdate");
    let rolled = wanted - subject.spec_number("/updateStrategy/rollingUpdate/partition", 0);
    let updated = subject.count("updatedReplicas");
    let revisions_differ = text(subject.status, "currentRevision") != text(subject.status, "updateRevision");
    if strategy == "RollingUpdate" && revisions_differ && updated < rolled {
        return Verdict::progressing(format!("{updated} of {rolled} replicas are updated"));
    }
    Verdict::default()
}

pub(super) fn daemon_set(subject: &Subject<'_>) -> Verdict {
    if subject.stale() {
        return Verdict::progressing(NOT_LOOKED_AT);
    }
    let wanted = subject.count("desiredNumberScheduled");
    let updated = subject.count("updatedNumberScheduled");
    let on_delete = subject
        .spec
        .pointer("/updateStrategy/type")
        .and_then(Value::as_str)
        == Some("OnDelete");
    if updated < wanted && !on_delete {
        return Verdict::progressing(format!("{updated} of {wanted} pods are updated"));
    }
    let available = subject.count("numberAvailable");
    if available < wanted {
        return Verdict::progressing(format!("{available} of {wanted} pods are available"));
    }
    Verdict::default()
}

pub(super) fn job(subject: &Subject<'_>) -> Verdict {
    if let Some(failed) = subject
        .condition("Failed")
        .filter(|condition| condition.is_true())
    {
        // The next run of a CronJob may well succeed.
        let repeated = subject.owned_by.is_some_and(|(kind, _)| kind == "CronJob");
        return if repeated {
            Verdict::degraded(failed.told())
        } else {
            Verdict::unhealthy(failed.told())
        };
    }
    if ["Complete", "SuccessCriteriaMet"]
        .into_iter()
        .any(|kind| subject.condition(kind).is_some_and(|c| c.is_true()))
    {
        return Verdict::default();
    }
    if subject.spec.get("suspend").and_then(Value::as_bool) == Some(true) {
        return Verdict::new(HealthState::Suspended, "is suspended");
    }
    if subject.count("failed") > 0 {
        return Verdict::degraded("failed and is tried again");
    }
    if subject.status.get("startTime").is_none() {
        return Verdict::progressing("has not started yet");
    }
    // A job that runs does what it is there for.
    Verdict::default()
}

pub(super) fn cron_job(subject: &Subject<'_>) -> Verdict {
    if subject.spec.get("suspend").and_then(Value::as_bool) == Some(true) {
        return Verdict::new(HealthState::Suspended, "is suspended");
    }
    Verdict::default()
}
