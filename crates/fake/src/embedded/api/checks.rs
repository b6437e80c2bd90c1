//! What is looked at before anything is stored: the spelling of what was sent, where it belongs, and which version it was
//! made from.

use serde_json::Value;

use super::write::Caller;
use crate::embedded::failure::{Cause, Failure};
use crate::embedded::kinds::Kind;
use crate::embedded::object::{self, child, root, text};
use crate::embedded::shape;

/// Brings what a caller sent into its one spelling; warns of or refuses unknown fields.
pub(super) fn normalize(
    kind: &Kind,
    object: &mut Value,
    caller: &Caller<'_>,
) -> Result<Vec<String>, Failure> {
    let (api_version, given) = (kind.api_version(), text(object, &["kind"]).to_owned());
    let version = text(object, &["apiVersion"]).to_owned();
    if (!given.is_empty() && given != kind.kind) || (!version.is_empty() && version != api_version) {
        let message = format!(
            "the API version in the data ({version}) does not match the expected API version ({api_version})"
        );
        return Err(Failure::bad_request(message));
    }
    let mut unknown = shape::Unknown::new();
    shape::canonicalize(&kind.schema, kind.kind, object, &mut unknown).map_err(|problem| {
        let (kind, version) = (kind.kind, kind.version);
        Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {problem}"
        ))
    })?;
    let unknown: Vec<String> = unknown
        .into_iter()
        .map(|path| format!("unknown field \"{path}\""))
        .collect();
    match caller.validation {
        "Strict" if !unknown.is_empty() => {
            let (kind, version) = (kind.kind, kind.version);
            let message = format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
                unknown.join(", ")
            );
            Err(Failure::bad_request(message))
        }
        "Ignore" => Ok(Vec::new()),
        _ => Ok(unknown),
    }
}

pub(super) fn check_namespace(kind: &Kind, namespace: &str, object: &mut Value) -> Result<(), Failure> {
    let given = object::namespace(object).to_owned();
    if !kind.namespaced {
        if given.is_empty() {
            return Ok(());
        }
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    if given.is_empty() {
        child(object, "metadata").insert("namespace".into(), namespace.into());
    } else if given != namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Refuses a new version made from an older one, or meant for another object of that name.
pub(super) fn check_version(kind: &Kind, object: &Value, old: &Value) -> Result<(), Failure> {
    let name = object::name(old);
    let uid = object::uid(object);
    if !uid.is_empty() && uid != object::uid(old) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(old)
        );
        return Err(Failure::conflict(kind, name, &why));
    }
    let version = text(object, &["metadata", "resourceVersion"]);
    if version.is_empty() && kind.needs_version() {
        let cause = Cause::invalid("metadata.resourceVersion", "0", "must be specified for an update");
        return Err(Failure::invalid(kind, name, &[cause]));
    }
    if !version.is_empty() && version != text(old, &["metadata", "resourceVersion"]) {
        return Err(Failure::stale(kind, name));
    }
    Ok(())
}

pub(super) fn check_finalizers(kind: &Kind, object: &Value, old: &Value) -> Result<(), Failure> {
    if !object::is_deleting(old) {
        return Ok(());
    }
    let before = object::list(old, &["metadata", "finalizers"]);
    let added: Vec<String> = object::list(object, &["metadata", "finalizers"])
        .iter()
        .filter(|f| !before.contains(f))
        .map(Value::to_string)
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    let added = added.join(", ");
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{added}}}"
    );
    Err(Failure::invalid(
        kind,
        object::name(old),
        &[Cause::forbidden("metadata.finalizers", &why)],
    ))
}

pub(super) fn other_name(given: &str, name: &str) -> Failure {
    Failure::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({name})"
    ))
}

/// Keeps the old times of managed fields when nothing else changed, so that a write of nothing is no write.
pub(super) fn keep_times(object: &mut Value, old: &Value) {
    let timeless = |value: &Value| {
        let mut value = value.clone();
        let entries = value["metadata"]["managedFields"].as_array_mut();
        let mut entries: Vec<Value> = entries.map(std::mem::take).unwrap_or_default();
        for entry in &mut entries {
            root(entry).remove("time");
        }
        entries.sort_by_key(Value::to_string);
        (value, entries)
    };
    if object["metadata"]["managedFields"] != old["metadata"]["managedFields"]
        && timeless(object) == timeless(old)
    {
        object::copy_field(&old["metadata"], &mut object["metadata"], "managedFields");
    }
}
