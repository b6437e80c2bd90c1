//! Deleting: preconditions, finalizers, and the ways dependents are dealt with.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Api;
use super::answer::Answer;
use super::request::{Call, decode};
use super::selector::Selector;
use crate::embedded::failure::Failure;
use crate::embedded::kinds::Kind;
use crate::embedded::object::{self, child, text};
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

/// How an object is to be deleted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deletion {
    uid: Option<String>,
    resource_version: Option<String>,
    finalizer: Option<&'static str>,
    dry_run: bool,
}

impl Deletion {
    fn read(call: &Call<'_>) -> Result<Self, Failure> {
        let options = if call.body.is_empty() {
            json!({})
        } else {
            decode(call.body, call.content_type)?
        };
        let policy = match text(&options, &["propagationPolicy"]) {
            "" => call.query("propagationPolicy"),
            policy => policy,
        };
        let finalizer = match policy {
            "Foreground" => Some("foregroundDeletion"),
            "Orphan" => Some("orphan"),
            _ if options["orphanDependents"] == true => Some("orphan"),
            _ => None,
        };
        let owned = |path: &[&str]| Some(text(&options, path).to_owned()).filter(|t| !t.is_empty());
        Ok(Self {
            uid: owned(&["preconditions", "uid"]),
            resource_version: owned(&["preconditions", "resourceVersion"]),
            finalizer,
            dry_run: call.query("dryRun") == "All" || options["dryRun"] == json!(["All"]),
        })
    }
}

/// What became of the object.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// It is gone.
    Gone(Value),
    /// It waits for its finalizers.
    Waiting(Value),
}

pub(super) fn on_delete(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    if !call.subresource.is_empty() {
        return Err(Failure::method_not_allowed());
    }
    let deletion = Deletion::read(call)?;
    let name = Name::new(call.namespace, call.name);
    let deleted = delete(&mut api.store(), call.kind, &name, &deletion)?;
    Ok(Answer::ok(&match deleted {
        Deleted::Waiting(object) => object,
        Deleted::Gone(object) if call.kind.answers_deleted() => object,
        Deleted::Gone(object) => {
            let mut details =
                json!({"name": call.name, "kind": call.kind.plural, "uid": object::uid(&object)});
            if !call.kind.group.is_empty() {
                details["group"] = call.kind.group.into();
            }
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
        }
    }))
}

pub(super) fn on_delete_collection(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    if call.kind.is("", "Namespace") {
        return Err(Failure::method_not_allowed());
    }
    let deletion = Deletion::read(call)?;
    let selector = Selector::read(
        call.kind,
        call.query("labelSelector"),
        call.query("fieldSelector"),
    )?;
    let mut store = api.store();
    let names: Vec<Name> = store
        .list(call.kind, call.namespace, None)
        .filter(|stored| selector.matches(stored))
        .map(|stored| stored.name.clone())
        .collect();
    let mut items = Vec::with_capacity(names.len());
    for name in names {
        match delete(&mut store, call.kind, &name, &deletion) {
            Ok(Deleted::Gone(object) | Deleted::Waiting(object)) => items.push(object),
            Err(failure) if failure.code == 404 => {}
            Err(failure) => return Err(failure),
        }
    }
    let revision = store.revision().to_string();
    Ok(Answer::ok(&json!({
        "kind": format!("{}List", call.kind.kind),
        "apiVersion": call.kind.api_version(),
        "metadata": {"resourceVersion": revision},
        "items": items,
    })))
}

/// Deletes an object, or marks it deleted until its finalizers are done.
pub(crate) fn delete(
    store: &mut Store,
    kind: &'static Kind,
    name: &Name,
    how: &Deletion,
) -> Result<Deleted, Failure> {
    let mut object = store
        .get(kind, name)
        .ok_or_else(|| Failure::not_found(kind, &name.name))?
        .value();
    if kind.is("", "Namespace") && matches!(name.name.as_str(), "default" | "kube-system" | "kube-public") {
        return Err(Failure::forbidden(
            kind,
            &name.name,
            "this namespace may not be deleted",
        ));
    }
    check_preconditions(kind, &object, how)?;
    if let Some(finalizer) = how.finalizer {
        let finalizers = child(&mut object, "metadata")
            .entry("finalizers")
            .or_insert_with(|| json!([]));
        if let Some(finalizers) = finalizers.as_array_mut()
            && !finalizers.iter().any(|f| f == finalizer)
            && !kind.is("", "Namespace")
        {
            finalizers.push(finalizer.into());
        }
    }
    let waits = object::has_finalizers(&object)
        || kind.is("", "Namespace") && !object::list(&object, &["spec", "finalizers"]).is_empty();
    if !waits {
        if how.dry_run {
            return Ok(Deleted::Gone(object));
        }
        let last = store.remove(kind, name).unwrap_or(object);
        return Ok(Deleted::Gone(last));
    }
    if object::is_deleting(&object) && how.finalizer.is_none() {
        return Ok(Deleted::Waiting(object));
    }
    let metadata = child(&mut object, "metadata");
    object::default(metadata, "deletionTimestamp", time::now_text());
    if kind.is("", "Namespace") {
        child(&mut object, "status").insert("phase".into(), "Terminating".into());
    } else {
        object::default(metadata, "deletionGracePeriodSeconds", 0);
        if let Some(generation) = metadata.get("generation").and_then(Value::as_i64) {
            metadata.insert("generation".into(), (generation + 1).into());
        }
    }
    if !how.dry_run {
        store.put(kind, &mut object);
    }
    Ok(Deleted::Waiting(object))
}

fn check_preconditions(kind: &Kind, object: &Value, how: &Deletion) -> Result<(), Failure> {
    let pairs = [
        ("UID", &how.uid, object::uid(object)),
        (
            "ResourceVersion",
            &how.resource_version,
            text(object, &["metadata", "resourceVersion"]),
        ),
    ];
    for (what, wanted, found) in pairs {
        if let Some(wanted) = wanted.as_ref().filter(|w| *w != found) {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            );
            return Err(Failure::conflict(kind, object::name(object), &why));
        }
    }
    Ok(())
}
