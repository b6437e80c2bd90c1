//! Discovery: which groups, versions and kinds there are, and the version.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answer::Answer;
use super::reviews::REVIEWS;
use crate::embedded::LACKS;
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{Kind, kinds};

/// The `/version` of a cluster; `lacks` is this API's own and says what a real one would have.
pub(super) fn version(git_version: &str) -> Value {
    let mut parts = git_version.trim_start_matches('v').split('.');
    json!({
        "major": parts.next().unwrap_or_default(),
        "minor": parts.next().unwrap_or_default(),
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "embedded",
        "lacks": LACKS,
    })
}

pub(super) fn answer(path: &[&str]) -> Result<Answer, Failure> {
    let value = match path {
        [] => json!({"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => {
            let groups: Vec<Value> = groups()
                .into_iter()
                .filter(|(g, _)| !g.is_empty())
                .map(group)
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", name] => {
            let found = groups()
                .into_iter()
                .find(|(g, _)| g == name)
                .ok_or_else(Failure::no_such_path)?;
            let mut value = group(found);
            value["kind"] = "APIGroup".into();
            value["apiVersion"] = "v1".into();
            value
        }
        ["api", version] => resources("", version)?,
        ["apis", group, version] => resources(group, version)?,
        _ => return Err(Failure::no_such_path()),
    };
    Ok(Answer::ok(&value))
}

/// Every group with its one version.
pub(super) fn groups() -> BTreeSet<(&'static str, &'static str)> {
    let served = kinds().iter().map(|k| (k.group, k.version));
    served
        .chain(REVIEWS.iter().map(|(group, ..)| (*group, "v1")))
        .collect()
}

fn group((name, version): (&str, &str)) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version.clone()], "preferredVersion": version})
}

fn resources(group: &str, version: &str) -> Result<Value, Failure> {
    if !groups().contains(&(group, version)) {
        return Err(Failure::no_such_path());
    }
    let mut out = Vec::new();
    for kind in kinds()
        .iter()
        .filter(|k| k.group == group && k.version == version)
    {
        let verbs = [
            "create",
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "update",
            "watch",
        ]
        .map(Value::from);
        let mut row = json!({
            "name": kind.plural,
            "singularName": kind.kind.to_lowercase(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": verbs,
        });
        if !kind.short.is_empty() {
            row["shortNames"] = json!(kind.short);
        }
        if kind.all {
            row["categories"] = json!(["all"]);
        }
        out.push(row);
        out.extend(subresources(kind));
    }
    for (_, kind, plural, _) in REVIEWS.iter().filter(|(g, ..)| *g == group) {
        out.push(json!({"name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"]}));
    }
    let group_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Ok(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": out}),
    )
}

fn subresources(kind: &Kind) -> Vec<Value> {
    let row = |name: &str, of: &str, verbs: &[&str]| json!({"name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced, "kind": of, "verbs": verbs});
    let mut rows = Vec::new();
    if kind.status {
        rows.push(row("status", kind.kind, &["get", "patch", "update"]));
    }
    if kind.scale {
        let mut scale = row("scale", "Scale", &["get", "patch", "update"]);
        scale["group"] = "autoscaling".into();
        scale["version"] = "v1".into();
        rows.push(scale);
    }
    match kind.kind {
        "Namespace" => rows.push(row("finalize", "Namespace", &["update"])),
        "Pod" => {
            rows.push(row("binding", "Binding", &["create"]));
            let mut eviction = row("eviction", "Eviction", &["create"]);
            eviction["group"] = "policy".into();
            eviction["version"] = "v1".into();
            rows.push(eviction);
        }
        "ServiceAccount" => {
            let mut token = row("token", "TokenRequest", &["create"]);
            token["group"] = "authentication.k8s.io".into();
            token["version"] = "v1".into();
            rows.push(token);
        }
        _ => {}
    }
    rows
}
