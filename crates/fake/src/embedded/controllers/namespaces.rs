//! What every namespace has, and how it ends: its content is deleted, finalizers are waited for, then it goes.

use serde_json::{Value, json};

use super::{names, write_status};
use crate::embedded::api::{Caller, Deletion, create, delete};
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{self, kinds as all_kinds};
use crate::embedded::object::{self, child, set_condition};
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

/// Brings one namespace into order.
pub(super) fn settle(store: &mut Store, name: &str, ca_pem: &str) -> Result<(), Failure> {
    let Some(namespace) = store.read(kinds::namespace(), "", name) else {
        return Ok(());
    };
    if object::is_deleting(&namespace) {
        end(store, namespace, name)
    } else {
        furnish(store, name, ca_pem)
    }
}

fn furnish(store: &mut Store, name: &str, ca_pem: &str) -> Result<(), Failure> {
    let caller = Caller::server(super::MANAGER);
    if store
        .get(kinds::service_account(), &Name::new(name, "default"))
        .is_none()
    {
        create(
            store,
            kinds::service_account(),
            name,
            json!({"metadata": {"name": "default"}}),
            &caller,
        )?;
    }
    if store
        .get(kinds::config_map(), &Name::new(name, "kube-root-ca.crt"))
        .is_none()
    {
        let why = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";
        let root = json!({
            "metadata": {"name": "kube-root-ca.crt", "annotations": {"kubernetes.io/description": why}},
            "data": {"ca.crt": ca_pem},
        });
        create(store, kinds::config_map(), name, root, &caller)?;
    }
    Ok(())
}

fn end(store: &mut Store, mut namespace: Value, name: &str) -> Result<(), Failure> {
    let mut left = 0;
    for kind in all_kinds().iter().filter(|k| k.namespaced) {
        for object in names(store, kind, name) {
            match delete(store, kind, &object, &Deletion::default()) {
                Ok(_) => left += usize::from(store.get(kind, &object).is_some()),
                Err(failure) if failure.code == 404 => {}
                Err(failure) => return Err(failure),
            }
        }
    }
    if left > 0 {
        let message = format!("Some content in the namespace has finalizers remaining: {left} objects");
        let condition = json!({
            "type": "NamespaceFinalizersRemaining", "status": "True", "reason": "SomeFinalizersRemain",
            "message": message, "lastTransitionTime": time::now_text(),
        });
        set_condition(child(&mut namespace, "status"), condition);
        return write_status(store, kinds::namespace(), namespace);
    }
    let finalizers = object::list(&namespace, &["spec", "finalizers"]);
    let others: Vec<Value> = finalizers
        .iter()
        .filter(|f| *f != "kubernetes")
        .cloned()
        .collect();
    let done = others.is_empty() && !object::has_finalizers(&namespace);
    if others.len() != finalizers.len() {
        child(&mut namespace, "spec").insert("finalizers".into(), others.into());
        store.put(kinds::namespace(), &mut namespace);
    }
    if done {
        store.remove(kinds::namespace(), &Name::new("", name));
    }
    Ok(())
}
