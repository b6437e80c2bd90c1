//! `metadata.managedFields`, read and written.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::field_set::FieldSet;

/// Who made a write: the identity under which fields are owned. An applier keeps its identity over API versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ManagerId {
    pub(crate) apply: bool,
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// Empty for appliers.
    pub(crate) api_version: String,
}

/// What one manager owns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owned {
    pub(crate) api_version: String,
    pub(crate) set: FieldSet,
    pub(crate) time: Option<String>,
}

/// All managers of one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Managers(pub(crate) BTreeMap<ManagerId, Owned>);

const MAX_UPDATERS: usize = 10;

impl Managers {
    /// Reads the managers of an object; what cannot be read counts as none.
    pub(crate) fn of(object: &Value) -> Self {
        Self::read(&object["metadata"]["managedFields"]).unwrap_or_default()
    }

    /// Reads a list of entries; `None` when an entry is not well formed.
    pub(crate) fn read(entries: &Value) -> Option<Self> {
        let mut managers = BTreeMap::new();
        for entry in entries.as_array().into_iter().flatten() {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let apply = match entry["operation"].as_str() {
                Some("Apply") => true,
                Some("Update") => false,
                _ => return None,
            };
            let api_version = text("apiVersion");
            if api_version.is_empty() || text("fieldsType") != "FieldsV1" {
                return None;
            }
            let id = ManagerId {
                apply,
                name: text("manager"),
                subresource: text("subresource"),
                api_version: if apply { String::new() } else { api_version.clone() },
            };
            let time = entry["time"].as_str().map(str::to_owned);
            managers.insert(
                id,
                Owned {
                    api_version,
                    set: FieldSet::from_json(&entry["fieldsV1"]),
                    time,
                },
            );
        }
        Some(Self(managers))
    }

    /// The entries in the order the apiserver keeps: appliers first, then by time and name.
    pub(crate) fn write(&self) -> Value {
        let mut entries: Vec<(&ManagerId, &Owned)> = self.0.iter().collect();
        entries.sort_by(|(a, ours), (b, theirs)| {
            b.apply
                .cmp(&a.apply)
                .then_with(|| ours.time.cmp(&theirs.time))
                .then_with(|| a.name.cmp(&b.name))
                .then_with(|| ours.api_version.cmp(&theirs.api_version))
                .then_with(|| a.subresource.cmp(&b.subresource))
        });
        let entry = |(id, owned): (&ManagerId, &Owned)| {
            let mut entry = json!({
                "manager": id.name,
                "operation": if id.apply { "Apply" } else { "Update" },
                "apiVersion": owned.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": owned.set.to_json(),
            });
            if let Some(time) = &owned.time {
                entry["time"] = time.as_str().into();
            }
            if !id.subresource.is_empty() {
                entry["subresource"] = id.subresource.as_str().into();
            }
            entry
        };
        entries.into_iter().map(entry).collect()
    }

    /// Puts the managers into an object, replacing those it has.
    pub(crate) fn store_in(&self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return;
        };
        if self.0.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".into(), self.write());
        }
    }

    /// Folds the oldest updaters into one entry once there are more than ten.
    pub(super) fn cap_updaters(&mut self) {
        let mut updaters: Vec<(Option<String>, ManagerId)> = self
            .0
            .iter()
            .filter(|(id, _)| !id.apply)
            .map(|(id, o)| (o.time.clone(), id.clone()))
            .collect();
        updaters.sort();
        let mut left = updaters.len();
        let mut first: Option<ManagerId> = None;
        for (_, id) in updaters {
            if left <= MAX_UPDATERS {
                break;
            }
            let Some(oldest) = first.clone() else {
                first = Some(id);
                continue;
            };
            let bucket = ManagerId {
                name: "ancient-changes".into(),
                subresource: String::new(),
                ..id.clone()
            };
            if !self.0.contains_key(&bucket)
                && let Some(owned) = self.0.remove(&oldest)
            {
                self.0.insert(bucket.clone(), owned);
            }
            if let (Some(owned), Some(into)) = (self.0.remove(&id), self.0.get_mut(&bucket)) {
                into.set = std::mem::take(&mut into.set).union(&owned.set);
                into.time = owned.time;
            }
            left -= 1;
        }
    }
}
