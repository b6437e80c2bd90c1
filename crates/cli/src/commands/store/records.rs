//! What the entries of a store say, besides being whole: records that this version cannot read.

use berth_store::{Page, Store};
use berth_wire::file::Tree;

use super::access::of_store;
use crate::exit::{Exit, Failure};

/// A record that cannot be read, and why.
pub(super) struct Unreadable {
    key: String,
    problem: String,
}

/// Every record that cannot be read, in order of keys.
pub(super) async fn unreadable(store: &dyn Store) -> Result<Vec<Unreadable>, Failure> {
    let (mut found, mut page) = (Vec::new(), Page::first());
    loop {
        let listing = store.list("", page).await;
        let listing = listing.map_err(|error| of_store("the store", &error))?;
        for entry in &listing.entries {
            let key = entry.key.as_str();
            if let Err(problem) = berth_hub::records::check(key, &entry.value, entry.revision) {
                found.push(Unreadable {
                    key: key.to_owned(),
                    problem: super::access::causes(&problem),
                });
            }
        }
        match listing.entries.last() {
            Some(last) if listing.more => page = Page::after(last.key.clone()),
            _ => return Ok(found),
        }
    }
}

/// The same for machines.
pub(super) fn tree(found: &[Unreadable]) -> Tree {
    let one = |record: &Unreadable| {
        Tree::map()
            .text("key", &record.key)
            .text("problem", &record.problem)
    };
    Tree::List(found.iter().map(one).collect())
}

/// How a look at a store ends: with what to do when something in it cannot be read.
pub(super) fn verdict(found: &[Unreadable]) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = found
        .iter()
        .map(|record| format!("the record {} cannot be read: {}", record.key, record.problem))
        .collect();
    lines.push(
        "if a newer version wrote them, use that one; else bring a backup back: `berth store restore --from BACKUP`, with --data-dir DIR --replace or --store URL".into(),
    );
    Err(Failure {
        exit: Exit::Damaged,
        lines,
    })
}
