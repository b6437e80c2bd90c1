//! The patch types: JSON patch, merge patch, strategic merge patch, and server-side apply.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Api;
use super::answer::Answer;
use super::checks::{check_version, normalize, other_name};
use super::request::{Call, Verb, decode};
use super::write::{Caller, Door, Written, begin, finish_create, finish_update, update};
use crate::embedded::failure::{Cause, Failure};
use crate::embedded::kinds::Kind;
use crate::embedded::object::{self, child, root};
use crate::embedded::ownership::{self, Managers};
use crate::embedded::schema::{Merge, Type};
use crate::embedded::shape;
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

pub(super) const TYPES: [&str; 5] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/apply-patch+cbor",
];

pub(super) fn on_patch(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    check_options(call)?;
    let caller = Caller::of(call)?;
    let name = Name::new(call.namespace, call.name);
    let door = if call.subresource == "status" {
        Door::Status
    } else {
        Door::Main
    };
    let mut store = api.store();
    if call.verb == Verb::Apply {
        let config = decode(call.body, call.content_type)?;
        return apply(
            &mut store,
            call.kind,
            &name,
            config,
            &caller,
            door,
            call.is_set("force"),
        )
        .map(Written::answer);
    }
    let old = store
        .get(call.kind, &name)
        .ok_or_else(|| Failure::not_found(call.kind, call.name))?
        .value();
    let patched = patched(call.kind, &old, call.content_type, call.body)?;
    update(&mut store, call.kind, &name, patched, &caller, door).map(Written::answer)
}

fn check_options(call: &Call<'_>) -> Result<(), Failure> {
    let refuse = |cause: Cause| {
        let message = format!(
            "PatchOptions.meta.k8s.io \"\" is invalid: {}: {}",
            cause.field, cause.message
        );
        let mut failure = Failure::unnamed(422, message).with_causes(&[cause]);
        failure.reason = "Invalid";
        failure.details["group"] = "meta.k8s.io".into();
        failure.details["kind"] = "PatchOptions".into();
        failure
    };
    let force = call.query("force");
    if call.verb == Verb::Apply && call.query("fieldManager").is_empty() {
        return Err(refuse(Cause::required(
            "fieldManager",
            "is required for apply patch",
        )));
    }
    if call.verb != Verb::Apply && !force.is_empty() {
        return Err(refuse(Cause::forbidden(
            "force",
            "may not be specified for non-apply patch",
        )));
    }
    Ok(())
}

/// The object with a patch laid over it.
pub(super) fn patched(kind: &Kind, old: &Value, content_type: &str, body: &[u8]) -> Result<Value, Failure> {
    let invalid = |e: String| {
        let mut failure = Failure::unnamed(
            422,
            format!("the server rejected our request due to an error in our request: {e}"),
        );
        failure.reason = "Invalid";
        failure
    };
    let mut object = old.clone();
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => {
            let patch: json_patch::Patch = serde_json::from_slice(body)
                .map_err(|e| Failure::bad_request(format!("error decoding patch: {e}")))?;
            json_patch::patch(&mut object, &patch).map_err(|e| invalid(e.to_string()))?;
        }
        "application/merge-patch+json" => json_patch::merge(&mut object, &decode(body, "json")?),
        "application/strategic-merge-patch+json" => {
            let patch = decode(body, "json")?;
            strategic(&kind.schema, &mut object, patch);
        }
        _ => return Err(Failure::unsupported_media_type(&TYPES)),
    }
    Ok(object)
}

/// Applies a configuration: makes the object, or merges into it what the manager wants to own.
fn apply(
    store: &mut Store,
    kind: &'static Kind,
    name: &Name,
    mut config: Value,
    caller: &Caller<'_>,
    door: Door,
    force: bool,
) -> Result<Written, Failure> {
    let api_version = kind.api_version();
    let given = object::text(&config, &["apiVersion"]);
    if given != api_version {
        return Err(Failure::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {given}, expected: {api_version}"
        )));
    }
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let old = store.get(kind, name).map(|stored| stored.value());
    if old.is_none() && door == Door::Status {
        return Err(Failure::not_found(kind, &name.name));
    }
    ownership::validate(&kind.schema, &config).map_err(|problem| {
        let namespace = &name.namespace;
        let group_version = if kind.group.is_empty() {
            "/v1".to_owned()
        } else {
            api_version.clone()
        };
        let of = format!("{namespace}/{}; {group_version}, Kind={}", name.name, kind.kind);
        Failure::unnamed(
            500,
            format!("failed to create typed patch object ({of}): {problem}"),
        )
    })?;
    if let Some(other) = config["metadata"]["name"].as_str().filter(|n| *n != name.name) {
        return Err(other_name(other, &name.name));
    }
    let other = object::namespace(&config);
    if !other.is_empty() && other != name.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    root(&mut config).entry("metadata").or_insert_with(|| json!({}));
    let now = time::now_text();
    let writer = door.writer(kind, caller.manager, &api_version, &now);
    let empty = shape::empty_object(kind);
    let live = old.as_ref().unwrap_or(&empty);
    let applied = ownership::apply(
        &kind.schema,
        &empty,
        live,
        &config,
        Managers::of(live),
        writer,
        force,
    )?;
    let mut object = applied.object.unwrap_or_else(|| live.clone());
    let warnings = normalize(kind, &mut object, caller)?;
    let metadata = child(&mut object, "metadata");
    metadata.insert("name".into(), name.name.as_str().into());
    if kind.namespaced {
        metadata.insert("namespace".into(), name.namespace.as_str().into());
    }
    let Some(old) = old else {
        if config["metadata"]["name"].is_null() {
            let name = &name.name;
            let message = format!(
                "the name of the object ({name} based on URL) was undeterminable: name must be provided"
            );
            return Err(Failure::bad_request(message));
        }
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            let why = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(Failure::conflict(kind, &name.name, &why));
        }
        begin(kind, &mut object);
        shape::apply_defaults(kind, &mut object);
        applied.managers.store_in(&mut object);
        return finish_create(store, kind, object, caller, warnings);
    };
    check_version(kind, &object, &old)?;
    shape::apply_defaults(kind, &mut object);
    finish_update(
        store,
        kind,
        object,
        &old,
        &applied.managers,
        caller,
        door,
        warnings,
    )
}

/// Lays a strategic merge patch over a value: lists with merge keys are merged by the first of them, `$patch` and its
/// relatives are obeyed.
fn strategic(kind: &Type, target: &mut Value, patch: Value) {
    let Value::Object(mut patch) = patch else {
        *target = patch;
        return;
    };
    match patch.remove("$patch").as_ref().and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(patch);
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        _ => {}
    }
    let fields = root(target);
    if let Some(Value::Array(retained)) = patch.remove("$retainKeys") {
        fields.retain(|key, _| retained.iter().any(|r| r == key.as_str()));
    }
    let (directives, plain): (Map<String, Value>, Map<String, Value>) =
        patch.into_iter().partition(|(key, _)| key.starts_with('$'));
    for (key, gone) in &directives {
        if let (Some(name), Some(gone)) = (key.strip_prefix("$deleteFromPrimitiveList/"), gone.as_array())
            && let Some(list) = fields.get_mut(name).and_then(Value::as_array_mut)
        {
            list.retain(|item| !gone.contains(item));
        }
    }
    for (name, value) in plain {
        let inner = kind.field(&name).unwrap_or(&Type::Any);
        match (inner, value) {
            (_, Value::Null) => {
                fields.remove(&name);
            }
            (Type::List { merge, item }, Value::Array(items)) if *merge != Merge::Atomic => {
                let order = directives
                    .get(&format!("$setElementOrder/{name}"))
                    .and_then(Value::as_array);
                let slot = fields.entry(name).or_insert_with(|| json!([]));
                merge_lists(merge, item, slot, items, order);
            }
            (_, value @ Value::Object(_)) => {
                strategic(inner, fields.entry(name).or_insert_with(|| json!({})), value);
            }
            (_, value) => {
                fields.insert(name, value);
            }
        }
    }
}

fn merge_lists(merge: &Merge, kind: &Type, slot: &mut Value, items: Vec<Value>, order: Option<&Vec<Value>>) {
    if !slot.is_array() {
        *slot = json!([]);
    }
    let Some(list) = slot.as_array_mut() else { return };
    let Merge::Keys(keys) = merge else {
        for item in items {
            if !list.contains(&item) {
                list.push(item);
            }
        }
        return;
    };
    let key = keys.first().map_or("name", String::as_str);
    if items.iter().any(|i| i["$patch"] == "replace") {
        *list = items.into_iter().filter(|i| i.get("$patch").is_none()).collect();
        return;
    }
    for mut item in items {
        let found = list.iter().position(|old| old[key] == item[key]);
        if item["$patch"] == "delete" {
            list.retain(|old| old[key] != item[key]);
        } else if let Some(found) = found {
            strategic(kind, &mut list[found], item);
        } else {
            root(&mut item).remove("$patch");
            list.push(item);
        }
    }
    if let Some(order) = order {
        let place = |item: &Value| {
            order
                .iter()
                .position(|o| o[key] == item[key])
                .unwrap_or(usize::MAX)
        };
        list.sort_by_key(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema::schema;

    #[test]
    fn a_strategic_patch_merges_containers_by_name_and_obeys_directives() {
        let kind = schema().named("core.v1.PodSpec");
        let mut spec =
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "nodeSelector": {"x": "1"}});
        let patch = json!({
            "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
            "nodeSelector": {"$patch": "replace", "y": "2"},
        });
        strategic(&kind, &mut spec, patch);
        let expected =
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "c"}], "nodeSelector": {"y": "2"}});
        assert_eq!(spec, expected);
    }
}
