//! What changed between two versions of an object.

use serde_json::Value;

use super::field_set::{Element, FieldSet};
use super::typed::{Shape, field_type, is_atomic, is_empty, item_element, item_type, shape};
use crate::embedded::schema::Type;

/// The paths that differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// Leaves out every path in or below `fields`.
    pub(super) fn without(self, fields: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

/// Compares two versions of an object.
pub(super) fn compare(kind: &Type, old: &Value, new: &Value) -> Comparison {
    let mut walker = Walker {
        path: Vec::new(),
        found: Comparison::default(),
    };
    walker.compare(kind, Some(old), Some(new));
    walker.found
}

struct Walker {
    path: Vec<Element>,
    found: Comparison,
}

impl Walker {
    fn compare(&mut self, kind: &Type, old: Option<&Value>, new: Option<&Value>) {
        if old == new {
            return;
        }
        let (old_shape, new_shape) = (shape(kind, old), shape(kind, new));
        let leaf = match (old, new) {
            (None, _) => self.walk(kind, new_shape, old, new),
            (_, None) => self.walk(kind, old_shape, old, new),
            _ if old_shape == new_shape => self.walk(kind, new_shape, old, new),
            _ => {
                self.found.modified.insert(&self.path);
                true
            }
        };
        if !leaf {
            match (old, new) {
                (None, _) => self.found.added.insert(&self.path),
                (_, None) => self.found.removed.insert(&self.path),
                _ => {}
            }
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) -> bool {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (old, new) if old != new => self.found.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    fn walk(&mut self, kind: &Type, shape: Shape, old: Option<&Value>, new: Option<&Value>) -> bool {
        if is_atomic(kind, shape) || (is_empty(old) && is_empty(new)) {
            return self.leaf(old, new);
        }
        match shape {
            Shape::Scalar => return self.leaf(old, new),
            Shape::Map => {
                let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
                for (name, value) in old.into_iter().flatten() {
                    self.descend(
                        format!("f:{name}"),
                        field_type(kind, name).0,
                        Some(value),
                        new.and_then(|m| m.get(name)),
                    );
                }
                for (name, value) in new.into_iter().flatten() {
                    if old.is_none_or(|m| !m.contains_key(name)) {
                        self.descend(format!("f:{name}"), field_type(kind, name).0, None, Some(value));
                    }
                }
            }
            Shape::List => self.list(kind, named_items(kind, old), named_items(kind, new)),
        }
        false
    }

    fn descend(&mut self, element: Element, kind: &Type, old: Option<&Value>, new: Option<&Value>) {
        self.path.push(element);
        self.compare(kind, old, new);
        self.path.pop();
    }

    fn list(&mut self, kind: &Type, old: Vec<(Element, Vec<&Value>)>, new: Vec<(Element, Vec<&Value>)>) {
        let item = item_type(kind);
        let none = Vec::new();
        for (element, olds) in &old {
            let news = new.iter().find(|(e, _)| e == element).map_or(&none, |(_, v)| v);
            self.item(element, item, olds, news);
        }
        for (element, news) in &new {
            if !old.iter().any(|(e, _)| e == element) {
                self.item(element, item, &none, news);
            }
        }
    }

    fn item(&mut self, element: &Element, kind: &Type, old: &[&Value], new: &[&Value]) {
        let at = [self.path.as_slice(), std::slice::from_ref(element)].concat();
        match (old.len(), new.len()) {
            (0 | 1, 0 | 1) => self.descend(element.clone(), kind, old.first().copied(), new.first().copied()),
            (2.., 2..) => {
                if old != new {
                    self.found.modified.insert(&at);
                }
            }
            (2.., _) => {
                if let Some(only) = new.first() {
                    self.descend(element.clone(), kind, None, Some(only));
                }
                self.found.removed.insert(&at);
            }
            (_, _) => {
                if let Some(only) = old.first() {
                    self.descend(element.clone(), kind, Some(only), None);
                }
                self.found.added.insert(&at);
            }
        }
    }
}

/// The items of a list by name, in their order; duplicates share a name.
fn named_items<'v>(kind: &Type, list: Option<&'v Value>) -> Vec<(Element, Vec<&'v Value>)> {
    let mut out: Vec<(Element, Vec<&Value>)> = Vec::new();
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        let Ok(element) = item_element(kind, item) else {
            continue;
        };
        match out.iter_mut().find(|(e, _)| *e == element) {
            Some((_, values)) => values.push(item),
            None => out.push((element, vec![item])),
        }
    }
    out
}
