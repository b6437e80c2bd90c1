//! The defaults of pod templates.

use serde_json::{Map, Value, json};

use crate::embedded::object::{child, default, root};

type Fields = Map<String, Value>;

/// Fills in the defaults of a pod's or a pod template's spec.
pub(super) fn spec(spec: &mut Value) {
    let fields = root(spec);
    default(fields, "restartPolicy", "Always");
    default(fields, "dnsPolicy", "ClusterFirst");
    default(fields, "schedulerName", "default-scheduler");
    default(fields, "terminationGracePeriodSeconds", 30);
    default(fields, "securityContext", json!({}));
    match (
        fields.get("serviceAccountName").cloned(),
        fields.get("serviceAccount").cloned(),
    ) {
        (Some(name), _) if name != "" => {
            fields.insert("serviceAccount".into(), name);
        }
        (_, Some(name)) if name != "" => {
            fields.insert("serviceAccountName".into(), name);
        }
        _ => {}
    }
    for key in ["containers", "initContainers"] {
        for item in fields
            .get_mut(key)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container(root(item));
        }
    }
    for item in fields
        .get_mut("volumes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        volume(root(item));
    }
}

fn container(fields: &mut Fields) {
    let image = fields.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if floats(image) { "Always" } else { "IfNotPresent" };
    default(fields, "imagePullPolicy", policy);
    default(fields, "terminationMessagePath", "/dev/termination-log");
    default(fields, "terminationMessagePolicy", "File");
    default(fields, "resources", json!({}));
    for port in fields
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        default(root(port), "protocol", "TCP");
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(found) = fields.get_mut(key).filter(|p| p.is_object()) {
            probe(root(found));
        }
    }
    for variable in fields
        .get_mut("env")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(reference) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(root(reference), "apiVersion", "v1");
        }
        if let Some(reference) = variable.pointer_mut("/valueFrom/resourceFieldRef") {
            default(root(reference), "divisor", "0");
        }
    }
}

/// Whether the image's tag is `latest` or missing.
fn floats(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn probe(fields: &mut Fields) {
    default(fields, "timeoutSeconds", 1);
    default(fields, "periodSeconds", 10);
    default(fields, "successThreshold", 1);
    default(fields, "failureThreshold", 3);
    if let Some(get) = fields.get_mut("httpGet").filter(|g| g.is_object()) {
        default(root(get), "path", "/");
        default(root(get), "scheme", "HTTP");
    }
    if let Some(grpc) = fields.get_mut("grpc").filter(|g| g.is_object()) {
        default(root(grpc), "service", "");
    }
}

fn volume(fields: &mut Fields) {
    let sources = fields.keys().filter(|k| *k != "name").count();
    if sources == 0 {
        fields.insert("emptyDir".into(), json!({}));
    }
    for key in ["secret", "configMap", "projected", "downwardAPI"] {
        if let Some(source) = fields.get_mut(key).filter(|s| s.is_object()) {
            default(root(source), "defaultMode", 420);
        }
    }
    if let Some(path) = fields.get_mut("hostPath").filter(|p| p.is_object()) {
        default(root(path), "type", "");
    }
    let sources = fields
        .get_mut("projected")
        .and_then(|p| p.get_mut("sources"))
        .and_then(Value::as_array_mut);
    for source in sources.into_iter().flatten() {
        if let Some(token) = source.get_mut("serviceAccountToken").filter(|t| t.is_object()) {
            default(root(token), "expirationSeconds", 3600);
        }
    }
}

/// What only a pod itself gets, and no template.
pub(super) fn pod(pod: &mut Value) {
    let fields = child(pod, "spec");
    default(fields, "enableServiceLinks", true);
    for key in ["containers", "initContainers"] {
        for item in fields
            .get_mut(key)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let Some(limits) = item
                .pointer("/resources/limits")
                .and_then(Value::as_object)
                .cloned()
            else {
                continue;
            };
            let resources = child(item, "resources");
            let requests = root(resources.entry("requests").or_insert_with(|| json!({})));
            for (name, amount) in limits {
                default(requests, &name, amount);
            }
        }
    }
}
