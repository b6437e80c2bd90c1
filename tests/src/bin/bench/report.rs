//! The report: Markdown, printed section by section as they are done.

use std::fmt::Write as _;

use anyhow::Context as _;

/// Lines of one table: what, measured, aim and what the peers reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    pub(crate) fn line(
        &mut self,
        what: impl Into<String>,
        measured: impl Into<String>,
        aim: &str,
        peers: &str,
    ) {
        self.0
            .push([what.into(), measured.into(), aim.to_owned(), peers.to_owned()]);
    }

    /// Takes the lines of another.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }
}

/// Everything measured so far.
#[derive(Debug)]
pub(crate) struct Report(String);

impl Report {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let cpus = std::thread::available_parallelism().context("count CPUs")?;
        let profile = if cfg!(debug_assertions) {
            "debug build: figures mean nothing"
        } else {
            "release build"
        };
        let head = format!(
            "# Berth, measured\n\n{cpus} CPUs, {profile}. Durations are p50 / p90 / p99 / max in ms where four are given.\n"
        );
        print!("{head}");
        Ok(Self(head))
    }

    pub(crate) fn add(&mut self, title: &str, table: &Table) {
        let mut text = format!("\n## {title}\n\n| | measured | aim | peers |\n|---|---|---|---|\n");
        for [what, measured, aim, peers] in &table.0 {
            // Writing to a String does not fail.
            let _ = writeln!(text, "| {what} | {measured} | {aim} | {peers} |");
        }
        print!("{text}");
        self.0.push_str(&text);
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
