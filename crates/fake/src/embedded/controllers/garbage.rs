//! Garbage collection by owner references: in the background, in the foreground, or not at all for orphans.

use serde_json::Value;

use super::write;
use crate::embedded::api::{Deletion, delete};
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{Kind, by_api_version};
use crate::embedded::object::{self, child, list, text};
use crate::embedded::store::{Name, Store};

/// Deletes what only an owner that is gone has held.
pub(super) fn collect(store: &mut Store, uid: &str) -> Result<(), Failure> {
    for (kind, name) in store.dependents(uid) {
        check(store, kind, &name)?;
    }
    Ok(())
}

/// Deletes an object when none of its owners exists. Owners of kinds not served here are believed.
pub(super) fn check(store: &mut Store, kind: &'static Kind, name: &Name) -> Result<(), Failure> {
    let Some(object) = store.get(kind, name).map(|s| s.value()) else {
        return Ok(());
    };
    let owners = list(&object, &["metadata", "ownerReferences"]);
    let held = owners.iter().any(|owner| {
        let known = by_api_version(text(owner, &["apiVersion"]), text(owner, &["kind"])).is_some();
        !known || store.exists(text(owner, &["uid"]))
    });
    if owners.is_empty() || held {
        return Ok(());
    }
    delete(store, kind, name, &Deletion::default()).map(|_| ())
}

/// Carries out the built-in finalizers of an object that is being deleted.
pub(super) fn finalize(store: &mut Store, kind: &'static Kind, name: &Name) -> Result<(), Failure> {
    let Some(mut object) = store.get(kind, name).map(|s| s.value()) else {
        return Ok(());
    };
    if !object::is_deleting(&object) {
        return Ok(());
    }
    let uid = object::uid(&object).to_owned();
    let finalizers = list(&object, &["metadata", "finalizers"]).to_vec();
    let done = if finalizers.iter().any(|f| f == "orphan") {
        release(store, &uid)?;
        "orphan"
    } else if finalizers.iter().any(|f| f == "foregroundDeletion") {
        for (kind, name) in store.dependents(&uid) {
            delete(store, kind, &name, &Deletion::default())?;
        }
        if !store.dependents(&uid).is_empty() {
            return Ok(());
        }
        "foregroundDeletion"
    } else {
        return Ok(());
    };
    let left: Vec<Value> = finalizers.into_iter().filter(|f| f != done).collect();
    child(&mut object, "metadata").insert("finalizers".into(), left.into());
    write(store, kind, object)
}

fn release(store: &mut Store, uid: &str) -> Result<(), Failure> {
    for (kind, name) in store.dependents(uid) {
        let Some(mut dependent) = store.get(kind, &name).map(|s| s.value()) else {
            continue;
        };
        let owners = list(&dependent, &["metadata", "ownerReferences"]);
        let others: Vec<Value> = owners.iter().filter(|o| o["uid"] != uid).cloned().collect();
        child(&mut dependent, "metadata").insert("ownerReferences".into(), others.into());
        write(store, kind, dependent)?;
    }
    Ok(())
}
