//! A set of field paths, in the `FieldsV1` form.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One step of a path as `FieldsV1` writes it: `f:name`, `k:{"name":"x"}`, `v:"x"` or `i:0`.
pub(crate) type Element = String;

/// A path from the root of an object.
pub(crate) type Path = [Element];

/// A set of field paths. A node may be a member itself, have members below it, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    nodes: BTreeMap<Element, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: FieldSet,
}

impl FieldSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds one path; the empty path is no field and is left out.
    pub(crate) fn insert(&mut self, path: &Path) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let node = self.nodes.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Whether the path of this single step is a member.
    pub(crate) fn has(&self, element: &str) -> bool {
        self.nodes.get(element).is_some_and(|n| n.member)
    }

    /// The members below this step.
    pub(crate) fn below(&self, element: &str) -> Option<&Self> {
        self.nodes
            .get(element)
            .map(|n| &n.below)
            .filter(|s| !s.is_empty())
    }

    /// The steps of the root that have members below them.
    pub(crate) fn parents(&self) -> impl Iterator<Item = (&Element, &Self)> {
        self.nodes
            .iter()
            .filter(|(_, n)| !n.below.is_empty())
            .map(|(e, n)| (e, &n.below))
    }

    pub(crate) fn set_member(&mut self, element: &str) {
        self.nodes.entry(element.to_owned()).or_default().member = true;
    }

    pub(crate) fn set_below(&mut self, element: &str, below: Self) {
        if !below.is_empty() {
            self.nodes.entry(element.to_owned()).or_default().below = below;
        }
    }

    pub(crate) fn union(mut self, other: &Self) -> Self {
        for (element, theirs) in &other.nodes {
            let node = self.nodes.entry(element.clone()).or_default();
            node.member |= theirs.member;
            node.below = std::mem::take(&mut node.below).union(&theirs.below);
        }
        self
    }

    fn combine(&self, other: &Self, keep: &impl Fn(bool, bool) -> bool, whole: bool) -> Self {
        let mut out = Self::default();
        for (element, node) in &self.nodes {
            let theirs = other.nodes.get(element);
            if whole && theirs.is_some_and(|n| n.member) {
                continue;
            }
            let empty = Self::default();
            let below = node
                .below
                .combine(theirs.map_or(&empty, |n| &n.below), keep, whole);
            let member = node.member && keep(true, theirs.is_some_and(|n| n.member));
            if member || !below.is_empty() {
                out.nodes.insert(element.clone(), Node { member, below });
            }
        }
        out
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(other, &|mine, theirs| mine && !theirs, false)
    }

    /// Like [`FieldSet::difference`], but a member of `other` takes everything below it away too.
    pub(crate) fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(other, &|mine, theirs| mine && !theirs, true)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, &|mine, theirs| mine && theirs, false)
    }

    /// Every member path, parents first.
    pub(crate) fn paths(&self) -> Vec<Vec<Element>> {
        let mut out = Vec::new();
        self.walk(&mut Vec::new(), &mut out);
        out
    }

    fn walk(&self, prefix: &mut Vec<Element>, out: &mut Vec<Vec<Element>>) {
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            if node.member {
                out.push(prefix.clone());
            }
            prefix.pop();
        }
        for (element, node) in &self.nodes {
            prefix.push(element.clone());
            node.below.walk(prefix, out);
            prefix.pop();
        }
    }

    /// The set as `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let nodes = self.nodes.iter().map(|(element, node)| {
            let mut below = node.below.to_json();
            if node.member && !node.below.is_empty() {
                below["."] = Value::Object(Map::new());
            }
            (element.clone(), below)
        });
        Value::Object(nodes.collect())
    }

    /// Reads a `fieldsV1`; what is no object counts as empty.
    pub(crate) fn from_json(fields: &Value) -> Self {
        let mut set = Self::default();
        for (element, inner) in fields
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(e, _)| *e != ".")
        {
            let below = Self::from_json(inner);
            let member = below.is_empty() || inner.get(".").is_some();
            set.nodes.insert(element.clone(), Node { member, below });
        }
        set
    }
}

/// A path as messages write it: `.spec.containers[name="app"].image`.
pub(crate) fn display(path: &Path) -> String {
    let mut out = String::new();
    for element in path {
        let (kind, rest) = element.split_at(element.len().min(2));
        match kind {
            "f:" => {
                out.push('.');
                out.push_str(rest);
            }
            "k:" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                out.push_str(&format!("[{}]", keys.join(",")));
            }
            "v:" => out.push_str(&format!("[={rest}]")),
            _ => out.push_str(&format!("[{rest}]")),
        }
    }
    out
}

/// The path of plain field names.
pub(crate) fn fields(names: &[&str]) -> Vec<Element> {
    names.iter().map(|n| format!("f:{n}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_set_survives_its_json_form() {
        let json = json!({"f:a": {".": {}, "f:b": {}}, "k:{\"name\":\"x\"}": {"f:c": {}}, "v:\"y\"": {}});
        assert_eq!(FieldSet::from_json(&json).to_json(), json);
    }

    #[test]
    fn difference_keeps_children_of_a_removed_member_and_recursive_difference_does_not() {
        let all = FieldSet::from_json(&json!({"f:a": {".": {}, "f:b": {}}}));
        let parent = FieldSet::from_json(&json!({"f:a": {}}));
        assert_eq!(all.difference(&parent).to_json(), json!({"f:a": {"f:b": {}}}));
        assert!(all.recursive_difference(&parent).is_empty());
        assert_eq!(all.intersection(&parent), parent);
    }

    #[test]
    fn paths_read_like_messages() {
        let path = [
            fields(&["spec", "ports"]),
            vec!["k:{\"port\":80,\"protocol\":\"TCP\"}".into()],
        ]
        .concat();
        assert_eq!(display(&path), ".spec.ports[port=80,protocol=\"TCP\"]");
    }
}
