//! Reads the fields of a map, one after another, collecting what is wrong; what nobody asked for is an unknown field.

use std::{collections::BTreeMap, str::FromStr};

use berth_model::{InvalidId, Quantity};
use serde_json::Value as Json;

use super::{
    node::{Field, Node, Value},
    scalar::{flag, json, quantity, text},
};
use crate::faults::{Faults, closest, entry, quoted};

/// The fields of one map that were not read yet.
pub(super) struct Reader<'a> {
    pub(super) faults: &'a mut Faults,
    path: String,
    line: u64,
    left: Vec<Field>,
    asked: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    /// The fields of `node`; a fault when it is no map.
    pub(super) fn new(faults: &'a mut Faults, path: &str, node: Node) -> Option<Self> {
        faults.line = node.line;
        match node.value {
            Value::Map(left) => Some(Self {
                faults,
                path: path.to_owned(),
                line: node.line,
                left,
                asked: Vec::new(),
            }),
            other => {
                faults.add(path, format!("is {}, not a map", other.type_name()), "");
                None
            }
        }
    }

    /// Where the field `name` is.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Takes a field out. One without a value counts as left out.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Node> {
        self.asked.push(name);
        let at = self.left.iter().position(|field| field.name == name);
        let node = at
            .map(|at| self.left.swap_remove(at).node)
            .filter(|node| !matches!(node.value, Value::Null));
        self.faults.line = node.as_ref().map_or(self.line, |node| node.line);
        node
    }

    /// Reads over a field.
    pub(super) fn skip(&mut self, name: &'static str) {
        self.take(name);
    }

    /// Everything not asked for is unknown.
    pub(super) fn finish(self) {
        let mut left = self.left;
        left.sort_by_key(|field| field.line);
        for field in left {
            self.faults.line = field.line;
            let hint = match closest(&field.name, self.asked.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            let path = if self.path.is_empty() {
                field.name.clone()
            } else {
                format!("{}.{}", self.path, field.name)
            };
            self.faults.add(&path, "is not a known field", hint);
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let node = self.take(name)?;
        let path = self.path_of(name);
        text(self.faults, &path, node)
    }

    pub(super) fn text_or_empty(&mut self, name: &'static str) -> String {
        self.text(name).unwrap_or_default()
    }

    /// A required name or identifier.
    pub(super) fn name<T: FromStr<Err = InvalidId>>(&mut self, name: &'static str) -> Option<T> {
        let path = self.path_of(name);
        let Some(node) = self.take(name) else {
            self.faults.add(&path, "is required", "");
            return None;
        };
        let text = text(self.faults, &path, node)?;
        self.faults.name(&path, &text)
    }

    pub(super) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let path = self.path_of(name);
        let text = match self.take(name) {
            Some(node) => text(self.faults, &path, node)?,
            None => String::new(),
        };
        self.faults.choice(&path, &text, choices)
    }

    pub(super) fn choice_or<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        absent: T,
    ) -> Option<T> {
        if self
            .left
            .iter()
            .any(|field| field.name == name && !matches!(field.node.value, Value::Null))
        {
            self.choice(name, choices)
        } else {
            self.skip(name);
            Some(absent)
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        let node = self.take(name)?;
        let path = self.path_of(name);
        flag(self.faults, &path, &node)
    }

    /// A whole number that is not negative.
    pub(super) fn count(&mut self, name: &'static str) -> Option<u32> {
        let node = self.take(name)?;
        if let Value::Unsigned(number) = node.value
            && let Ok(number) = u32::try_from(number)
        {
            return Some(number);
        }
        let path = self.path_of(name);
        let (problem, hint) = match node.value {
            Value::Text(_) => ("is a text, not a whole number".to_owned(), "take the quotes away"),
            Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) => {
                ("must be a whole number from 0 to 4294967295".to_owned(), "")
            }
            other => (format!("is {}, not a whole number", other.type_name()), ""),
        };
        self.faults.add(&path, problem, hint);
        None
    }

    /// An amount, written as text or as number.
    pub(super) fn quantity(&mut self, name: &'static str) -> Option<Quantity> {
        let node = self.take(name)?;
        let path = self.path_of(name);
        quantity(self.faults, &path, &node)
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Vec<String> {
        self.items(name, text)
    }

    /// As [`Reader::texts`], with what stands for a list that is not there.
    pub(super) fn texts_or(&mut self, name: &'static str, absent: Vec<String>) -> Vec<String> {
        if self.left.iter().any(|field| field.name == name) {
            self.texts(name)
        } else {
            self.skip(name);
            absent
        }
    }

    /// A required text.
    pub(super) fn required_text(&mut self, name: &'static str) -> Option<String> {
        let path = self.path_of(name);
        let text = self.text(name).filter(|text| !text.is_empty());
        if text.is_none() {
            self.faults.add(&path, "is required", "");
        }
        text
    }

    /// A list of words out of a fixed set.
    pub(super) fn choices<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Vec<T> {
        self.items(name, |faults, path, node| {
            let text = text(faults, path, node)?;
            faults.choice(path, &text, choices)
        })
    }

    /// A list of texts that have a form of their own.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &'static str,
        hint: &'static str,
    ) -> Vec<T> {
        self.items(name, |faults, path, node| {
            let text = text(faults, path, node)?;
            text.parse()
                .map_err(|error: T::Err| faults.add(path, error.to_string(), hint))
                .ok()
        })
    }

    /// Whole numbers by name.
    pub(super) fn counts(&mut self, name: &'static str) -> BTreeMap<String, u32> {
        self.entries(name, quoted, |faults, path, node| match node.value {
            Value::Unsigned(number) if u32::try_from(number).is_ok() => u32::try_from(number).ok(),
            _ => {
                faults.add(path, "is no whole number from 0 to 4294967295", "");
                None
            }
        })
    }

    /// Amounts by name, by one of a fixed set of words.
    pub(super) fn quantities_by<T: Copy + Ord>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> BTreeMap<T, BTreeMap<String, Quantity>> {
        self.object(name, |by| {
            Some(
                choices
                    .iter()
                    .map(|(word, value)| (*value, by.quantities(word)))
                    .filter(|(_, amounts)| !amounts.is_empty())
                    .collect(),
            )
        })
        .unwrap_or_default()
    }

    pub(super) fn text_map(&mut self, name: &'static str) -> BTreeMap<String, String> {
        self.entries(name, quoted, text)
    }

    pub(super) fn flags(&mut self, name: &'static str) -> BTreeMap<String, bool> {
        self.entries(name, quoted, |faults, path, node| flag(faults, path, &node))
    }

    pub(super) fn quantities(&mut self, name: &'static str) -> BTreeMap<String, Quantity> {
        self.entries(name, quoted, |faults, path, node| quantity(faults, path, &node))
    }

    /// Any JSON value.
    pub(super) fn json(&mut self, name: &'static str) -> Option<Json> {
        let node = self.take(name)?;
        let path = self.path_of(name);
        Some(json(self.faults, &path, node))
    }

    pub(super) fn jsons(&mut self, name: &'static str) -> Vec<Json> {
        self.items(name, |faults, path, node| Some(json(faults, path, node)))
    }

    pub(super) fn json_map(&mut self, name: &'static str) -> BTreeMap<String, Json> {
        self.entries(name, entry, |faults, path, node| Some(json(faults, path, node)))
    }

    /// The fields of a map below; none when there is none.
    pub(super) fn object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Option<T> {
        let node = self.take(name)?;
        let path = self.path_of(name);
        object(self.faults, &path, node, read)
    }

    /// As [`Reader::object`]; a fault when there is none.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Option<T> {
        let path = self.path_of(name);
        match self.take(name) {
            Some(node) => object(self.faults, &path, node, read),
            None => {
                self.faults.add(&path, "is required", "");
                None
            }
        }
    }

    /// The maps of a list below.
    pub(super) fn objects<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Reader<'_>) -> Option<T>,
    ) -> Vec<T> {
        self.items(name, |faults, path, node| object(faults, path, node, &mut read))
    }

    /// The items of a list below.
    pub(super) fn items<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Faults, &str, Node) -> Option<T>,
    ) -> Vec<T> {
        let path = self.path_of(name);
        match self.take(name).map(|node| node.value) {
            None => Vec::new(),
            Some(Value::List(items)) => items
                .into_iter()
                .enumerate()
                .filter_map(|(at, node)| {
                    self.faults.line = node.line;
                    read(self.faults, &format!("{path}[{at}]"), node)
                })
                .collect(),
            Some(other) => {
                self.faults
                    .add(&path, format!("is {}, not a list", other.type_name()), "");
                Vec::new()
            }
        }
    }

    fn entries<T>(
        &mut self,
        name: &'static str,
        at: fn(&str, &str) -> String,
        mut read: impl FnMut(&mut Faults, &str, Node) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let path = self.path_of(name);
        match self.take(name).map(|node| node.value) {
            None => BTreeMap::new(),
            Some(Value::Map(fields)) => fields
                .into_iter()
                .filter_map(|field| {
                    self.faults.line = field.line;
                    Some((
                        field.name.clone(),
                        read(self.faults, &at(&path, &field.name), field.node)?,
                    ))
                })
                .collect(),
            Some(other) => {
                self.faults
                    .add(&path, format!("is {}, not a map", other.type_name()), "");
                BTreeMap::new()
            }
        }
    }
}

/// Reads the fields of `node` and finds what is left over.
pub(super) fn object<T>(
    faults: &mut Faults,
    path: &str,
    node: Node,
    read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Option<T> {
    let mut reader = Reader::new(faults, path, node)?;
    let read = read(&mut reader);
    reader.finish();
    read
}
