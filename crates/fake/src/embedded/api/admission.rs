//! The built-in admission Berth relies on: no content in missing or ending namespaces, a pod's account, and a limit range's
//! defaults. Policies, pod security and all other plugins are not here.

use serde_json::{Value, json};

use crate::embedded::failure::Failure;
use crate::embedded::kinds::{self, Kind};
use crate::embedded::object::{self, child, default, list, root, text};
use crate::embedded::store::{Name, Store};

/// Refuses a new object in a namespace that is not there or is ending.
pub(super) fn namespace_is_open(store: &Store, kind: &Kind, name: &Name) -> Result<(), Failure> {
    if !kind.namespaced {
        return Ok(());
    }
    let namespace = store
        .read(kinds::namespace(), "", &name.namespace)
        .ok_or_else(|| Failure::not_found(kinds::namespace(), &name.namespace))?;
    if object::is_deleting(&namespace) {
        return Err(Failure::namespace_terminating(kind, &name.name, &name.namespace));
    }
    Ok(())
}

/// Fills in what the namespace decides for a new pod.
pub(super) fn fill_in(store: &Store, kind: &Kind, object: &mut Value) {
    if !kind.is("", "Pod") {
        return;
    }
    let namespace = object::namespace(object).to_owned();
    let spec = child(object, "spec");
    default(spec, "serviceAccountName", "default");
    let account = spec["serviceAccountName"].clone();
    default(spec, "serviceAccount", account);
    let ranges = kinds::by_kind("", "LimitRange").map(|k| store.list(k, &namespace, None).map(|s| s.value()));
    for range in ranges.into_iter().flatten() {
        for limit in list(&range, &["spec", "limits"])
            .iter()
            .filter(|l| text(l, &["type"]) == "Container")
        {
            for key in ["containers", "initContainers"] {
                for container in spec
                    .get_mut(key)
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    limit_container(limit, child(container, "resources"));
                }
            }
        }
    }
}

fn limit_container(limit: &Value, resources: &mut serde_json::Map<String, Value>) {
    for (from, to) in [("default", "limits"), ("defaultRequest", "requests")] {
        let Some(amounts) = limit[from].as_object().filter(|m| !m.is_empty()) else {
            continue;
        };
        let into = root(resources.entry(to).or_insert_with(|| json!({})));
        for (name, amount) in amounts {
            default(into, name, amount.clone());
        }
    }
}
