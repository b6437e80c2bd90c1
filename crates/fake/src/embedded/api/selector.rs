//! Label and field selectors.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::embedded::failure::Failure;
use crate::embedded::kinds::Kind;
use crate::embedded::object::{list, strings, text};
use crate::embedded::store::Stored;

/// One requirement on a label.
#[derive(Debug, Clone, PartialEq)]
enum Requirement {
    Exists(String),
    Missing(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

/// A label selector and a field selector together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

impl Selector {
    /// Reads both selectors of a request.
    ///
    /// # Errors
    /// A selector that cannot be read, or a field this kind cannot be selected by.
    pub(crate) fn read(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let mut selector = Self::default();
        for part in split(labels) {
            let requirement = requirement(part)
                .ok_or_else(|| Failure::bad_request(format!("unable to parse requirement: {part}")))?;
            selector.labels.push(requirement);
        }
        for part in fields.split(',').filter(|p| !p.is_empty()) {
            let (key, equal, value) = field(part).ok_or_else(|| {
                Failure::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'"))
            })?;
            if !selectable(kind, &key) {
                return Err(Failure::bad_request(format!("field label not supported: {key}")));
            }
            selector.fields.push((key, equal, value));
        }
        Ok(selector)
    }

    /// The one name that can match, when the selector names it.
    pub(crate) fn name(&self) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, equal, _)| key == "metadata.name" && *equal)
            .map(|(_, _, v)| v.as_str())
    }

    pub(crate) fn matches(&self, stored: &Stored) -> bool {
        let label = |key: &str| {
            stored
                .labels
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, v)| v.as_str())
        };
        self.labels.iter().all(|r| r.holds(label)) && self.fields_match(stored)
    }

    fn fields_match(&self, stored: &Stored) -> bool {
        let mut value = None;
        self.fields.iter().all(|(key, equal, wanted)| {
            let found = match key.as_str() {
                "metadata.name" => stored.name.name.clone(),
                "metadata.namespace" => stored.name.namespace.clone(),
                path => {
                    let value = value.get_or_insert_with(|| stored.value());
                    match path.split('.').fold(&*value, |v, part| &v[part]) {
                        Value::String(text) => text.clone(),
                        Value::Null if path == "spec.unschedulable" => "false".into(),
                        Value::Null => String::new(),
                        other => other.to_string(),
                    }
                }
            };
            (found == *wanted) == *equal
        })
    }
}

impl Requirement {
    fn holds<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        match self {
            Self::Exists(key) => label(key).is_some(),
            Self::Missing(key) => label(key).is_none(),
            Self::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Self::NotIn(key, values) => label(key).is_none_or(|v| !values.iter().any(|w| w == v)),
        }
    }
}

fn split(selector: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_i32, 0);
    for (index, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(selector[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(selector[start..].trim());
    parts.retain(|p| !p.is_empty());
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Requirement::NotIn(key.trim().into(), vec![value.trim().into()]));
    }
    if let Some((key, value)) = part.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Some(Requirement::In(key.trim().into(), vec![value.trim().into()]));
    }
    if let Some(key) = part.strip_prefix('!') {
        return Some(Requirement::Missing(key.trim().into()));
    }
    if let Some((head, values)) = part.split_once('(') {
        let values = values
            .strip_suffix(')')?
            .split(',')
            .map(|v| v.trim().to_owned())
            .collect();
        let (key, operator) = head.trim().split_once(char::is_whitespace)?;
        return match operator.trim() {
            "in" => Some(Requirement::In(key.into(), values)),
            "notin" => Some(Requirement::NotIn(key.into(), values)),
            _ => None,
        };
    }
    (!part.contains(char::is_whitespace)).then(|| Requirement::Exists(part.into()))
}

fn field(part: &str) -> Option<(String, bool, String)> {
    let (key, equal, value) = if let Some((key, value)) = part.split_once("!=") {
        (key, false, value)
    } else if let Some((key, value)) = part.split_once("==") {
        (key, true, value)
    } else {
        let (key, value) = part.split_once('=')?;
        (key, true, value)
    };
    Some((key.trim().into(), equal, value.trim().into()))
}

fn selectable(kind: &Kind, field: &str) -> bool {
    match field {
        "metadata.name" => true,
        "metadata.namespace" => kind.namespaced,
        _ => match kind.kind {
            "Pod" => matches!(
                field,
                "spec.nodeName"
                    | "spec.restartPolicy"
                    | "spec.schedulerName"
                    | "spec.serviceAccountName"
                    | "status.phase"
                    | "status.podIP"
            ),
            "Event" => {
                field.starts_with("involvedObject.")
                    || matches!(field, "reason" | "type" | "reportingComponent")
            }
            "Node" => field == "spec.unschedulable",
            "Namespace" => field == "status.phase",
            "Secret" => field == "type",
            "Job" => field == "status.successful",
            "ReplicaSet" | "ReplicationController" => field == "status.replicas",
            _ => false,
        },
    }
}

/// Whether labels fit a `LabelSelector` object. An empty selector fits everything, a missing one nothing.
pub(crate) fn matches_selector(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let labels: BTreeMap<&str, &str> = strings(labels).collect();
    let plain = strings(&selector["matchLabels"]).all(|(k, v)| labels.get(k) == Some(&v));
    plain
        && list(selector, &["matchExpressions"]).iter().all(|expression| {
            let key = text(expression, &["key"]).to_owned();
            let values = list(expression, &["values"])
                .iter()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect();
            let requirement = match text(expression, &["operator"]) {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::Missing(key),
                _ => return false,
            };
            requirement.holds(|k| labels.get(k).copied())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_read_every_operator() {
        let labels = |key: &str| match key {
            "a" => Some("1"),
            "b" => Some("2"),
            _ => None,
        };
        for (selector, expected) in [
            ("a=1,b==2", true),
            ("a!=1", false),
            ("a in (1,3), b notin (3)", true),
            ("a,!c", true),
            ("c", false),
            ("c!=1", true),
        ] {
            let held = split(selector)
                .into_iter()
                .all(|p| requirement(p).expect("it reads").holds(labels));
            assert_eq!(held, expected, "{selector}");
        }
    }
}
