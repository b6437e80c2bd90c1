//! What one manifest of a bundle may say about itself.

use std::collections::BTreeSet;

use berth_model::{
    Violation,
    id::{is_dns_label, is_dns_subdomain},
    label,
};
use serde_json::Value;

use super::{kinds, object_rules, pod_rules, pods, terms::Terms};
use crate::text;

/// Fields of `metadata` that a bundle may set; the rest is the API server's, or would outlive the bundle.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];
/// Objects that are in every tenant's namespace already.
const TAKEN: [(&str, &str); 3] = [
    ("ServiceAccount", "default"),
    ("ServiceAccount", label::WORKLOAD_ACCOUNT),
    ("ConfigMap", "kube-root-ca.crt"),
];

/// Collects faults below a path.
pub(super) struct Faults<'a> {
    pub(super) path: String,
    pub(super) violations: &'a mut Vec<Violation>,
}

impl Faults<'_> {
    pub(super) fn add(&mut self, field: &str, problem: impl Into<String>, hint: impl Into<String>) {
        self.violations
            .push(Violation::new(format!("{}{field}", self.path), problem, hint));
    }
}

/// Checks manifests whose parameters are filled in. Without a `namespace`, none may be named.
pub(super) fn check_all(
    manifests: &[Value],
    namespace: Option<&str>,
    terms: Option<&Terms>,
    path: &str,
    violations: &mut Vec<Violation>,
) {
    let mut names = BTreeSet::new();
    for (at, manifest) in manifests.iter().enumerate() {
        let mut faults = Faults {
            path: format!("{path}[{at}]"),
            violations,
        };
        check(manifest, namespace, terms, &mut faults);
        let (kind, name) = kinds::identity(manifest);
        if !name.is_empty() && !names.insert((kind.clone(), name.clone())) {
            faults.add(
                ".metadata.name",
                format!("{kind} {name:?} is in the bundle twice"),
                "give it another name",
            );
        }
    }
}

fn check(manifest: &Value, namespace: Option<&str>, terms: Option<&Terms>, faults: &mut Faults<'_>) {
    let Some(fields) = manifest.as_object() else {
        return faults.add(
            "",
            "is no object",
            "write a Kubernetes object with apiVersion, kind and metadata",
        );
    };
    let kind = manifest["kind"].as_str().unwrap_or_default();
    let Some(known) = kinds::find(kind) else {
        return faults.add(
            ".kind",
            format!("{kind:?} cannot be in a bundle"),
            format!("allowed are {}", kinds::list()),
        );
    };
    if manifest["apiVersion"] != known.api_version {
        faults.add(
            ".apiVersion",
            format!("{} is not served for {kind}", manifest["apiVersion"]),
            format!("use {:?}", known.api_version),
        );
    }
    if fields.contains_key("status") {
        faults.add(".status", "cannot be set", "leave it out");
    }
    check_metadata(kind, &manifest["metadata"], namespace, faults);
    object_rules::check(kind, manifest, faults);
    object_rules::annotations(kind, manifest, faults);
    if let Some(template) = known.pod_template {
        pods::check(manifest, template, faults);
    }
    let Some(terms) = terms else { return };
    object_rules::check_terms(kind, manifest, terms, faults);
    if let Some(pod) = known.pod_template.and_then(|template| manifest.pointer(template)) {
        let path = known.pod_template.unwrap_or_default().replace('/', ".");
        pod_rules::check_terms(pod, &path, terms, faults);
    }
}

fn check_metadata(kind: &str, metadata: &Value, namespace: Option<&str>, faults: &mut Faults<'_>) {
    let Some(fields) = metadata.as_object() else {
        return faults.add(".metadata", "is missing", "give the object a name");
    };
    for field in fields.keys().filter(|field| !METADATA.contains(&field.as_str())) {
        faults.add(
            &format!(".metadata.{field}"),
            "cannot be set in a bundle",
            "leave it out",
        );
    }
    match metadata["name"].as_str() {
        None => faults.add(".metadata.name", "is missing", "give the object a name"),
        // A service's name becomes a DNS label.
        Some(name)
            if !(if kind == "Service" {
                is_dns_label(name)
            } else {
                is_dns_subdomain(name)
            }) =>
        {
            faults.add(
                ".metadata.name",
                format!("{name:?} is no object name"),
                "use lower-case letters, digits and '-'",
            );
        }
        Some(name) if kind == "ServiceAccount" && name.starts_with("berth-") => {
            faults.add(
                ".metadata.name",
                format!("{name:?} is a name of Berth's"),
                "give it another name",
            );
        }
        Some(name) if TAKEN.contains(&(kind, name)) => {
            faults.add(
                ".metadata.name",
                format!("{kind} {name:?} is there in every namespace"),
                "give it another name",
            );
        }
        Some(_) => {}
    }
    if let Some(named) = fields.get("namespace")
        && named.as_str() != namespace
    {
        faults.add(
            ".metadata.namespace",
            format!("{named} is not the tenant's namespace"),
            "leave it out: a bundle's objects are put into the namespace of each tenant that uses it",
        );
    }
    check_texts(metadata, ".metadata", faults);
}

/// Labels and annotations: text only, and none of Berth's.
pub(super) fn check_texts(metadata: &Value, path: &str, faults: &mut Faults<'_>) {
    for list in ["labels", "annotations"] {
        let path = format!("{path}.{list}");
        let entries = match &metadata[list] {
            Value::Null => continue,
            Value::Object(entries) => entries,
            _ => {
                faults.add(&path, "is no map", "write key: value pairs");
                continue;
            }
        };
        for (key, value) in entries {
            let path = format!("{path}.{key}");
            if text::is_berths(key) {
                faults.add(&path, "is kept for Berth", "use a key of your own");
            } else if !text::is_qualified_name(key) {
                faults.add(
                    &path,
                    "is no label key",
                    "use letters, digits, '-', '_' and '.', at most 63",
                );
            }
            match value.as_str() {
                Some(label::MANAGED_BY_BERTH) if key == label::MANAGED_BY => {
                    faults.add(&path, "marks what is Berth's", "leave it out");
                }
                None => faults.add(&path, format!("{value} is no text"), "write it in quotes"),
                Some(value) if list == "labels" && !text::is_label_value(value) => {
                    faults.add(
                        &path,
                        format!("{value:?} is no label value"),
                        "use letters, digits, '-', '_' and '.', at most 63",
                    );
                }
                Some(_) => {}
            }
        }
    }
}
