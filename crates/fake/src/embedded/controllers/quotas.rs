//! Resource quotas: what is used is counted and `status` filled. Until then a quota enforces nothing, as on a real cluster.

use super::write_status;
use crate::embedded::api::usage;
use crate::embedded::failure::Failure;
use crate::embedded::kinds;
use crate::embedded::object::child;
use crate::embedded::store::Store;

/// Fills the status of a namespace's quotas.
pub(super) fn fill(store: &mut Store, namespace: &str) -> Result<(), Failure> {
    for name in super::names(store, kinds::resource_quota(), namespace) {
        let Some(mut quota) = store.get(kinds::resource_quota(), &name).map(|s| s.value()) else {
            continue;
        };
        if super::is_gone(&quota) {
            continue;
        }
        let hard = quota["spec"]["hard"].clone();
        let used = usage::used(store, namespace, &hard);
        let status = child(&mut quota, "status");
        if !hard.is_null() {
            status.insert("hard".into(), hard);
            status.insert("used".into(), used.into());
        }
        write_status(store, kinds::resource_quota(), quota)?;
    }
    Ok(())
}
