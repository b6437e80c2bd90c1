//! What a bundle may hold. Everything else is refused: above all what Berth's walls are made of.

use serde_json::Value;

/// Allowed kinds: API version, kind, and where its pod template is.
const ALLOWED: [(&str, &str, Option<&str>); 13] = [
    ("apps/v1", "Deployment", Some("/spec/template")),
    ("apps/v1", "StatefulSet", Some("/spec/template")),
    ("apps/v1", "DaemonSet", Some("/spec/template")),
    ("batch/v1", "Job", Some("/spec/template")),
    ("batch/v1", "CronJob", Some("/spec/jobTemplate/spec/template")),
    ("v1", "Pod", Some("")),
    ("v1", "Service", None),
    ("v1", "ConfigMap", None),
    ("v1", "PersistentVolumeClaim", None),
    ("v1", "ServiceAccount", None),
    ("networking.k8s.io/v1", "Ingress", None),
    ("autoscaling/v2", "HorizontalPodAutoscaler", None),
    ("policy/v1", "PodDisruptionBudget", None),
];

/// An allowed kind.
pub(crate) struct Kind {
    pub(crate) api_version: &'static str,
    /// JSON pointer to what has the pod's metadata and spec.
    pub(crate) pod_template: Option<&'static str>,
}

pub(crate) fn find(kind: &str) -> Option<Kind> {
    ALLOWED
        .into_iter()
        .find(|(_, allowed, _)| *allowed == kind)
        .map(|(api_version, _, pod_template)| Kind {
            api_version,
            pod_template,
        })
}

/// Where the manifest's pod template is; none when it has none.
pub(crate) fn pod_template(manifest: &Value) -> Option<&'static str> {
    find(manifest["kind"].as_str().unwrap_or_default())?.pod_template
}

/// Kind and name, empty where missing.
pub(crate) fn identity(manifest: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&manifest["kind"]), text(&manifest["metadata"]["name"]))
}

/// All allowed kinds, for a hint.
pub(crate) fn list() -> String {
    ALLOWED.map(|(_, kind, _)| kind).join(", ")
}
