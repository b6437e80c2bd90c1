//! `berth audit verify`.

use std::path::{Path, PathBuf};

use berth_identity::audit::{PublicKey, Report, Trust, segments, verify_dir, verify_files};
use berth_wire::file::Tree;

use super::{Format, Verify};
use crate::{
    exit::{Exit, Failure},
    output::unwritable,
    terminal::Terminal,
};

pub(super) fn run(args: Verify, terminal: &Terminal) -> Result<(), Failure> {
    let trust = trust(&args)?;
    let (whole, report) = report(&args.paths, &trust)?;
    match args.output {
        Format::Text => terminal.print(&text(&report, &trust, whole))?,
        Format::Json => terminal.print(&tree(&report).to_json().map_err(unwritable)?)?,
    }
    if report.findings.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    lines.push("this is no log as it was written: compare it with what was exported, and find out who can write to it".into());
    Err(Failure {
        exit: Exit::Damaged,
        lines,
    })
}

fn trust(args: &Verify) -> Result<Trust, Failure> {
    let mut trust = Trust::default();
    for path in &args.key {
        let pem = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        let key = PublicKey::parse(&pem)
            .map_err(|error| Failure::new(Exit::Invalid, format!("{}: {error}", path.display())))?;
        trust.keys.push(key);
    }
    for pin in &args.pin {
        trust.pins.push(pin.parse().map_err(Failure::usage)?);
    }
    Ok(trust)
}

/// What is wrong, and whether it was looked at as a whole.
fn report(paths: &[PathBuf], trust: &Trust) -> Result<(bool, Report), Failure> {
    if let [dir] = paths
        && dir.is_dir()
    {
        // A data directory is as good as the log in it.
        let inner = dir.join("audit");
        let there = segments(dir).map_err(|error| unreadable(dir, &error))?;
        let dir = if there.is_empty() && inner.is_dir() {
            &inner
        } else {
            dir
        };
        let report = verify_dir(dir, trust).map_err(|error| unreadable(dir, &error))?;
        return Ok((true, report));
    }
    if let Some(dir) = paths.iter().find(|path| path.is_dir()) {
        return Err(Failure::usage(format!(
            "{} is a directory: name one directory, or segments alone",
            dir.display()
        )));
    }
    if let Some(gone) = paths.iter().find(|path| !path.is_file()) {
        return Err(Failure::new(
            Exit::NotFound,
            format!("there is no {}", gone.display()),
        ));
    }
    let mut paths = paths.to_vec();
    paths.sort();
    let report = verify_files(&paths, trust)
        .map_err(|error| Failure::new(Exit::Failure, format!("read the segments: {error}")))?;
    Ok((false, report))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let exit = if error.kind() == std::io::ErrorKind::NotFound {
        Exit::NotFound
    } else {
        Exit::Failure
    };
    Failure::new(exit, format!("read {}: {error}", path.display()))
}

fn text(report: &Report, trust: &Trust, whole: bool) -> String {
    let verdict = if report.findings.is_empty() {
        "as it was written"
    } else {
        "NOT as it was written"
    };
    let mut lines = vec![format!(
        "{verdict}: {} lines in {} segments",
        report.lines, report.segments
    )];
    if let (Some(log), Some(hub)) = (&report.log, &report.hub) {
        lines.push(format!("log {log} of {hub}"));
    }
    if let (Some((first, from)), Some((last, until))) = (report.first, report.last) {
        lines.push(format!("lines {first} to {last}, {from} to {until}"));
    }
    for key in &report.keys {
        lines.push(format!("signed by {}", key.pin()));
    }
    if trust.own_word() {
        lines
            .push("that key is the log's own word: give --key or --pin to know that it is your hub's".into());
    }
    let sealed = report.sealed.unwrap_or(0);
    if let Some((last, _)) = report.last.filter(|(last, _)| *last > sealed) {
        lines.push(format!(
            "lines {} to {last} are not sealed yet{}",
            sealed + 1,
            if report.ends_with_head {
                "; the head signs them"
            } else {
                ""
            }
        ));
    }
    if let Some(hash) = &report.last_hash {
        lines.push(format!(
            "the last line has SHA-256 {hash}; kept elsewhere, it shows later whether this log was exchanged for an older one"
        ));
    }
    if !whole {
        lines.push("of what is before and after these segments nothing is said".into());
    }
    lines.join("\n") + "\n"
}

fn tree(report: &Report) -> Tree {
    let findings = report.findings.iter().map(|finding| {
        let mut found = Tree::map()
            .text("file", &finding.file.display().to_string())
            .text("problem", &finding.problem.to_string());
        if let Some(line) = finding.line {
            found = found.number("line", line);
        }
        found
    });
    let end = |end: Option<(u64, berth_model::Timestamp)>| match end {
        Some((line, at)) => Tree::map().number("line", line).text("time", &at.to_string()),
        None => Tree::Null,
    };
    Tree::map()
        .with("whole", Tree::Bool(report.findings.is_empty()))
        .some_text("log", report.log.as_deref().unwrap_or_default())
        .some_text("hub", report.hub.as_deref().unwrap_or_default())
        .with(
            "keys",
            Tree::texts(report.keys.iter().map(|key| key.pin().to_string())),
        )
        .number("segments", report.segments as u64)
        .number("lines", report.lines)
        .with_some("first", end(report.first))
        .with_some("last", end(report.last))
        .some_text(
            "lastSha256",
            &report.last_hash.map(|hash| hash.to_string()).unwrap_or_default(),
        )
        .number("sealed", report.sealed.unwrap_or(0))
        .with("findings", Tree::List(findings.collect()))
}
