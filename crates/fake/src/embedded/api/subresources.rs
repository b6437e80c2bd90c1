//! The other doors of an object: scale, a namespace's finalize, a pod's binding and eviction, an account's token.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::Api;
use super::answer::Answer;
use super::delete::{Deletion, delete};
use super::patch::patched;
use super::request::{Call, Verb};
use super::write::{Caller, Door, update};
use crate::embedded::failure::Failure;
use crate::embedded::object::{self, child, text};
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

pub(super) fn answer(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    let name = Name::new(call.namespace, call.name);
    let mut store = api.store();
    match (call.kind.kind, call.subresource, call.verb) {
        (_, "scale", verb) if call.kind.scale => scale(&mut store, call, &name, verb),
        ("Namespace", "finalize", Verb::Update) => finalize(&mut store, call, &name),
        ("Pod", "binding", Verb::Create) => {
            let binding = call.object()?;
            let node = text(&binding, &["target", "name"]).to_owned();
            let mut pod = existing(&store, call, &name)?;
            child(&mut pod, "spec").insert("nodeName".into(), node.into());
            update(&mut store, call.kind, &name, pod, &Caller::of(call)?, Door::Main)?;
            Ok(created())
        }
        ("Pod", "eviction", Verb::Create) => {
            delete(&mut store, call.kind, &name, &Deletion::default())?;
            Ok(created())
        }
        ("ServiceAccount", "token", Verb::Create) => token(api, &store, call, &name),
        _ => Err(Failure::no_such_path()),
    }
}

fn created() -> Answer {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Answer::json(201, Bytes::from(status.to_string()))
}

fn existing(store: &Store, call: &Call<'_>, name: &Name) -> Result<Value, Failure> {
    let stored = store
        .get(call.kind, name)
        .ok_or_else(|| Failure::not_found(call.kind, &name.name))?;
    Ok(stored.value())
}

fn as_scale(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let selector: Vec<String> = object::strings(&object["spec"]["selector"]["matchLabels"])
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0), "selector": selector.join(",")},
    })
}

fn scale(store: &mut Store, call: &Call<'_>, name: &Name, verb: Verb) -> Result<Answer, Failure> {
    let mut object = existing(store, call, name)?;
    let wanted = match verb {
        Verb::Get => return Ok(Answer::ok(&as_scale(&object))),
        Verb::Update => call.object()?,
        Verb::Patch => patched(call.kind, &as_scale(&object), call.content_type, call.body)?,
        _ => return Err(Failure::method_not_allowed()),
    };
    let version = wanted["metadata"]["resourceVersion"].clone();
    if version.is_string() {
        child(&mut object, "metadata").insert("resourceVersion".into(), version);
    }
    child(&mut object, "spec").insert("replicas".into(), wanted["spec"]["replicas"].clone());
    update(
        store,
        call.kind,
        name,
        object,
        &Caller::of(call)?,
        Door::Other("scale"),
    )?;
    Ok(Answer::ok(&as_scale(&existing(store, call, name)?)))
}

fn finalize(store: &mut Store, call: &Call<'_>, name: &Name) -> Result<Answer, Failure> {
    let wanted = call.object()?;
    let mut object = existing(store, call, name)?;
    super::checks::check_version(call.kind, &wanted, &object)?;
    child(&mut object, "spec").insert("finalizers".into(), wanted["spec"]["finalizers"].clone());
    store.put(call.kind, &mut object);
    let done = object::list(&object, &["spec", "finalizers"]).is_empty();
    if done && object::is_deleting(&object) && !object::has_finalizers(&object) {
        store.remove(call.kind, name);
    }
    Ok(Answer::ok(&object))
}

/// A token of the account, good for this API as long as it runs.
fn token(api: &Api, store: &Store, call: &Call<'_>, name: &Name) -> Result<Answer, Failure> {
    let mut request = call.object()?;
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let now = time::now();
    let until = now + jiff::SignedDuration::from_secs(seconds.clamp(600, 86_400));
    let token = api
        .tokens
        .issue(store, name, now, until)
        .ok_or_else(|| Failure::not_found(call.kind, &name.name))?;
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["status"] = json!({"token": token, "expirationTimestamp": time::text(until)});
    Ok(Answer::json(201, Bytes::from(request.to_string())))
}
