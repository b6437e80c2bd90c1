//! The refusals Berth and its users can run into: names, required fields, and what may not change. Not every rule of the
//! real apiserver; where one is missing the object is let in.

use serde_json::Value;

use super::quantity::Quantity;
use crate::embedded::failure::Cause;
use crate::embedded::kinds::Kind;
use crate::embedded::object::{at, list, strings, text};

/// Why a name is refused, if it is.
fn valid_name(kind: &Kind, name: &str) -> Option<String> {
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    match (kind.group, kind.kind) {
        ("rbac.authorization.k8s.io", _) => {
            let bad = name == "." || name == ".." || name.contains(['/', '%']);
            bad.then(|| "may not contain '/' or '%' or be '.' or '..'".to_owned())
        }
        ("", "Namespace" | "Service") => {
            if name.len() > 63 {
                return Some("must be no more than 63 characters".into());
            }
            (!dns_label(name)).then(|| LABEL.to_owned())
        }
        _ => {
            if name.len() > 253 {
                return Some("must be no more than 253 characters".into());
            }
            (name.is_empty() || !name.split('.').all(dns_label)).then(|| SUBDOMAIN.to_owned())
        }
    }
}

fn dns_label(text: &str) -> bool {
    let inner = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

fn label_value(text: &str) -> bool {
    let ends = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && ends(bytes.first())
        && ends(bytes.last())
}

const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// What is wrong with a new object.
pub(crate) fn on_create(kind: &Kind, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(object, &["metadata", "name"]);
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if let Some(why) = valid_name(kind, name) {
        causes.push(Cause::invalid("metadata.name", &format!("\"{name}\""), &why));
    }
    always(kind, object, &mut causes);
    causes
}

/// What is wrong with a new version of an object.
pub(crate) fn on_update(kind: &Kind, object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    always(kind, object, &mut causes);
    let frozen: &[&[&str]] = match (kind.group, kind.kind) {
        ("apps", "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet") => &[&["spec", "selector"]],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &[&["roleRef"]],
        ("", "Secret") => &[&["type"]],
        ("batch", "Job") => &[
            &["spec", "selector"],
            &["spec", "template"],
            &["spec", "completions"],
        ],
        ("scheduling.k8s.io", "PriorityClass") => &[&["value"]],
        ("storage.k8s.io", "StorageClass") => &[&["provisioner"], &["parameters"]],
        _ => &[],
    };
    for path in frozen {
        if at(object, path) != at(old, path) {
            let why = if *path == ["roleRef"] {
                "cannot change roleRef"
            } else {
                "field is immutable"
            };
            causes.push(Cause::invalid(path.join("."), &at(object, path).to_string(), why));
        }
    }
    if matches!(kind.kind, "ConfigMap" | "Secret") && old["immutable"] == true {
        if object["immutable"] != true {
            causes.push(Cause::forbidden(
                "immutable",
                "field is immutable when `immutable` is set",
            ));
        }
        for key in ["data", "binaryData"] {
            if object[key] != old[key] {
                causes.push(Cause::forbidden(
                    key,
                    "field is immutable when `immutable` is set",
                ));
            }
        }
    }
    if kind.is("", "Service")
        && old["spec"]["type"] != "ExternalName"
        && object["spec"]["type"] != "ExternalName"
    {
        let (new, old) = (&object["spec"]["clusterIPs"][0], &old["spec"]["clusterIPs"][0]);
        if !old.is_null() && new != old {
            causes.push(Cause::invalid(
                "spec.clusterIPs[0]",
                &format!("[{new}]"),
                "may not change once set",
            ));
        }
    }
    causes
}

fn always(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in strings(&object["metadata"]["labels"]) {
        if !label_value(value) {
            causes.push(Cause::invalid(
                "metadata.labels",
                &format!("\"{value}\""),
                LABEL_VALUE,
            ));
        }
        if key.is_empty() || key.len() > 317 {
            causes.push(Cause::invalid(
                "metadata.labels",
                &format!("\"{key}\""),
                "name part must be non-empty",
            ));
        }
    }
    match (kind.group, kind.kind) {
        ("", "ConfigMap") => config_map(object, causes),
        ("", "Service") => service(object, causes),
        ("", "Pod") => pod_spec(&object["spec"], "spec", causes),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => workload(object, causes),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => binding(object, causes),
        ("", "ResourceQuota") => {
            for (name, value) in object["spec"]["hard"].as_object().into_iter().flatten() {
                if value.as_str().is_some_and(|v| v.starts_with('-')) {
                    let field = format!("spec.hard[{name}]");
                    causes.push(Cause::invalid(
                        field,
                        &value.to_string(),
                        "must be greater than or equal to 0",
                    ));
                }
            }
        }
        _ => {}
    }
}

fn config_map(object: &Value, causes: &mut Vec<Cause>) {
    for key in object["data"].as_object().into_iter().flatten().map(|(k, _)| k) {
        let fine = key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !fine || key.is_empty() {
            let why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
            causes.push(Cause::invalid(format!("data[{key}]"), &format!("\"{key}\""), why));
        }
    }
}

fn service(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let ports = list(spec, &["ports"]);
    let headless = spec["clusterIP"] == "None";
    if ports.is_empty() && !headless && spec["type"] != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in ports.iter().enumerate() {
        if ports.len() > 1 && text(port, &["name"]).is_empty() {
            causes.push(Cause::required(format!("spec.ports[{index}].name"), ""));
        }
        if spec["type"] == "ClusterIP" && port["nodePort"].is_number() {
            let field = format!("spec.ports[{index}].nodePort");
            causes.push(Cause::forbidden(
                field,
                "may not be used when `type` is 'ClusterIP'",
            ));
        }
        let number = port["port"].as_i64().unwrap_or(0);
        if !(1..=65535).contains(&number) {
            let field = format!("spec.ports[{index}].port");
            causes.push(Cause::invalid(
                field,
                &number.to_string(),
                "must be between 1 and 65535, inclusive",
            ));
        }
        let same = ports[..index]
            .iter()
            .any(|o| !text(port, &["name"]).is_empty() && o["name"] == port["name"]);
        if same {
            causes.push(Cause {
                reason: "FieldValueDuplicate",
                message: format!("Duplicate value: {}", port["name"]),
                field: format!("spec.ports[{index}].name"),
            });
        }
    }
}

fn workload(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    if spec["selector"].is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if !crate::embedded::api::selector::matches_selector(
        &spec["selector"],
        &spec["template"]["metadata"]["labels"],
    ) {
        let labels = serde_json::to_string(&spec["template"]["metadata"]["labels"]).unwrap_or_default();
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &labels,
            "`selector` does not match template `labels`",
        ));
    }
    if spec["replicas"].as_i64().is_some_and(|n| n < 0) {
        causes.push(Cause::invalid(
            "spec.replicas",
            &spec["replicas"].to_string(),
            "must be greater than or equal to 0",
        ));
    }
    pod_spec(&spec["template"]["spec"], "spec.template.spec", causes);
}

fn pod_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let containers = list(spec, &["containers"]);
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    for (index, container) in containers.iter().enumerate() {
        let at = format!("{path}.containers[{index}]");
        if text(container, &["name"]).is_empty() {
            causes.push(Cause::required(format!("{at}.name"), ""));
        }
        if text(container, &["image"]).is_empty() {
            causes.push(Cause::required(format!("{at}.image"), ""));
        }
        for (index, mount) in list(container, &["volumeMounts"]).iter().enumerate() {
            if !list(spec, &["volumes"])
                .iter()
                .any(|v| v["name"] == mount["name"])
            {
                causes.push(Cause {
                    reason: "FieldValueNotFound",
                    message: format!("Not found: {}", mount["name"]),
                    field: format!("{at}.volumeMounts[{index}].name"),
                });
            }
        }
        for (name, request) in strings(&container["resources"]["requests"]) {
            let limit = container["resources"]["limits"][name]
                .as_str()
                .and_then(Quantity::parse);
            let request = Quantity::parse(request);
            if let (Some(limit), Some(request)) = (limit, request)
                && request.exceeds(limit)
            {
                let why = format!("must be less than or equal to {name} limit of {}", limit.text());
                causes.push(Cause::invalid(
                    format!("{at}.resources.requests"),
                    &format!("\"{}\"", request.text()),
                    &why,
                ));
            }
        }
    }
}

fn binding(object: &Value, causes: &mut Vec<Cause>) {
    for key in ["kind", "name"] {
        if text(object, &["roleRef", key]).is_empty() {
            causes.push(Cause::required(format!("roleRef.{key}"), ""));
        }
    }
    for (index, subject) in list(object, &["subjects"]).iter().enumerate() {
        let at = format!("subjects[{index}]");
        if text(subject, &["name"]).is_empty() {
            causes.push(Cause::required(format!("{at}.name"), ""));
        }
        if subject["kind"] == "ServiceAccount"
            && text(subject, &["namespace"]).is_empty()
            && object["kind"] == "ClusterRoleBinding"
        {
            causes.push(Cause::required(format!("{at}.namespace"), ""));
        }
    }
}
