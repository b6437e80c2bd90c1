//! The defaults of every kind, as the published API documents them.

use serde_json::{Map, Value, json};

use super::pods;
use crate::embedded::kinds::Kind;
use crate::embedded::object::{child, default, root};

/// Fills in what the caller left out.
pub(crate) fn apply_defaults(kind: &Kind, object: &mut Value) {
    if kind.status {
        let status = child(object, "status");
        for key in counts(kind) {
            default(status, key, 0);
        }
    }
    match (kind.group, kind.kind) {
        ("", "Namespace") => namespace(object),
        ("", "Pod") => {
            pods::spec(root(object).entry("spec").or_insert(Value::Null));
            pods::pod(object);
        }
        ("", "Secret") => secret(root(object)),
        ("", "Service") => service(object),
        ("", "LimitRange") => limit_range(object),
        ("", "PersistentVolumeClaim") => {
            default(child(object, "spec"), "volumeMode", "Filesystem");
            default(child(object, "spec"), "resources", json!({}));
        }
        ("", "Event" | "Node" | "ConfigMap" | "ServiceAccount" | "Endpoints") => {}
        ("", "ResourceQuota") => {
            child(object, "spec");
        }
        ("apps", _) => apps(kind, object),
        ("batch", "Job") => job(child(object, "spec")),
        ("batch", "CronJob") => cron_job(child(object, "spec")),
        ("networking.k8s.io", "NetworkPolicy") => network_policy(child(object, "spec")),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(root(object)),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            let spec = child(object, "spec");
            default(spec, "minReplicas", 1);
        }
        ("scheduling.k8s.io", "PriorityClass") => {
            default(root(object), "preemptionPolicy", "PreemptLowerPriority");
        }
        ("storage.k8s.io", "StorageClass") => {
            default(root(object), "reclaimPolicy", "Delete");
            default(root(object), "volumeBindingMode", "Immediate");
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
            policy(kind, child(object, "spec"));
        }
        _ => {}
    }
}

/// The counts a status always shows, also when they are zero.
pub(super) fn counts(kind: &Kind) -> &'static [&'static str] {
    match kind.kind {
        "StatefulSet" => &["replicas", "availableReplicas"],
        "DaemonSet" => &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
        ],
        "ReplicaSet" | "ReplicationController" => &["replicas"],
        "PodDisruptionBudget" => &[
            "disruptionsAllowed",
            "currentHealthy",
            "desiredHealthy",
            "expectedPods",
        ],
        _ => &[],
    }
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    child(object, "spec");
    if !name.is_empty() {
        let labels = root(child(object, "metadata").entry("labels").or_insert(Value::Null));
        default(labels, "kubernetes.io/metadata.name", name);
    }
}

fn secret(fields: &mut Map<String, Value>) {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    default(fields, "type", "Opaque");
    if let Some(Value::Object(plain)) = fields.remove("stringData") {
        let data = root(fields.entry("data").or_insert(Value::Null));
        for (key, value) in plain {
            data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
        }
    }
}

fn service(object: &mut Value) {
    let spec = child(object, "spec");
    default(spec, "type", "ClusterIP");
    default(spec, "sessionAffinity", "None");
    match spec["sessionAffinity"].as_str() {
        Some("None") => {
            spec.remove("sessionAffinityConfig");
        }
        Some("ClientIP") => default(
            spec,
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": 10800}}),
        ),
        _ => {}
    }
    for port in spec
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let port = root(port);
        default(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or(Value::Null);
        if port.get("targetPort").is_none_or(|t| *t == 0 || *t == "") {
            port.insert("targetPort".into(), number);
        }
    }
    let outside = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    if outside {
        default(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", true);
    }
    if spec["type"] != "ExternalName" {
        default(spec, "internalTrafficPolicy", "Cluster");
    }
    default(child(object, "status"), "loadBalancer", json!({}));
}

fn limit_range(object: &mut Value) {
    let limits = child(object, "spec")
        .get_mut("limits")
        .and_then(Value::as_array_mut);
    for item in limits.into_iter().flatten() {
        let item = root(item);
        if item.get("type").and_then(Value::as_str) != Some("Container") {
            continue;
        }
        let copy = |item: &mut Map<String, Value>, from: &str, to: &str| {
            if let Some(Value::Object(values)) = item.get(from).cloned() {
                let into = root(item.entry(to).or_insert_with(|| json!({})));
                for (name, value) in values {
                    default(into, &name, value);
                }
            }
        };
        copy(item, "max", "default");
        copy(item, "default", "defaultRequest");
        copy(item, "min", "defaultRequest");
    }
}

/// Counts the templates a DaemonSet has had; long deprecated and still on every one.
pub(super) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

fn apps(kind: &Kind, object: &mut Value) {
    let spec = child(object, "spec");
    if kind.kind == "ControllerRevision" {
        return;
    }
    template(spec);
    if kind.kind != "DaemonSet" {
        default(spec, "replicas", 1);
    }
    match kind.kind {
        "Deployment" => {
            let strategy = root(spec.entry("strategy").or_insert(Value::Null));
            default(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                let rolling = root(strategy.entry("rollingUpdate").or_insert(Value::Null));
                default(rolling, "maxUnavailable", "25%");
                default(rolling, "maxSurge", "25%");
            }
            default(spec, "revisionHistoryLimit", 10);
            default(spec, "progressDeadlineSeconds", 600);
        }
        "StatefulSet" => {
            default(spec, "podManagementPolicy", "OrderedReady");
            default(spec, "serviceName", "");
            default(spec, "revisionHistoryLimit", 10);
            let strategy = root(spec.entry("updateStrategy").or_insert(Value::Null));
            default(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                default(
                    root(strategy.entry("rollingUpdate").or_insert(Value::Null)),
                    "partition",
                    0,
                );
            }
            let retention = root(
                spec.entry("persistentVolumeClaimRetentionPolicy")
                    .or_insert(Value::Null),
            );
            default(retention, "whenDeleted", "Retain");
            default(retention, "whenScaled", "Retain");
            for claim in spec
                .get_mut("volumeClaimTemplates")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                default(root(claim), "apiVersion", "v1");
                default(root(claim), "kind", "PersistentVolumeClaim");
                default(root(claim), "status", json!({"phase": "Pending"}));
                default(child(claim, "spec"), "volumeMode", "Filesystem");
            }
        }
        "DaemonSet" => {
            let strategy = root(spec.entry("updateStrategy").or_insert(Value::Null));
            default(strategy, "type", "RollingUpdate");
            if strategy["type"] == "RollingUpdate" {
                let rolling = root(strategy.entry("rollingUpdate").or_insert(Value::Null));
                default(rolling, "maxUnavailable", 1);
                default(rolling, "maxSurge", 0);
            }
            default(spec, "revisionHistoryLimit", 10);
            let annotations = root(
                child(object, "metadata")
                    .entry("annotations")
                    .or_insert(Value::Null),
            );
            default(annotations, TEMPLATE_GENERATION, "1");
        }
        _ => {}
    }
}

fn job(spec: &mut Map<String, Value>) {
    template(spec);
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        spec.insert("completions".into(), 1.into());
    }
    default(spec, "parallelism", 1);
    default(spec, "backoffLimit", 6);
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    default(spec, "manualSelector", false);
    default(spec, "podReplacementPolicy", "TerminatingOrFailed");
}

fn cron_job(spec: &mut Map<String, Value>) {
    default(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", false);
    default(spec, "successfulJobsHistoryLimit", 3);
    default(spec, "failedJobsHistoryLimit", 1);
    let job = root(spec.entry("jobTemplate").or_insert(Value::Null));
    default(job, "metadata", json!({}));
    template(root(job.entry("spec").or_insert(Value::Null)));
}

/// The pod template of a workload's spec.
fn template(spec: &mut Map<String, Value>) {
    let template = root(spec.entry("template").or_insert(Value::Null));
    default(template, "metadata", json!({}));
    pods::spec(template.entry("spec").or_insert(Value::Null));
}

fn network_policy(spec: &mut Map<String, Value>) {
    default(spec, "podSelector", json!({}));
    if spec.get("policyTypes").is_none() {
        let mut types = vec!["Ingress"];
        if spec
            .get("egress")
            .and_then(Value::as_array)
            .is_some_and(|e| !e.is_empty())
        {
            types.push("Egress");
        }
        spec.insert("policyTypes".into(), json!(types));
    }
    for direction in ["ingress", "egress"] {
        for rule in spec
            .get_mut(direction)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            for port in rule
                .get_mut("ports")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                default(root(port), "protocol", "TCP");
            }
        }
    }
}

fn binding(fields: &mut Map<String, Value>) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let reference = root(fields.entry("roleRef").or_insert(Value::Null));
    if reference.get("apiGroup").is_none_or(|g| *g == "") {
        reference.insert("apiGroup".into(), GROUP.into());
    }
    for subject in fields
        .get_mut("subjects")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let subject = root(subject);
        if subject.get("apiGroup").is_some_and(|g| *g == "") {
            subject.remove("apiGroup");
        }
        if subject.get("kind").is_some_and(|k| *k == "User" || *k == "Group") {
            default(subject, "apiGroup", GROUP);
        }
    }
}

fn policy(kind: &Kind, spec: &mut Map<String, Value>) {
    default(spec, "failurePolicy", "Fail");
    if kind.kind == "MutatingAdmissionPolicy" {
        default(spec, "reinvocationPolicy", "Never");
    }
    if let Some(constraints) = spec.get_mut("matchConstraints").filter(|c| c.is_object()) {
        let constraints = root(constraints);
        default(constraints, "namespaceSelector", json!({}));
        default(constraints, "objectSelector", json!({}));
        default(constraints, "matchPolicy", "Equivalent");
        for rule in constraints
            .get_mut("resourceRules")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            default(root(rule), "scope", "*");
        }
    }
}
