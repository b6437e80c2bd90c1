//! Services find their ready pods: Endpoints and an EndpointSlice for every service with a selector.

use serde_json::{Value, json};

use super::super::{MANAGER, write};
use super::pod::{is_ready, reference};
use crate::embedded::api::{Caller, create};
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{self, Kind};
use crate::embedded::object::{self, list, strings, text};
use crate::embedded::store::{Name, Store};

/// Brings the endpoints of one service into order.
pub(super) fn settle(store: &mut Store, name: &Name) -> Result<(), Failure> {
    let Some(service) = store.get(kinds::service(), name).map(|s| s.value()) else {
        // Endpoints have no owner reference and go with their service by name.
        return match store.get(kinds::endpoints(), name) {
            Some(_) => crate::embedded::api::delete(
                store,
                kinds::endpoints(),
                name,
                &crate::embedded::api::Deletion::default(),
            )
            .map(|_| ()),
            None => Ok(()),
        };
    };
    let selector: Vec<(&str, &str)> = strings(&service["spec"]["selector"]).collect();
    if selector.is_empty() {
        return Ok(());
    }
    let pods: Vec<Value> = store
        .list(kinds::pod(), &name.namespace, None)
        .filter(|s| {
            selector
                .iter()
                .all(|(k, v)| s.labels.iter().any(|(lk, lv)| lk == k && lv == v))
        })
        .map(|s| s.value())
        .filter(|p| !super::super::is_gone(p) && p["status"]["podIP"].is_string())
        .collect();
    let addresses = |ready: bool| -> Vec<Value> {
        let some = pods.iter().filter(|p| is_ready(p) == ready);
        some.map(|p| json!({"ip": p["status"]["podIP"], "nodeName": p["spec"]["nodeName"], "targetRef": target(p)})).collect()
    };
    let ports = ports(&service, pods.first());
    let mut subset = json!({"ports": ports});
    for (key, ready) in [("addresses", true), ("notReadyAddresses", false)] {
        let addresses = addresses(ready);
        if !addresses.is_empty() {
            subset[key] = addresses.into();
        }
    }
    let subsets = if pods.is_empty() {
        json!([])
    } else {
        json!([subset])
    };
    let labels = service["metadata"]["labels"].clone();
    put(
        store,
        kinds::endpoints(),
        name,
        json!({"metadata": {"labels": labels}, "subsets": subsets}),
    )?;
    let slice = Name::new(&name.namespace, &format!("{}-embedded", name.name));
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|p| {
            let ready = is_ready(p);
            json!({
                "addresses": [p["status"]["podIP"]], "nodeName": p["spec"]["nodeName"], "targetRef": target(p),
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
            })
        })
        .collect();
    let object = json!({
        "metadata": {
            "labels": {"kubernetes.io/service-name": name.name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
            "ownerReferences": [reference(kinds::service(), &service)],
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    put(store, kinds::endpoint_slice(), &slice, object)
}

fn target(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": object::namespace(pod), "name": object::name(pod), "uid": object::uid(pod)})
}

/// The ports of a service as its pods have them; names of ports are looked up in the first pod.
fn ports(service: &Value, pod: Option<&Value>) -> Vec<Value> {
    let named = |name: &str| {
        let containers = pod.map_or(&[][..], |p| list(p, &["spec", "containers"]));
        let ports = containers.iter().flat_map(|c| list(c, &["ports"]));
        ports
            .filter(|p| p["name"] == name)
            .map(|p| p["containerPort"].clone())
            .next()
    };
    let of = |port: &Value| {
        let number = match &port["targetPort"] {
            Value::String(name) => named(name)?,
            number => number.clone(),
        };
        Some(json!({"name": text(port, &["name"]), "port": number, "protocol": port["protocol"]}))
    };
    list(service, &["spec", "ports"]).iter().filter_map(of).collect()
}

fn put(store: &mut Store, kind: &'static Kind, name: &Name, mut wanted: Value) -> Result<(), Failure> {
    match store.get(kind, name).map(|s| s.value()) {
        Some(mut live) => {
            for key in ["subsets", "endpoints", "ports"] {
                object::copy_field(&wanted, &mut live, key);
            }
            write(store, kind, live)
        }
        None => {
            object::child(&mut wanted, "metadata").insert("name".into(), name.name.as_str().into());
            create(store, kind, &name.namespace, wanted, &Caller::server(MANAGER)).map(|_| ())
        }
    }
}
