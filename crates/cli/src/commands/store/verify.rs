//! `berth store verify`.

use std::path::Path;

use berth_store::{
    backup::{self, ChainReport},
    sled::Inventory,
};
use berth_wire::file::Tree;

use super::{
    Format, Verify,
    access::{Opened, open_store},
    records::{self, Unreadable},
    show,
    source::{of_backup, place, read},
};
use crate::{
    exit::{Exit, Failure},
    output::table::{Cell, Column, Table},
    terminal::{Terminal, Tone},
};

const CHAINS: &[Column] = &[
    Column::new("BACKUP"),
    Column::new("REVISIONS"),
    Column::new("FROM"),
    Column::new("TO"),
    Column::new("SEGMENTS"),
    Column::new("SIZE"),
    Column::new("ENTRIES"),
];

pub(super) async fn run(args: Verify, terminal: &Terminal) -> Result<(), Failure> {
    let format = args.output.output;
    let progress = terminal.progress();
    match &args.from {
        Some(from) if Path::new(from).is_file() => {
            progress.say(&format!("reading {from}"));
            let summary = read(Path::new(from)).await?.summary;
            drop(progress);
            show::print(
                terminal,
                format,
                || {
                    let lines = show::lines(&show::summary(&summary));
                    format!(
                        "{from} is whole\n\n{lines}{}",
                        show::shelves(terminal, &summary.shelves)
                    )
                },
                || show::summary_tree(&summary),
            )
        }
        Some(from) => {
            let place = place(from)?;
            let reports =
                backup::verify(place.as_ref(), |chain| progress.say(&format!("reading {chain}"))).await;
            drop(progress);
            backups(terminal, format, &reports.map_err(|error| of_backup(&error))?)
        }
        None => {
            progress.say("reading a copy of the store");
            let opened = open_store(&args.store).await?;
            let unreadable = records::unreadable(opened.store()?).await?;
            match &opened {
                Opened::Copy(copy) => {
                    let inventory = copy.inventory();
                    drop(progress);
                    inventory_of_directory(terminal, format, &inventory, &unreadable)?;
                }
                #[cfg(feature = "etcd")]
                Opened::Etcd(_) => {
                    let mut nowhere = tokio::io::sink();
                    let summary =
                        berth_store::snapshot::write(opened.store()?, &opened.about().await?, &mut nowhere)
                            .await
                            .map_err(|error| super::source::of_snapshot("the store", &error))?;
                    drop(progress);
                    show::print(
                        terminal,
                        format,
                        || {
                            let lines = show::lines(&show::summary(&summary));
                            format!(
                                "the store answers\n\n{lines}{}",
                                show::shelves(terminal, &summary.shelves)
                            )
                        },
                        || show::summary_tree(&summary).with("unreadable", records::tree(&unreadable)),
                    )?;
                }
            }
            records::verdict(&unreadable)
        }
    }
}

fn inventory_of_directory(
    terminal: &Terminal,
    format: Format,
    inventory: &Inventory,
    unreadable: &[Unreadable],
) -> Result<(), Failure> {
    let Inventory {
        schema,
        incarnation,
        revision,
        entries,
        shelves,
        value_bytes,
    } = inventory;
    show::print(
        terminal,
        format,
        || {
            let lines = show::lines(&[
                ("Revision", revision.to_string()),
                (
                    "Entries",
                    format!("{entries}, {} of values", show::bytes(*value_bytes)),
                ),
                ("Schema", schema.to_string()),
                ("Incarnation", incarnation.clone()),
                ("Checksums", "right".into()),
                ("Chain", "whole, and what the sentinel knows is in it".into()),
            ]);
            format!(
                "the store is whole\n\n{lines}{}",
                show::shelves(terminal, shelves)
            )
        },
        || {
            Tree::map()
                .number("revision", revision.0)
                .number("entries", *entries)
                .number("valueBytes", *value_bytes)
                .number("schema", *schema)
                .text("incarnation", incarnation)
                .with("shelves", show::shelves_tree(shelves))
                .with("unreadable", records::tree(unreadable))
        },
    )
}

fn backups(terminal: &Terminal, format: Format, reports: &[ChainReport]) -> Result<(), Failure> {
    show::print(
        terminal,
        format,
        || chains(terminal, reports),
        || Tree::map().with("backups", Tree::List(reports.iter().map(chain_tree).collect())),
    )?;
    let damaged: Vec<String> = reports
        .iter()
        .filter_map(|report| Some(format!("{}: {}", report.chain, report.entries.as_ref().err()?)))
        .collect();
    if damaged.is_empty() {
        return Ok(());
    }
    Err(Failure {
        exit: Exit::Damaged,
        lines: damaged,
    })
}

fn chains(terminal: &Terminal, reports: &[ChainReport]) -> String {
    let mut table = Table::new(CHAINS, true);
    for report in reports {
        let entries = match &report.entries {
            Ok(entries) => Cell::new(entries.to_string()),
            Err(_) => Cell::toned("damaged", Tone::Bad),
        };
        let time = |at: berth_model::Timestamp| Cell::new(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        table.push(vec![
            Cell::new(report.chain.as_str()),
            Cell::new(format!("{}..{}", report.revisions.0, report.revisions.1)),
            time(report.times.0),
            time(report.times.1),
            Cell::new(report.segments.to_string()),
            Cell::new(show::bytes(report.bytes)),
            entries,
        ]);
    }
    table.render(terminal, true)
}

fn chain_tree(report: &ChainReport) -> Tree {
    let tree = Tree::map()
        .text("name", &report.chain)
        .some_text("incarnation", &report.incarnation)
        .number("firstRevision", report.revisions.0.0)
        .number("lastRevision", report.revisions.1.0)
        .text("from", &report.times.0.to_string())
        .text("to", &report.times.1.to_string())
        .number("segments", report.segments)
        .number("bytes", report.bytes);
    match &report.entries {
        Ok(entries) => tree.number("entries", *entries),
        Err(problem) => tree.text("problem", problem),
    }
}
