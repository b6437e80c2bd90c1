//! `cargo xtask lint`: everything that can be judged without running it.

use std::process::Command;

use anyhow::bail;

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
        Ok(buf) => check(run(Command::new(buf)
            .arg("lint")
            .current_dir(root().join("proto")))),
        Err(error) => say(format!("buf lint is skipped: {error:#}")),
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
