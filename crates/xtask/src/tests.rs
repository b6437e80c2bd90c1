//! `cargo xtask test`: everything tests need, then every test, then one line that says how it went.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use anyhow::{Context as _, bail};

use crate::run::{run, say, shown};
use crate::tools::{cargo_with_protoc, everything};
use crate::{Test, control_plane, node};

pub(crate) fn test(options: &Test) -> anyhow::Result<()> {
    let directory = control_plane::obtain(&options.control_plane)?;
    let provider = node::oidc_provider()?;
    run(cargo_with_protoc()?
        .args(["build", "--bins"])
        .args(everything(&[])))?;

    let mut command = cargo_with_protoc()?;
    command
        .args(["test", "--no-fail-fast"])
        .args(everything(&[]))
        .env("BERTH_OIDC_PROVIDER", provider)
        .stdout(Stdio::piped());
    if !options.filter.is_empty() {
        command.arg("--").args(&options.filter);
    }
    if let Some(directory) = directory {
        command.env("BERTH_CONTROL_PLANE", directory);
    }
    say(shown(&command));
    let mut child = command.spawn().context("start `cargo test`")?;
    let mut totals = Totals::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context("read what `cargo test` prints")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            totals.take(&line);
        }
    }
    let status = child.wait().context("wait for `cargo test`")?;
    println!("{} passed, {} failed", totals.passed, totals.failed);
    if !status.success() || totals.failed > 0 {
        bail!("the tests have failed ({status})");
    }
    if totals.passed == 0 {
        bail!("no test has run");
    }
    Ok(())
}

/// The sum of what the test programs report.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 0 ignored; ...`; any other changes nothing.
    fn take(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse::<u64>().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn totals_are_summed_over_all_test_programs() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 8.02s",
            "test one::that_passed ... ok",
        ] {
            totals.take(line);
        }
        assert_eq!(totals, Totals { passed: 4, failed: 2 });
    }
}
