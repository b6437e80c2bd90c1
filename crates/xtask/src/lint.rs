//! `cargo xtask lint`: everything that can be judged without running it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::run::{cargo, exists, root, run, say};
use crate::tools;

/// Runs every check, also after one has failed, so that one look shows all there is to mend.
pub(crate) fn lint() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    let mut check = |outcome: anyhow::Result<()>| failures.extend(outcome.err());

    check(run(cargo().args(["fmt", "--all", "--check"])));
    check(tools::cargo_with_protoc().and_then(|mut cargo| {
        run(cargo
            .args(["clippy", "--all-targets"])
            .args(tools::everything(&[]))
            .args(["--", "-D", "warnings"]))
    }));
    match tools::buf() {
        Ok(Some(buf)) => {
            check(run(Command::new(&buf)
                .arg("lint")
                .current_dir(root().join("proto"))));
            check(breaking(&buf));
        }
        Ok(None) => {
            say("buf lint and buf breaking are skipped: there is neither buf nor Go to build it with")
        }
        Err(error) => check(Err(error.context("get buf"))),
    }
    if exists("cargo-deny", "--version") {
        // Advisories need a download of their own and change without us: they are for a scheduled run.
        check(run(cargo().args(["deny", "check", "bans", "licenses", "sources"])));
    } else {
        say("cargo deny is skipped: it is not installed");
    }

    if failures.is_empty() {
        return Ok(());
    }
    for failure in &failures {
        eprintln!("error: {failure:#}");
    }
    bail!("{} of the checks failed", failures.len())
}

/// Compares the protocol definitions with those of every version that has a corpus.
fn breaking(buf: &Path) -> anyhow::Result<()> {
    let corpus = root().join("proto/corpus");
    let entries = std::fs::read_dir(&corpus).with_context(|| format!("read {}", corpus.display()))?;
    let mut versions = entries.collect::<Result<Vec<_>, _>>()?;
    versions.retain(|version| version.path().is_dir());
    versions.sort_by_key(std::fs::DirEntry::file_name);
    if versions.is_empty() {
        bail!("no version has a corpus in {}", corpus.display());
    }
    for version in versions {
        run(Command::new(buf)
            .args(["breaking", "--against"])
            .arg(version.path().join("berth.binpb"))
            .current_dir(root().join("proto")))?;
    }
    Ok(())
}
