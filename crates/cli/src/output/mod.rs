//! How things are shown: tables for people, JSON and YAML for machines, names for scripts.

pub(crate) mod age;
mod api_key;
mod binding;
mod bundle;
mod cluster;
mod describe;
mod evidence;
mod operation;
mod organisation;
mod role;
pub(crate) mod table;
mod tenant;
mod tier;
mod token;

use berth_model::Timestamp;
use berth_wire::file::{API_VERSION, Tree, TreeError};

use crate::{
    args::{Format, Output},
    exit::{Exit, Failure},
    kinds::Kind,
    terminal::Terminal,
};
use table::{Cell, Column, Table};

pub(crate) use describe::Describe;
pub(crate) use evidence::{Proven, probes};
pub(crate) use tenant::condition;

/// Something that lists show.
pub(crate) trait Shown {
    /// Its kind.
    const KIND: Kind;
    /// The columns of its table.
    const COLUMNS: &'static [Column];

    /// Its name without the kind.
    fn name(&self) -> String;

    /// A cell for each column.
    fn row(&self, now: Timestamp) -> Vec<Cell>;

    /// All of it, as a file would have it.
    fn tree(&self) -> Result<Tree, Failure>;
}

/// Shows things as asked. With `single` and exactly one, JSON and YAML show it alone and not as a List.
pub(crate) fn show<T: Shown>(
    terminal: &Terminal,
    items: &[T],
    output: &Output,
    single: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    match output.output {
        Format::Table | Format::Wide => {
            if items.is_empty() {
                terminal.note(&format!("no {}s found", T::KIND));
                return Ok(());
            }
            let mut table = Table::new(T::COLUMNS, output.output == Format::Wide);
            for item in items {
                table.push(item.row(now));
            }
            terminal.print(&table.render(terminal, !output.no_headers))
        }
        Format::Name => {
            let names: String = items
                .iter()
                .map(|item| format!("{}/{}\n", T::KIND, item.name()))
                .collect();
            terminal.print(&names)
        }
        Format::Json => terminal.print(&listed(items, single)?.to_json().map_err(unwritable)?),
        Format::Yaml => terminal.print(&listed(items, single)?.to_yaml().map_err(unwritable)?),
    }
}

/// Several as a List, as files and JSON have it.
pub(crate) fn listed<T: Shown>(items: &[T], single: bool) -> Result<Tree, Failure> {
    if let ([only], true) = (items, single) {
        return only.tree();
    }
    let items = items.iter().map(Shown::tree).collect::<Result<Vec<_>, _>>()?;
    Ok(Tree::map()
        .text("apiVersion", API_VERSION)
        .text("kind", "List")
        .with("items", Tree::List(items)))
}

/// A tree that cannot be written, which none that is made here is.
pub(crate) fn unwritable(error: TreeError) -> Failure {
    Failure::new(Exit::Failure, error.to_string())
}

/// A resource's name without its collection.
pub(crate) fn short(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

/// A point in time as RFC 3339, null when it is not known.
pub(crate) fn time(at: Option<&prost_types::Timestamp>) -> Tree {
    at.and_then(berth_wire::time::from_proto)
        .map_or(Tree::Null, |at| Tree::Text(at.to_string()))
}
