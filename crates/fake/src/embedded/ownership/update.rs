//! The two ways fields change hands: an apply states what it wants to own, any other write takes what it changed.

use serde_json::Value;

use super::compare::{Comparison, compare};
use super::field_set::{Element, FieldSet, display, fields};
use super::managers::{ManagerId, Managers, Owned};
use super::merge::merge;
use super::remove::remove;
use super::typed::{ensure_named, field_set};
use crate::embedded::failure::{Cause, Failure};
use crate::embedded::schema::Type;

/// Who writes, through which door, and what that door never lets through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    pub(crate) api_version: &'a str,
    pub(crate) subresource: &'a str,
    /// Fields this door ignores, such as `status` outside the status subresource.
    pub(crate) ignored: &'a [&'a [&'a str]],
    pub(crate) now: &'a str,
}

/// The outcome of an apply.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The merged object; `None` when it is what it was.
    pub(crate) object: Option<Value>,
    pub(crate) managers: Managers,
}

impl Writer<'_> {
    fn id(&self, apply: bool) -> ManagerId {
        ManagerId {
            apply,
            name: if self.manager.is_empty() {
                "unknown".into()
            } else {
                self.manager.into()
            },
            subresource: self.subresource.into(),
            api_version: if apply {
                String::new()
            } else {
                self.api_version.into()
            },
        }
    }

    fn ignored_set(&self) -> FieldSet {
        let mut set = FieldSet::default();
        for path in self.ignored {
            set.insert(&fields(path));
        }
        set
    }
}

fn never_owned() -> FieldSet {
    let mut set = FieldSet::default();
    for name in ["apiVersion", "kind", "metadata"] {
        set.insert(&fields(&[name]));
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&fields(&["metadata", name]));
    }
    set
}

/// Applies a configuration to the live object; `empty` is the empty object of the kind.
///
/// # Errors
/// The conflict with other managers, unless forced.
pub(crate) fn apply(
    kind: &Type,
    empty: &Value,
    live: &Value,
    config: &Value,
    mut managers: Managers,
    writer: Writer<'_>,
    force: bool,
) -> Result<Applied, Failure> {
    let live = &bare(live);
    if managers.0.is_empty() && exists(live) {
        let before = Writer {
            manager: "before-first-apply",
            subresource: "",
            ..writer
        };
        take_changed(kind, empty, live, &mut managers, before);
    }
    let id = writer.id(true);
    let merged = merge(kind, live, config);
    let last = managers.0.get(&id).map(|o| o.set.clone());
    let time = managers.0.get(&id).and_then(|o| o.time.clone());
    let set = field_set(kind, config).recursive_difference(&writer.ignored_set());
    managers.0.insert(
        id.clone(),
        Owned {
            api_version: writer.api_version.into(),
            set,
            time,
        },
    );
    let object = match last {
        Some(last) if !last.is_empty() => prune(kind, &merged, &managers, &last),
        _ => merged,
    };
    hand_over(kind, live, &object, &mut managers, &id, writer, force)?;
    let changed = *live != object;
    if let Some(owned) = managers.0.get_mut(&id) {
        owned.set = owned.set.difference(&never_owned());
        if changed {
            owned.time = Some(writer.now.into());
        }
        if owned.set.is_empty() {
            managers.0.remove(&id);
        }
    }
    Ok(Applied {
        object: changed.then_some(object),
        managers,
    })
}

/// Records a write that is no apply: the writer now owns what it changed. An object without any managers stays so,
/// unless it is being created (then `live` is the empty object of its kind).
pub(crate) fn record_update(
    kind: &Type,
    live: &Value,
    new: &Value,
    managers: &mut Managers,
    writer: Writer<'_>,
) {
    if managers.0.is_empty() && exists(live) {
        return;
    }
    take_changed(kind, &bare(live), &bare(new), managers, writer);
    managers.cap_updaters();
}

fn take_changed(kind: &Type, live: &Value, new: &Value, managers: &mut Managers, writer: Writer<'_>) {
    let comparison = compare(kind, live, new);
    let ignored = writer.ignored_set();
    let taken = FieldSet::default()
        .union(&comparison.modified)
        .union(&comparison.added);
    let taken = taken.recursive_difference(&ignored).difference(&never_owned());
    let visible = comparison.without(&ignored);
    release(managers, &visible, None);
    if taken.is_empty() {
        return;
    }
    let owned = managers.0.entry(writer.id(false)).or_insert_with(|| Owned {
        api_version: writer.api_version.into(),
        set: FieldSet::default(),
        time: None,
    });
    owned.set = std::mem::take(&mut owned.set).union(&taken);
    owned.time = Some(writer.now.into());
}

/// Takes changed and removed fields away from everyone except `keeper`.
fn release(managers: &mut Managers, comparison: &Comparison, keeper: Option<&ManagerId>) {
    for (_, owned) in managers.0.iter_mut().filter(|(id, _)| Some(*id) != keeper) {
        owned.set = owned
            .set
            .difference(&comparison.modified)
            .difference(&comparison.added)
            .difference(&comparison.removed);
    }
    managers.0.retain(|_, owned| !owned.set.is_empty());
}

fn hand_over(
    kind: &Type,
    live: &Value,
    object: &Value,
    managers: &mut Managers,
    id: &ManagerId,
    writer: Writer<'_>,
    force: bool,
) -> Result<(), Failure> {
    let comparison = compare(kind, live, object).without(&writer.ignored_set());
    if !force {
        let changed = FieldSet::default()
            .union(&comparison.modified)
            .union(&comparison.added);
        let mut conflicts: Vec<(&ManagerId, &Owned, Vec<Element>)> = managers
            .0
            .iter()
            .filter(|(other, _)| *other != id)
            .flat_map(|(other, owned)| {
                owned
                    .set
                    .intersection(&changed)
                    .paths()
                    .into_iter()
                    .map(move |path| (other, owned, path))
            })
            .collect();
        conflicts.sort_by_key(|(id, _, _)| (&id.name, !id.apply, &id.api_version, &id.subresource));
        if !conflicts.is_empty() {
            return Err(conflict(&conflicts));
        }
    }
    release(managers, &comparison, Some(id));
    Ok(())
}

fn conflict(conflicts: &[(&ManagerId, &Owned, Vec<Element>)]) -> Failure {
    let named = |id: &ManagerId| {
        let mut text = format!("\"{}\"", id.name);
        if !id.subresource.is_empty() {
            text.push_str(&format!(" with subresource \"{}\"", id.subresource));
        }
        if !id.apply {
            text.push_str(&format!(" using {}", id.api_version));
        }
        text
    };
    let causes: Vec<Cause> = conflicts
        .iter()
        .map(|(id, _, path)| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {}", named(id)),
            field: display(path),
        })
        .collect();
    let message = if let [(id, _, path)] = conflicts {
        format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            named(id),
            display(path)
        )
    } else {
        let mut lines = Vec::new();
        let mut current = None;
        for (id, _, path) in conflicts {
            if current != Some(*id) {
                lines.push(format!("conflicts with {}:", named(id)));
                current = Some(*id);
            }
            lines.push(format!("- {}", display(path)));
        }
        format!(
            "Apply failed with {} conflicts: {}",
            conflicts.len(),
            lines.join("\n")
        )
    };
    Failure::apply_conflict(message, &causes)
}

/// Takes out what the applier owned before and nobody owns now.
fn prune(kind: &Type, merged: &Value, managers: &Managers, last: &FieldSet) -> Value {
    let kind_ref = Some(kind);
    let last = ensure_named(last, kind_ref);
    let pruned = remove(kind, merged, &last);
    let managed = managers
        .0
        .values()
        .fold(FieldSet::default(), |all, owned| all.union(&owned.set));
    let everything = ensure_named(&field_set(kind, merged), kind_ref);
    let kept = ensure_named(&field_set(kind, &pruned), kind_ref).union(&ensure_named(&managed, kind_ref));
    let pruned = remove(kind, merged, &everything.difference(&kept));
    let left = ensure_named(&field_set(kind, &pruned), kind_ref);
    remove(kind, merged, &everything.difference(&left).intersection(&last))
}

fn exists(live: &Value) -> bool {
    live["metadata"]["uid"].is_string()
}

/// The object without its managed fields, which are never a subject of ownership.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}
