//! What the commands print.

use std::collections::BTreeMap;

use berth_store::snapshot::Summary;
use berth_wire::file::Tree;

use super::Format;
use crate::{
    exit::Failure,
    output::{
        table::{Cell, Column, Table},
        unwritable,
    },
    terminal::Terminal,
};

const SHELVES: &[Column] = &[Column::new("SHELF"), Column::new("ENTRIES")];

/// Prints one of two forms of a result.
pub(super) fn print(
    terminal: &Terminal,
    format: Format,
    text: impl FnOnce() -> String,
    tree: impl FnOnce() -> Tree,
) -> Result<(), Failure> {
    match format {
        Format::Text => terminal.print(&text()),
        Format::Json => terminal.print(&tree().to_json().map_err(unwritable)?),
    }
}

/// A line each, `name: value`.
pub(super) fn lines(lines: &[(&str, String)]) -> String {
    let width = lines
        .iter()
        .map(|(name, _)| name.len() + 1)
        .max()
        .unwrap_or_default();
    lines
        .iter()
        .map(|(name, value)| format!("{:width$}  {value}\n", format!("{name}:")))
        .collect()
}

/// How many entries begin with what.
pub(super) fn shelves(terminal: &Terminal, shelves: &BTreeMap<String, u64>) -> String {
    let mut table = Table::new(SHELVES, false);
    for (shelf, count) in shelves {
        table.push(vec![Cell::new(shelf.as_str()), Cell::new(count.to_string())]);
    }
    format!("\n{}", table.render(terminal, true))
}

/// The same for machines.
pub(super) fn shelves_tree(shelves: &BTreeMap<String, u64>) -> Tree {
    shelves
        .iter()
        .fold(Tree::map(), |tree, (shelf, count)| tree.number(shelf, *count))
}

/// What a snapshot holds.
pub(super) fn summary(summary: &Summary) -> Vec<(&'static str, String)> {
    let about = &summary.about;
    let mut found = Vec::new();
    if let Some(fleet) = &about.fleet {
        found.push(("Fleet", fleet.clone()));
    }
    found.push(("Revision", summary.revision.to_string()));
    found.push((
        "As of",
        about.created_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    ));
    found.push(("Entries", summary.entries.to_string()));
    if summary.bytes > 0 {
        found.push(("Size", bytes(summary.bytes)));
    }
    found
}

/// The same for machines.
pub(super) fn summary_tree(summary: &Summary) -> Tree {
    let about = &summary.about;
    Tree::map()
        .some_text("fleet", about.fleet.as_deref().unwrap_or_default())
        .some_text("incarnation", &about.incarnation)
        .number("schema", summary.schema)
        .number("revision", summary.revision.0)
        .text("asOf", &about.created_at.to_string())
        .number("entries", summary.entries)
        .with("shelves", shelves_tree(&summary.shelves))
        .number("bytes", summary.bytes)
        .some_text("digest", &summary.digest)
}

/// A size for people.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20),
    }
}
