//! Fields taken out of an object.

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::typed::{Shape, field_type, is_atomic, item_element, item_type, shape};
use crate::embedded::schema::Type;

/// The object without the fields of `set`.
pub(super) fn remove(kind: &Type, value: &Value, set: &FieldSet) -> Value {
    without(kind, value, set).unwrap_or_else(|| Value::Object(Map::new()))
}

/// `None` when nothing at all is left and nothing was expected to be.
fn without(kind: &Type, value: &Value, set: &FieldSet) -> Option<Value> {
    let shape = shape(kind, Some(value));
    if shape == Shape::Scalar {
        return Some(value.clone());
    }
    if is_atomic(kind, shape) {
        return None;
    }
    let mut hollowed = false;
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (name, inner) in map {
                let element = format!("f:{name}");
                if set.has(&element) {
                    continue;
                }
                let kept = match set.below(&element) {
                    Some(below) => {
                        hollowed = true;
                        without(field_type(kind, name).0, inner, below).unwrap_or_else(|| hollow(inner))
                    }
                    None => inner.clone(),
                };
                out.insert(name.clone(), kept);
            }
            (hollowed || !out.is_empty()).then_some(Value::Object(out))
        }
        Value::Array(list) => {
            let mut out = Vec::new();
            for item in list {
                let Ok(element) = item_element(kind, item) else {
                    continue;
                };
                if set.has(&element) {
                    continue;
                }
                out.push(match set.below(&element) {
                    Some(below) => {
                        hollowed = true;
                        without(item_type(kind), item, below).unwrap_or_else(|| hollow(item))
                    }
                    None => item.clone(),
                });
            }
            (hollowed || !out.is_empty()).then_some(Value::Array(out))
        }
        _ => None,
    }
}

fn hollow(value: &Value) -> Value {
    match value {
        Value::Object(_) => Value::Object(Map::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}
