//! Object metadata, only what is needed of it.

use std::collections::BTreeMap;

use berth_model::label::{MANAGER_AGENT, MANAGER_TENANT};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::plan::Fingerprint;

/// An empty list may be spelled `null`.
pub(crate) fn or_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Any object, of which only the metadata is read.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Meta {
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) generation: Option<i64>,
    pub(crate) deletion_timestamp: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) owner_references: Vec<Owner>,
    pub(crate) managed_fields: Vec<Managed>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Owner {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) controller: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Managed {
    manager: String,
    operation: String,
    subresource: String,
    time: String,
    fields_v1: Option<Box<RawValue>>,
}

impl Metadata {
    /// The version as a number; Kubernetes compares them so, within one API server.
    pub(crate) fn version(&self) -> u64 {
        self.resource_version.parse().unwrap_or(0)
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// What tells whether anybody took a field that Berth owns: the object's uid, and the fields our managers own with the
    /// time they were last changed. Whoever changes such a field, by whatever way, takes it out of our entry; status updates
    /// and other managers' own fields leave the entry as it is.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut print = Fingerprint::new();
        print.add(&self.uid);
        for entry in &self.managed_fields {
            let ours = [MANAGER_AGENT, MANAGER_TENANT].contains(&entry.manager.as_str());
            if ours && entry.operation == "Apply" && entry.subresource.is_empty() {
                print.add(&entry.manager);
                print.add(&entry.time);
                print.add(entry.fields_v1.as_ref().map_or("", |fields| fields.get()));
            }
        }
        print.finish()
    }

    /// Who else writes this object, the latest first.
    pub(crate) fn other_managers(&self) -> Vec<&str> {
        let ours = |entry: &&Managed| {
            ![MANAGER_AGENT, MANAGER_TENANT].contains(&entry.manager.as_str())
                && entry.subresource != "status"
        };
        let mut others: Vec<&Managed> = self.managed_fields.iter().filter(ours).collect();
        others.sort_by(|a, b| b.time.cmp(&a.time));
        others.into_iter().map(|entry| entry.manager.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn metadata(fields: Value) -> Metadata {
        let object = json!({ "metadata": { "uid": "1", "managedFields": fields } }).to_string();
        serde_json::from_str::<Meta>(&object).unwrap().metadata
    }

    fn entry(manager: &str, operation: &str, subresource: &str, fields: Value) -> Value {
        json!({ "manager": manager, "operation": operation, "subresource": subresource, "time": "t", "fieldsV1": fields })
    }

    #[test]
    fn only_a_change_to_what_we_own_changes_the_fingerprint() {
        let ours = entry(MANAGER_AGENT, "Apply", "", json!({ "f:spec": {} }));
        let alone = metadata(json!([ours])).fingerprint();
        let status = entry(
            "kube-controller-manager",
            "Update",
            "status",
            json!({ "f:status": {} }),
        );
        let beside = entry("kubectl", "Update", "", json!({ "f:data": {} }));
        assert_eq!(metadata(json!([ours, status, beside])).fingerprint(), alone);
        let taken = entry(MANAGER_AGENT, "Apply", "", json!({}));
        assert_ne!(metadata(json!([taken, beside])).fingerprint(), alone);
        assert_ne!(metadata(json!([])).fingerprint(), alone);
    }

    #[test]
    fn an_empty_list_may_be_spelled_null() {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default, deserialize_with = "or_empty")]
            items: Vec<Meta>,
        }
        for text in [r#"{"items":null}"#, r#"{"items":[]}"#, "{}"] {
            assert!(
                serde_json::from_str::<Page>(text).unwrap().items.is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn the_other_manager_is_named() {
        let ours = entry(MANAGER_AGENT, "Apply", "", json!({}));
        let status = entry("kcm", "Update", "status", json!({}));
        assert_eq!(
            metadata(json!([ours, status, entry("argocd", "Apply", "", json!({}))])).other_managers(),
            ["argocd"]
        );
    }
}
