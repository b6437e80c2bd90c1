//! The shape of every kind, read from `schema.txt`: the fields, which lists merge by which keys, which maps are atomic.
//!
//! The table is made from the published OpenAPI document of Kubernetes (`x-kubernetes-list-type` and its relatives); the
//! contract suite makes it anew from a real apiserver and compares. Lines without indent name a structure, indented ones a
//! field and its type: `string`, `number`, `boolean`, `quantity`, `untyped` (any scalar), `any`, a structure's name, `{T}` a map,
//! `[T]` an atomic list, `[T]set`, `[T]key,key` a list merged by keys, `=` before a map that is atomic.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    String,
    Number,
    Boolean,
    Quantity,
    Untyped,
    Any,
    Struct(usize),
    Map { atomic: bool, item: Box<Type> },
    List { merge: Merge, item: Box<Type> },
}

/// How two versions of a list become one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Merge {
    Atomic,
    Set,
    Keys(Vec<String>),
}

/// A structure with named fields.
#[derive(Debug)]
pub(crate) struct Structure {
    pub(crate) name: String,
    pub(crate) atomic: bool,
    pub(crate) fields: BTreeMap<String, Type>,
}

/// All structures.
#[derive(Debug)]
pub(crate) struct Schema {
    structures: Vec<Structure>,
    by_name: HashMap<String, usize>,
}

/// The schema, parsed once per process.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| parse(include_str!("schema.txt")))
}

impl Schema {
    /// The type of this name; [`Type::Any`] when there is none.
    pub(crate) fn named(&self, name: &str) -> Type {
        self.by_name
            .get(name)
            .map_or(Type::Any, |index| Type::Struct(*index))
    }

    /// The structure behind a [`Type::Struct`].
    pub(crate) fn structure(&self, index: usize) -> &Structure {
        &self.structures[index]
    }
}

impl Type {
    /// The structure, when this is one.
    pub(crate) fn structure(&self) -> Option<&'static Structure> {
        match self {
            Self::Struct(index) => Some(schema().structure(*index)),
            _ => None,
        }
    }

    /// The type of a named field of a structure, or of a map's values.
    pub(crate) fn field(&self, name: &str) -> Option<&Type> {
        match self {
            Self::Struct(index) => schema().structure(*index).fields.get(name),
            Self::Map { item, .. } => Some(item),
            Self::Any => Some(&Self::Any),
            _ => None,
        }
    }

    /// The type of a list's items.
    pub(crate) fn item(&self) -> Option<&Type> {
        match self {
            Self::List { item, .. } => Some(item),
            _ => None,
        }
    }

    /// Whether fields inside it are owned one by one.
    pub(crate) fn is_atomic(&self) -> bool {
        match self {
            Self::Struct(index) => schema().structure(*index).atomic,
            Self::Map { atomic, .. } => *atomic,
            Self::List { merge, .. } => *merge == Merge::Atomic,
            Self::Any => false,
            _ => true,
        }
    }
}

fn parse(text: &str) -> Schema {
    let mut by_name = HashMap::new();
    for line in text.lines().filter(|l| !l.starts_with(' ') && !l.is_empty()) {
        let index = by_name.len();
        by_name.insert(line.split(' ').next().unwrap_or(line).to_owned(), index);
    }
    let mut structures: Vec<Structure> = Vec::with_capacity(by_name.len());
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix(' ').and_then(|l| l.split_once(' ')) {
            if let Some(structure) = structures.last_mut() {
                structure
                    .fields
                    .insert(name.to_owned(), parse_type(kind, &by_name));
            }
        } else if !line.is_empty() {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            structures.push(Structure {
                name: name.to_owned(),
                atomic: rest == "atomic",
                fields: BTreeMap::new(),
            });
        }
    }
    Schema { structures, by_name }
}

fn parse_type(text: &str, by_name: &HashMap<String, usize>) -> Type {
    match text {
        "string" => return Type::String,
        "number" => return Type::Number,
        "boolean" => return Type::Boolean,
        "quantity" => return Type::Quantity,
        "untyped" => return Type::Untyped,
        "any" => return Type::Any,
        _ => {}
    }
    let (atomic, text) = text.strip_prefix('=').map_or((false, text), |rest| (true, rest));
    if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
        return Type::Map {
            atomic,
            item: Box::new(parse_type(inner, by_name)),
        };
    }
    if let Some((inner, merge)) = text.strip_prefix('[').and_then(|t| t.rsplit_once(']')) {
        let merge = match merge {
            "" => Merge::Atomic,
            "set" => Merge::Set,
            keys => Merge::Keys(keys.split(',').map(str::to_owned).collect()),
        };
        return Type::List {
            merge,
            item: Box::new(parse_type(inner, by_name)),
        };
    }
    by_name.get(text).map_or(Type::Any, |index| Type::Struct(*index))
}

/// The value a merge key has when it is left out.
pub(crate) fn key_default(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_merge_by_name_and_selectors_are_atomic() {
        let pod = schema().named("core.v1.PodSpec");
        let containers = pod.field("containers").expect("a pod has containers");
        assert!(matches!(containers, Type::List { merge: Merge::Keys(keys), .. } if keys == &["name"]));
        assert!(pod.field("nodeSelector").is_some_and(Type::is_atomic));
        assert!(schema().named("core.v1.SecretKeySelector").is_atomic());
    }

    #[test]
    fn every_named_type_is_in_the_table() {
        for line in include_str!("schema.txt")
            .lines()
            .filter_map(|l| l.strip_prefix(' '))
        {
            let name = line.split(' ').nth(1).unwrap_or_default();
            let bare = name
                .trim_start_matches(['=', '[', '{'])
                .split([']', '}'])
                .next()
                .unwrap_or_default();
            if bare.contains('.') {
                assert_ne!(schema().named(bare), Type::Any, "{bare} is not in the table");
            }
        }
    }
}
