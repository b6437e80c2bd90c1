//! A value walked along its type: what list items are called, which fields a value sets, whether it fits at all.

use serde_json::{Map, Value};

use super::field_set::{Element, FieldSet};
use crate::embedded::schema::{Merge, Type, key_default};

/// What a type turns out to be for one value; values of type `any` are judged by what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Scalar,
    Map,
    List,
}

pub(super) fn shape(kind: &Type, value: Option<&Value>) -> Shape {
    match kind {
        Type::Struct(_) | Type::Map { .. } => Shape::Map,
        Type::List { .. } => Shape::List,
        Type::Any => match value {
            Some(Value::Object(_)) => Shape::Map,
            Some(Value::Array(_)) => Shape::List,
            _ => Shape::Scalar,
        },
        _ => Shape::Scalar,
    }
}

/// Whether the value is owned as a whole.
pub(super) fn is_atomic(kind: &Type, shape: Shape) -> bool {
    match (kind, shape) {
        (_, Shape::Scalar) | (Type::Any, Shape::List) => true,
        _ => kind.is_atomic(),
    }
}

pub(super) fn is_empty(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    }
}

/// What a field of a map or structure is, and whether the structure names it.
pub(super) fn field_type<'t>(kind: &'t Type, name: &str) -> (&'t Type, bool) {
    let named = kind.structure().is_some_and(|s| s.fields.contains_key(name));
    (kind.field(name).unwrap_or(&Type::Any), named)
}

pub(super) fn item_type(kind: &Type) -> &Type {
    kind.item().unwrap_or(&Type::Any)
}

/// The name of an item of a list that merges.
pub(super) fn item_element(kind: &Type, item: &Value) -> Result<Element, String> {
    match kind {
        Type::List {
            merge: Merge::Keys(keys),
            ..
        } => {
            let object = item.as_object().ok_or_else(|| match item {
                Value::Null => "associative list with keys may not have a null element".to_owned(),
                _ => "associative list with keys may not have non-map elements".to_owned(),
            })?;
            let mut found = Map::new();
            for key in keys {
                if let Some(value) = object.get(key) {
                    found.insert(key.clone(), value.clone());
                } else if let Some(default) = key_default(key) {
                    found.insert(key.clone(), default.into());
                }
            }
            if found.is_empty() {
                let names: Vec<String> = keys.iter().map(|k| format!("\"{k}\"")).collect();
                return Err(format!(
                    "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                    names.join(" ")
                ));
            }
            Ok(format!("k:{}", Value::Object(found)))
        }
        _ => match item {
            Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
            Value::Array(_) => Err("not supporting sets of sets".into()),
            Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
            scalar => Ok(format!("v:{scalar}")),
        },
    }
}

/// The fields a value sets.
pub(super) fn field_set(kind: &Type, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    below(kind, value, &mut set);
    set
}

/// Fills in the fields below a value; says whether the value itself is one.
fn below(kind: &Type, value: &Value, set: &mut FieldSet) -> bool {
    let shape = shape(kind, Some(value));
    if is_atomic(kind, shape) {
        return true;
    }
    match (shape, value) {
        (Shape::Map, Value::Object(map)) => {
            for (name, inner) in map {
                let (inner_kind, named) = field_type(kind, name);
                let element = format!("f:{name}");
                let mut inner_set = FieldSet::default();
                let leaf = below(inner_kind, inner, &mut inner_set);
                let empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                if leaf || empty || !named {
                    set.set_member(&element);
                }
                set.set_below(&element, inner_set);
            }
        }
        (Shape::List, Value::Array(list)) => {
            let elements: Vec<Option<Element>> = list.iter().map(|i| item_element(kind, i).ok()).collect();
            for (item, element) in list.iter().zip(&elements) {
                let Some(element) = element else { continue };
                set.set_member(element);
                if elements.iter().filter(|e| e.as_ref() == Some(element)).count() == 1 {
                    let mut inner_set = FieldSet::default();
                    below(item_type(kind), item, &mut inner_set);
                    set.set_below(element, inner_set);
                }
            }
        }
        _ => {}
    }
    false
}

/// A set with every named field added that has members below it.
pub(super) fn ensure_named(set: &FieldSet, kind: Option<&Type>) -> FieldSet {
    let mut out = set.clone();
    for (element, inner) in set.parents() {
        let inner_kind = match (element.split_at(2), kind) {
            (("f:", name), Some(kind)) => {
                let (field, named) = field_type(kind, name);
                if named {
                    out.set_member(element);
                }
                Some(field)
            }
            (("k:", _), Some(kind @ Type::List { .. })) => Some(item_type(kind)),
            _ => None,
        };
        out.set_below(element, ensure_named(inner, inner_kind));
    }
    out
}

/// Checks that a value fits its type.
///
/// # Errors
/// The first misfit, with its path.
pub(crate) fn validate(kind: &Type, value: &Value) -> Result<(), String> {
    check(kind, value, &mut String::new())
}

fn check(kind: &Type, value: &Value, path: &mut String) -> Result<(), String> {
    let here = path.len();
    let wrong = |path: &str, what: &str| Err(format!("{path}: {what}"));
    match (kind, value) {
        (_, Value::Null) | (Type::Any, _) => Ok(()),
        (Type::String, Value::String(_))
        | (Type::Number, Value::Number(_))
        | (Type::Boolean, Value::Bool(_)) => Ok(()),
        (Type::Quantity | Type::Untyped, Value::String(_) | Value::Number(_) | Value::Bool(_)) => Ok(()),
        (Type::String, other) => wrong(path, &format!("expected string, got {}", go(other))),
        (Type::Number, other) => wrong(
            path,
            &format!("expected numeric (int or float), got {}", go_type(other)),
        ),
        (Type::Boolean, other) => wrong(path, &format!("expected boolean, got {}", go(other))),
        (Type::Quantity | Type::Untyped, other) => {
            wrong(path, &format!("expected any scalar, got {}", go(other)))
        }
        (Type::Struct(_) | Type::Map { .. }, Value::Object(map)) => {
            for (name, inner) in map {
                path.push('.');
                path.push_str(name);
                let Some(inner_kind) = kind.field(name) else {
                    return wrong(path, "field not declared in schema");
                };
                check(inner_kind, inner, path)?;
                path.truncate(here);
            }
            Ok(())
        }
        (Type::Struct(_) | Type::Map { .. }, other) => {
            wrong(path, &format!("expected map, got {}", go(other)))
        }
        (Type::List { merge, item }, Value::Array(list)) => {
            let mut seen = Vec::new();
            for (index, inner) in list.iter().enumerate() {
                let element = if *merge == Merge::Atomic {
                    format!("i:{index}")
                } else {
                    item_element(kind, inner).map_err(|e| format!("{path}: element {index}: {e}"))?
                };
                if seen.contains(&element) {
                    let key = super::field_set::display(std::slice::from_ref(&element));
                    return wrong(path, &format!("duplicate entries for key {key}"));
                }
                path.push_str(&super::field_set::display(std::slice::from_ref(&element)));
                seen.push(element);
                check(item, inner, path)?;
                path.truncate(here);
            }
            Ok(())
        }
        (Type::List { .. }, other) => wrong(path, &format!("expected list, got {}", go(other))),
    }
}

fn go(value: &Value) -> String {
    match value {
        Value::Object(_) => "map".into(),
        Value::Array(_) => "list".into(),
        other => format!("&value.valueUnstructured{{Value:{other}}}"),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        _ => "map[string]interface {}",
    }
}
