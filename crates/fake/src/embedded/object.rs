//! Looking into objects: the handful of metadata every room asks for. Missing or misshapen fields read as absent.

use serde_json::{Map, Value};

pub(crate) fn text<'v>(value: &'v Value, path: &[&str]) -> &'v str {
    at(value, path).as_str().unwrap_or_default()
}

pub(crate) fn number(value: &Value, path: &[&str]) -> Option<i64> {
    at(value, path).as_i64()
}

pub(crate) fn flag(value: &Value, path: &[&str]) -> bool {
    at(value, path).as_bool().unwrap_or(false)
}

pub(crate) fn list<'v>(value: &'v Value, path: &[&str]) -> &'v [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn at<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(value, |v, key| &v[*key])
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}

pub(crate) fn generation(object: &Value) -> i64 {
    number(object, &["metadata", "generation"]).unwrap_or(0)
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(crate) fn has_finalizers(object: &Value) -> bool {
    !list(object, &["metadata", "finalizers"]).is_empty()
}

/// The object below a key, made when it is missing or no object.
pub(crate) fn child<'v>(value: &'v mut Value, key: &str) -> &'v mut Map<String, Value> {
    root(root(value).entry(key).or_insert(Value::Null))
}

/// The value as an object, made one when it is none.
pub(crate) fn root(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

/// Sets a field unless it is there.
pub(crate) fn default(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value.into());
    }
}

/// The string values of a map such as labels.
pub(crate) fn strings(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.as_str(), v.as_str()?)))
}

/// Makes one object's field equal another's: copied, or removed when the other has none.
pub(crate) fn copy_field(from: &Value, to: &mut Value, key: &str) {
    match from.get(key) {
        Some(value) => {
            root(to).insert(key.to_owned(), value.clone());
        }
        None => {
            root(to).remove(key);
        }
    }
}

/// Sets or replaces a condition; its transition time moves only when its status does. Says whether anything changed.
pub(crate) fn set_condition(status: &mut Map<String, Value>, condition: Value) -> bool {
    let conditions = status
        .entry("conditions")
        .or_insert_with(|| Value::Array(Vec::new()));
    let Some(conditions) = conditions.as_array_mut() else {
        return false;
    };
    let Some(old) = conditions.iter_mut().find(|c| c["type"] == condition["type"]) else {
        conditions.push(condition);
        return true;
    };
    if old["status"] == condition["status"]
        && old["reason"] == condition["reason"]
        && old["message"] == condition["message"]
    {
        return false;
    }
    let since = (old["status"] == condition["status"]).then(|| old["lastTransitionTime"].clone());
    *old = condition;
    if let Some(since) = since {
        old["lastTransitionTime"] = since;
    }
    true
}
