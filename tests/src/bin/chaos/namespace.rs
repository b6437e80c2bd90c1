//! Sections that need namespaces of their own: this program starts itself in them, and everything of theirs ends with it.

use std::process::Stdio;

use anyhow::Context as _;
use rustix::process::geteuid;
use tokio::process::Command;

use crate::Section;
use crate::findings::Findings;

pub(crate) async fn run(section: Section, seed: u64, rounds: Option<usize>) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    if !geteuid().is_root() {
        findings.tried(format!(
            "skipped: {} needs root, for namespaces of its own to mount a small disk or cut cables in",
            section.name()
        ));
        return Ok(findings);
    }
    let own = std::env::current_exe().context("find the own program")?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if section == Section::Partition {
        command.arg("--net");
    }
    command
        .arg(own)
        .arg(section.name())
        .args(["--inside", "--seed", &seed.to_string()])
        .stdin(Stdio::null());
    if let Some(rounds) = rounds {
        command.args(["--rounds", &rounds.to_string()]);
    }
    let status = command.status().await.context("start unshare")?;
    if !status.success() {
        findings.violation(format!("{}: see above ({status})", section.name()));
    }
    Ok(findings)
}
