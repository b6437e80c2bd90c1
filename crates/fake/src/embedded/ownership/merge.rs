//! One version of an object laid over another.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::field_set::Element;
use super::typed::{Shape, field_type, is_atomic, is_empty, item_element, item_type, shape};
use crate::embedded::schema::Type;

/// Lays `new` over `old`: maps and lists that merge are merged, all else is taken from `new`.
pub(super) fn merge(kind: &Type, old: &Value, new: &Value) -> Value {
    both(kind, Some(old), Some(new)).unwrap_or(Value::Null)
}

fn both(kind: &Type, old: Option<&Value>, new: Option<&Value>) -> Option<Value> {
    let newer = || new.or(old).cloned();
    let shape = match (old, new) {
        (Some(old), Some(new)) if shape(kind, Some(old)) != shape(kind, Some(new)) => return newer(),
        (_, Some(new)) => shape(kind, Some(new)),
        (old, None) => shape(kind, old),
    };
    if is_atomic(kind, shape) || (is_empty(old) && is_empty(new)) {
        return newer();
    }
    match shape {
        Shape::Scalar => newer(),
        Shape::Map => {
            let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            let names: BTreeSet<&String> = old
                .into_iter()
                .flat_map(Map::keys)
                .chain(new.into_iter().flat_map(Map::keys))
                .collect();
            let merged = names.into_iter().filter_map(|name| {
                let (old, new) = (old.and_then(|m| m.get(name)), new.and_then(|m| m.get(name)));
                Some((name.clone(), both(field_type(kind, name).0, old, new)?))
            });
            Some(Value::Object(merged.collect())).filter(|m| !is_empty(Some(m)))
        }
        Shape::List => {
            let merged = list(kind, items(kind, old), items(kind, new));
            Some(Value::Array(merged)).filter(|m| !is_empty(Some(m)))
        }
    }
}

fn items<'v>(kind: &Type, list: Option<&'v Value>) -> Vec<(Element, &'v Value)> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|item| Some((item_element(kind, item).ok()?, item)))
        .collect()
}

/// Merges two lists of named items: the new order wins among items both have, old ones keep their place around them.
fn list(kind: &Type, old: Vec<(Element, &Value)>, new: Vec<(Element, &Value)>) -> Vec<Value> {
    let item = item_type(kind);
    let mut out = Vec::new();
    let in_old = |e: &Element| old.iter().any(|(o, _)| o == e);
    let in_new = |e: &Element| new.iter().any(|(n, _)| n == e);
    let only_old = |e: &Element| {
        let mut same = old.iter().filter(|(o, _)| o == e);
        same.next().filter(|_| same.next().is_none()).map(|(_, v)| *v)
    };
    let mut shared = new.iter().map(|(e, _)| e).filter(|e| in_old(e));
    let mut next_shared = shared.next();
    let mut merged: Vec<&Element> = Vec::new();
    let (mut l, mut r) = (0, 0);
    while l < old.len() || r < new.len() {
        if l < old.len() && r < new.len() {
            let element = &old[l].0;
            if *element == new[r].0 {
                merged.push(&new[r].0);
                out.extend(both(item, only_old(element), Some(new[r].1)));
                l += 1;
                r += 1;
                next_shared = shared.next();
                continue;
            }
            if in_new(element) && next_shared.is_some_and(|s| s != element) {
                l += 1;
                continue;
            }
        }
        if l < old.len() {
            let element = &old[l].0;
            if !in_new(element) {
                out.extend(both(item, Some(old[l].1), None));
                l += 1;
                continue;
            }
            if merged.contains(&element) {
                l += 1;
            }
        }
        if r < new.len() {
            let element = &new[r].0;
            merged.push(element);
            out.extend(both(item, only_old(element), Some(new[r].1)));
            r += 1;
            if next_shared == Some(element) {
                next_shared = shared.next();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema::schema;
    use serde_json::json;

    #[test]
    fn containers_merge_by_name_and_keep_their_order() {
        let kind = schema().named("core.v1.PodSpec");
        let old = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
        let new = json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]});
        let merged = merge(&kind, &old, &new);
        let expected =
            json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]);
        assert_eq!(merged["containers"], expected);
    }

    #[test]
    fn atomic_maps_are_replaced() {
        let kind = schema().named("core.v1.PodSpec");
        let merged = merge(
            &kind,
            &json!({"nodeSelector": {"a": "1"}}),
            &json!({"nodeSelector": {"b": "2"}}),
        );
        assert_eq!(merged, json!({"nodeSelector": {"b": "2"}}));
    }
}
