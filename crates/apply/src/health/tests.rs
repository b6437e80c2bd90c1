//! The rules, as tables.

use berth_model::{Health, HealthState};
use serde_json::{Value, json};

use super::*;
use crate::object::ObjectRef;
use HealthState::{Degraded, Healthy, Progressing, Suspended, Unhealthy};

/// Judges a manifest.
fn verdict(kind: Kind, object: &Value) -> Verdict {
    let none = Value::Null;
    let owner = object.pointer("/metadata/ownerReferences/0");
    judge(&Subject {
        kind,
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64),
        deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        owned_by: owner.map(|owner| (text(owner, "kind"), text(owner, "name"))),
        service: object.pointer("/metadata/service").and_then(Value::as_str),
        spec: object.get("spec").unwrap_or(&none),
        status: object.get("status").unwrap_or(&none),
        endpoints: object.get("endpoints").unwrap_or(&none),
    })
}

fn check(kind: Kind, cases: &[(&str, HealthState, Value)]) {
    for (rule, state, object) in cases {
        let found = verdict(kind, object);
        assert_eq!(found.state, *state, "{kind} {rule}: {}", found.message);
        assert_eq!(found.message.is_empty(), *state == Healthy, "{kind} {rule}");
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({ "type": kind, "status": status, "reason": reason, "message": "" })
}

#[test]
fn a_namespace_is_well_until_it_is_deleted() {
    check(
        Kind::Namespace,
        &[
            ("active", Healthy, json!({ "status": { "phase": "Active" } })),
            ("fresh", Healthy, json!({})),
            (
                "terminating",
                Progressing,
                json!({ "metadata": { "deletionTimestamp": "t" }, "status": { "phase": "Terminating" } }),
            ),
        ],
    );
}

#[test]
fn a_quota_counts_only_once_it_is_in_force() {
    check(
        Kind::ResourceQuota,
        &[
            (
                "counted, spelled otherwise",
                Healthy,
                json!({ "spec": { "hard": { "cpu": "4000m" } }, "status": { "hard": { "cpu": "4" } } }),
            ),
            (
                "not counted",
                Progressing,
                json!({ "spec": { "hard": { "cpu": "4" } } }),
            ),
            (
                "raised",
                Progressing,
                json!({ "spec": { "hard": { "cpu": "8" } }, "status": { "hard": { "cpu": "4" } } }),
            ),
            (
                "one more",
                Progressing,
                json!({ "spec": { "hard": { "cpu": "8", "pods": "1" } }, "status": { "hard": { "cpu": "8" } } }),
            ),
            (
                "one less",
                Progressing,
                json!({ "spec": { "hard": { "cpu": "8" } }, "status": { "hard": { "cpu": "8", "pods": "1" } } }),
            ),
        ],
    );
}

#[test]
fn a_deployment_is_judged_by_its_roll_out() {
    let deployment = |wanted: i64, status: Value| json!({ "metadata": { "generation": 2 }, "spec": { "replicas": wanted }, "status": status });
    let status = |updated: i64, available: i64, conditions: Value| json!({ "observedGeneration": 2, "replicas": updated, "updatedReplicas": updated, "availableReplicas": available, "conditions": conditions });
    let complete = condition("Progressing", "True", "NewReplicaSetAvailable");
    let overdue = condition("Progressing", "False", "ProgressDeadlineExceeded");
    let unavailable = condition("Available", "False", "MinimumReplicasUnavailable");
    check(
        Kind::Deployment,
        &[
            ("fresh", Progressing, deployment(2, json!({}))),
            (
                "an older generation was looked at",
                Progressing,
                deployment(
                    2,
                    json!({ "observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2 }),
                ),
            ),
            ("rolling", Progressing, deployment(2, status(1, 1, json!([])))),
            ("starting", Progressing, deployment(2, status(2, 1, json!([])))),
            (
                "complete",
                Healthy,
                deployment(2, status(2, 2, json!([complete]))),
            ),
            (
                "scaled to nothing",
                Healthy,
                deployment(0, status(0, 0, json!([complete]))),
            ),
            (
                "scaling up after it was complete",
                Progressing,
                deployment(3, status(3, 2, json!([complete]))),
            ),
            (
                "one of two broke",
                Degraded,
                deployment(2, status(2, 1, json!([complete, unavailable]))),
            ),
            (
                "both broke",
                Unhealthy,
                deployment(2, status(2, 0, json!([complete, unavailable]))),
            ),
            (
                "overdue with some",
                Degraded,
                deployment(2, status(2, 1, json!([overdue]))),
            ),
            (
                "overdue with none",
                Unhealthy,
                deployment(2, status(2, 0, json!([overdue]))),
            ),
            (
                "pods refused",
                Unhealthy,
                deployment(
                    2,
                    status(0, 0, json!([condition("ReplicaFailure", "True", "FailedCreate")])),
                ),
            ),
            (
                "old ones linger",
                Progressing,
                deployment(
                    1,
                    json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1 }),
                ),
            ),
        ],
    );
}

#[test]
fn stateful_sets_and_daemon_sets_are_judged_by_their_counts() {
    let set = |status: Value| json!({ "metadata": { "generation": 1 }, "spec": { "replicas": 2 }, "status": status });
    check(
        Kind::StatefulSet,
        &[
            ("fresh", Progressing, set(json!({}))),
            (
                "one of two",
                Progressing,
                set(json!({ "observedGeneration": 1, "readyReplicas": 1, "replicas": 2 })),
            ),
            (
                "both",
                Healthy,
                set(
                    json!({ "observedGeneration": 1, "readyReplicas": 2, "replicas": 2, "updatedReplicas": 2 }),
                ),
            ),
            (
                "rolling",
                Progressing,
                set(
                    json!({ "observedGeneration": 1, "readyReplicas": 2, "replicas": 2, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b" }),
                ),
            ),
        ],
    );
    check(
        Kind::DaemonSet,
        &[
            ("fresh", Progressing, set(json!({}))),
            ("none wanted", Healthy, set(json!({ "observedGeneration": 1 }))),
            (
                "one of two",
                Progressing,
                set(
                    json!({ "observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1 }),
                ),
            ),
            (
                "both",
                Healthy,
                set(
                    json!({ "observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2 }),
                ),
            ),
        ],
    );
}

#[test]
fn a_job_is_well_while_it_runs_and_once_it_is_done() {
    let ended = |kind: &str| json!({ "status": { "conditions": [condition(kind, "True", "BackoffLimitExceeded")], "startTime": "t" } });
    let mut repeated = ended("Failed");
    repeated["metadata"] = json!({ "ownerReferences": [{ "kind": "CronJob", "name": "c" }] });
    check(
        Kind::Job,
        &[
            ("fresh", Progressing, json!({})),
            (
                "running",
                Healthy,
                json!({ "status": { "startTime": "t", "active": 1 } }),
            ),
            (
                "failing",
                Degraded,
                json!({ "status": { "startTime": "t", "active": 1, "failed": 1 } }),
            ),
            ("done", Healthy, ended("Complete")),
            ("failed", Unhealthy, ended("Failed")),
            ("one run of a cron job failed", Degraded, repeated),
            ("suspended", Suspended, json!({ "spec": { "suspend": true } })),
        ],
    );
    check(
        Kind::CronJob,
        &[
            ("on", Healthy, json!({})),
            ("off", Suspended, json!({ "spec": { "suspend": true } })),
        ],
    );
}

#[test]
fn a_pod_says_why_it_gets_nowhere() {
    let container = |state: Value| json!({ "name": "main", "image": "registry.invalid/x:broken", "ready": false, "state": state, "lastState": {} });
    let waiting = |reason: &str| json!({ "status": { "phase": "Pending", "containerStatuses": [container(json!({ "waiting": { "reason": reason } }))] } });
    let mut between_crashes = container(json!({ "running": {} }));
    between_crashes["lastState"] = json!({ "terminated": { "exitCode": 3 } });
    let mut init = waiting("CrashLoopBackOff");
    init["status"]["initContainerStatuses"] = init["status"]["containerStatuses"].take();
    let conditions = |kind: &str, status: &str, reason: &str| json!({ "status": { "phase": "Running", "conditions": [condition(kind, status, reason)] } });
    check(
        Kind::Pod,
        &[
            ("starting", Progressing, waiting("ContainerCreating")),
            ("image", Degraded, waiting("ImagePullBackOff")),
            ("image, first try", Degraded, waiting("ErrImagePull")),
            ("crash", Degraded, waiting("CrashLoopBackOff")),
            (
                "between crashes",
                Degraded,
                json!({ "status": { "phase": "Running", "containerStatuses": [between_crashes] } }),
            ),
            ("crash of an init container", Degraded, init),
            ("config", Degraded, waiting("CreateContainerConfigError")),
            (
                "fits nowhere",
                Degraded,
                conditions("PodScheduled", "False", "Unschedulable"),
            ),
            (
                "held back by a gate",
                Progressing,
                conditions("PodScheduled", "False", "SchedulingGated"),
            ),
            ("ready", Healthy, conditions("Ready", "True", "")),
            (
                "not ready",
                Progressing,
                conditions("Ready", "False", "ContainersNotReady"),
            ),
            ("done", Healthy, json!({ "status": { "phase": "Succeeded" } })),
            (
                "failed alone",
                Unhealthy,
                json!({ "status": { "phase": "Failed", "reason": "Evicted" } }),
            ),
            (
                "failed, with a controller",
                Healthy,
                json!({ "metadata": { "ownerReferences": [{ "kind": "Job", "name": "j" }] }, "status": { "phase": "Failed" } }),
            ),
            (
                "leaving",
                Healthy,
                json!({ "metadata": { "deletionTimestamp": "t" }, "status": { "phase": "Running" } }),
            ),
        ],
    );
    let told = verdict(Kind::Pod, &waiting("ImagePullBackOff")).message;
    assert_eq!(
        told,
        "container main: ImagePullBackOff (image registry.invalid/x:broken)"
    );
}

#[test]
fn what_serves_and_stores_is_judged_by_what_it_has() {
    check(
        Kind::PersistentVolumeClaim,
        &[
            ("bound", Healthy, json!({ "status": { "phase": "Bound" } })),
            (
                "pending",
                Progressing,
                json!({ "status": { "phase": "Pending" } }),
            ),
            ("lost", Unhealthy, json!({ "status": { "phase": "Lost" } })),
        ],
    );
    check(
        Kind::Service,
        &[
            ("inside", Healthy, json!({ "spec": { "type": "ClusterIP" } })),
            (
                "balancer without address",
                Progressing,
                json!({ "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": {} } }),
            ),
            (
                "balancer",
                Healthy,
                json!({ "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } } }),
            ),
        ],
    );
    let slice = |endpoints: Value| json!({ "metadata": { "service": "web" }, "endpoints": endpoints });
    check(
        Kind::EndpointSlice,
        &[
            ("none", Healthy, slice(json!([]))),
            (
                "one ready",
                Healthy,
                slice(json!([{ "conditions": { "ready": false } }, { "conditions": { "ready": true } }])),
            ),
            (
                "none ready",
                Progressing,
                slice(json!([{ "conditions": { "ready": false } }])),
            ),
            (
                "only leaving ones",
                Healthy,
                slice(json!([{ "conditions": { "ready": false, "terminating": true } }])),
            ),
        ],
    );
    let scaler =
        |reason: &str| json!({ "status": { "conditions": [condition("ScalingActive", "False", reason)] } });
    check(
        Kind::HorizontalPodAutoscaler,
        &[
            ("no metrics", Degraded, scaler("FailedGetResourceMetric")),
            ("scaled to nothing", Healthy, scaler("ScalingDisabled")),
        ],
    );
    let budget = |healthy: i64| json!({ "status": { "expectedPods": 3, "currentHealthy": healthy, "desiredHealthy": 2 } });
    check(
        Kind::PodDisruptionBudget,
        &[
            ("too few", Progressing, budget(1)),
            ("enough", Healthy, budget(2)),
        ],
    );
}

fn object(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef::new(kind, Some("t-a"), name).unwrap()
}

fn is(state: HealthState, message: &str) -> Verdict {
    Verdict {
        state,
        message: message.to_owned(),
    }
}

#[test]
fn a_tenant_is_as_well_as_its_worst_object_and_names_it() {
    let health = summarize(vec![
        (
            object(Kind::Deployment, "web"),
            is(Progressing, "0 of 1 replicas are available"),
        ),
        (
            object(Kind::Pod, "web-1"),
            is(Degraded, "container main: ImagePullBackOff"),
        ),
        (object(Kind::Service, "web"), Verdict::default()),
    ]);
    assert_eq!(
        health,
        Health::new(Degraded, "Pod t-a/web-1: container main: ImagePullBackOff")
    );
    assert_eq!(summarize(Vec::new()), Health::healthy());
}

#[test]
fn a_tenant_is_suspended_only_when_everything_that_could_run_is() {
    let off = || (object(Kind::CronJob, "c"), is(Suspended, "is suspended"));
    assert_eq!(summarize(vec![off()]).state, Suspended);
    assert_eq!(
        summarize(vec![off(), (object(Kind::Deployment, "d"), Verdict::default())]),
        Health::healthy()
    );
}

#[test]
fn many_objects_are_counted_instead_of_named() {
    let pods = (0..5)
        .map(|at| (object(Kind::Pod, &format!("p{at}")), is(Degraded, "x")))
        .collect();
    assert_eq!(
        summarize(pods).message,
        "Pod t-a/p0: x; Pod t-a/p1: x; Pod t-a/p2: x; and 2 more"
    );
}
