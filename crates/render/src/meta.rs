//! What every object says about whose it is.

use berth_model::{Tenant, label};
use serde_json::{Map, Value, json};

/// The labels of every object of an assignment.
pub(crate) fn labels(tenant: &Tenant) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert(label::TENANT.into(), tenant.id.as_str().into());
    labels.insert(label::TENANT_UID.into(), tenant.uid.as_str().into());
    labels.insert(label::MANAGED_BY.into(), label::MANAGED_BY_BERTH.into());
    labels
}

/// Metadata of an object inside a namespace.
pub(crate) fn namespaced(tenant: &Tenant, namespace: &str, name: &str) -> Value {
    json!({"name": name, "namespace": namespace, "labels": labels(tenant)})
}
