//! Whether the objects of an assignment may be applied at all. Pure; every problem at once.
//!
//! The hub rendered them, and still nothing of a hub's mistake may reach beyond the tenant's own namespaces.

use std::collections::BTreeSet;

use berth_model::{
    Assignment, Object, TenantId,
    assignment::{AppliedAs, ApplyPhase},
    label,
};
use serde_json::Value;

use super::{Item, Kind, ObjectRef, tenant_of_namespace};

/// One assignment may hold that many objects.
const MOST_OBJECTS: usize = 2_000;
/// One object may be that large, as the API server limits it.
const MOST_BYTES: usize = 1_400_000;

/// Turns objects into items, in the order given.
///
/// # Errors
/// Every problem, each naming its object.
pub fn check(assignment: &Assignment, objects: &[Object]) -> Result<Vec<Item>, Vec<String>> {
    let mut problems = Vec::new();
    let mut items = Vec::with_capacity(objects.len());
    let mut seen = BTreeSet::new();
    if objects.len() > MOST_OBJECTS {
        return Err(vec![format!(
            "{} objects, more than {MOST_OBJECTS}",
            objects.len()
        )]);
    }
    for (at, object) in objects.iter().enumerate() {
        match item(assignment, object) {
            Ok(item) if seen.contains(&item.object) => {
                problems.push(format!("{} is there twice", item.object))
            }
            Ok(item) => {
                seen.insert(item.object.clone());
                items.push(item);
            }
            Err(problem) => problems.push(format!("object {at}: {problem}")),
        }
    }
    for item in &items {
        if let Some(namespace) = item.object.namespace() {
            let there =
                ObjectRef::namespace_called(namespace).is_ok_and(|namespace| seen.contains(&namespace));
            if !there {
                problems.push(format!(
                    "{}: its namespace is not part of the assignment",
                    item.object
                ));
            }
        }
    }
    if problems.is_empty() {
        Ok(items)
    } else {
        Err(problems)
    }
}

fn item(assignment: &Assignment, object: &Object) -> Result<Item, String> {
    let manifest = &object.manifest;
    let text = |path: &str| manifest.pointer(path).and_then(Value::as_str);
    let (api_version, kind) = (text("/apiVersion").unwrap_or(""), text("/kind").unwrap_or(""));
    let kind = Kind::find(api_version, kind)
        .ok_or_else(|| format!("kind {api_version}/{kind} cannot be part of an assignment"))?;
    let named = ObjectRef::new(
        kind,
        text("/metadata/namespace"),
        text("/metadata/name").unwrap_or(""),
    )?;
    belongs(&assignment.tenant, &named)?;
    let is_namespace = kind == Kind::Namespace;
    if is_namespace != (object.phase == ApplyPhase::Namespace) {
        return Err(format!(
            "{named}: only namespaces, and all of them, are applied in the phase of namespaces"
        ));
    }
    if is_namespace && object.applied_as != AppliedAs::Agent {
        return Err(format!("{named}: namespaces are applied by the agent itself"));
    }
    for (key, value) in [
        (label::TENANT, assignment.tenant.as_str()),
        (label::TENANT_UID, assignment.uid.as_str()),
    ] {
        let labels = manifest.pointer("/metadata/labels");
        if labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) != Some(value) {
            return Err(format!("{named}: label {key} is not {value:?}"));
        }
    }
    for field in ["managedFields", "uid", "resourceVersion", "generateName"] {
        if manifest
            .pointer("/metadata")
            .and_then(|metadata| metadata.get(field))
            .is_some()
        {
            return Err(format!("{named}: metadata.{field} is the cluster's to set"));
        }
    }
    let body = serde_json::to_vec(manifest)
        .map_err(|error| format!("{named}: {error}"))?
        .into_boxed_slice();
    if body.len() > MOST_BYTES {
        return Err(format!("{named}: {} bytes, more than {MOST_BYTES}", body.len()));
    }
    Ok(Item {
        object: named,
        phase: object.phase,
        applied_as: object.applied_as,
        body,
    })
}

fn belongs(tenant: &TenantId, object: &ObjectRef) -> Result<(), String> {
    if tenant_of_namespace(object.home()).as_ref() == Some(tenant) {
        Ok(())
    } else {
        Err(format!("{object} is outside the namespaces of tenant {tenant}"))
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{ClusterName, Digest, Generation, Term, Uid};
    use serde_json::json;

    use super::*;

    fn assignment() -> Assignment {
        Assignment {
            tenant: TenantId::new("acme").unwrap(),
            uid: Uid::new("u1").unwrap(),
            cluster: ClusterName::new("c").unwrap(),
            generation: Generation(1),
            digest: Digest::new("0".repeat(64)).unwrap(),
            term: Term(1),
        }
    }

    fn labels() -> Value {
        json!({ "berth.dev/tenant": "acme", "berth.dev/tenant-uid": "u1" })
    }

    fn namespace(name: &str) -> Object {
        Object {
            phase: ApplyPhase::Namespace,
            applied_as: AppliedAs::Agent,
            manifest: json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels() } }),
        }
    }

    fn config(metadata: Value) -> Object {
        let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
        Object {
            phase: ApplyPhase::Workload,
            applied_as: AppliedAs::Deployer,
            manifest,
        }
    }

    fn problems(objects: &[Object]) -> String {
        check(&assignment(), objects).map_or_else(|problems| problems.join("\n"), |_| String::new())
    }

    #[test]
    fn what_is_the_tenants_own_is_taken() {
        let own = config(json!({ "name": "c", "namespace": "t-acme--dev", "labels": labels() }));
        assert_eq!(
            problems(&[namespace("t-acme"), namespace("t-acme--dev"), own]),
            ""
        );
    }

    #[test]
    fn what_is_not_the_tenants_own_is_refused() {
        let cases = [
            (namespace("kube-system"), "outside the namespaces"),
            (namespace("t-acme-corp"), "outside the namespaces"),
            (
                config(json!({ "name": "c", "namespace": "t-other", "labels": labels() })),
                "outside the namespaces",
            ),
            (
                config(json!({ "name": "c", "namespace": "t-acme" })),
                "label berth.dev/tenant is not",
            ),
            (
                config(json!({ "name": "../x", "namespace": "t-acme", "labels": labels() })),
                "no DNS name",
            ),
            (
                config(json!({ "name": "c", "namespace": "t-acme--x", "labels": labels() })),
                "not part of the assignment",
            ),
            (
                config(json!({ "name": "c", "namespace": "t-acme", "labels": labels(), "uid": "x" })),
                "cluster's to set",
            ),
        ];
        for (object, problem) in cases {
            let found = problems(&[namespace("t-acme"), object]);
            assert!(found.contains(problem), "{problem:?} not in {found:?}");
        }
    }

    #[test]
    fn kinds_that_reach_beyond_a_namespace_are_refused() {
        for (api_version, kind) in [
            ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ("v1", "Secret"),
            ("v1", "Node"),
        ] {
            let mut object = config(json!({ "name": "c", "namespace": "t-acme", "labels": labels() }));
            object.manifest["apiVersion"] = api_version.into();
            object.manifest["kind"] = kind.into();
            assert!(
                problems(&[namespace("t-acme"), object]).contains("cannot be part"),
                "{kind}"
            );
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let found = problems(&[
            namespace("a"),
            namespace("b"),
            namespace("t-acme"),
            namespace("t-acme"),
        ]);
        assert_eq!(found.lines().count(), 3, "{found}");
    }
}
