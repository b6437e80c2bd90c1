//! Just enough of `/openapi/v3` for `kubectl` to see that the server validates fields itself; no schemas are published.

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::discovery::groups;
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{Kind, kinds};

pub(super) fn answer(path: &[&str]) -> Result<Answer, Failure> {
    match path {
        [] => {
            let paths: Map<String, Value> = groups()
                .into_iter()
                .map(|(group, version)| match group {
                    "" => format!("api/{version}"),
                    group => format!("apis/{group}/{version}"),
                })
                .map(|at| {
                    (
                        at.clone(),
                        json!({"serverRelativeURL": format!("/openapi/v3/{at}")}),
                    )
                })
                .collect();
            Ok(Answer::ok(&json!({"paths": paths})))
        }
        ["api", version] => Ok(Answer::ok(&document("", version))),
        ["apis", group, version] => Ok(Answer::ok(&document(group, version))),
        _ => Err(Failure::no_such_path()),
    }
}

fn document(group: &str, version: &str) -> Value {
    let of_group = kinds()
        .iter()
        .filter(|k| k.group == group && k.version == version);
    let paths: Map<String, Value> = of_group.map(|kind| (path(kind), operations(kind))).collect();
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": {}},
    })
}

fn path(kind: &Kind) -> String {
    let root = if kind.group.is_empty() {
        "api".to_owned()
    } else {
        format!("apis/{}", kind.group)
    };
    let within = if kind.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    format!("/{root}/{}{within}/{}/{{name}}", kind.version, kind.plural)
}

fn operations(kind: &Kind) -> Value {
    let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation", "force"]
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}))
        .collect();
    let of = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    json!({
        "patch": {
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": of,
        },
    })
}
