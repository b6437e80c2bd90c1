//! The command line, called as a person or a script would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::programs::Programs;

const LIMIT: Duration = Duration::from_secs(180);

/// `berth` with an admin's context.
#[derive(Clone, Debug)]
pub struct Cli {
    program: PathBuf,
    context: PathBuf,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Cli {
    /// The command line speaking to the hub of `context`.
    #[must_use]
    pub fn new(programs: &Programs, context: &Path) -> Self {
        Self {
            program: programs.cli(),
            context: context.to_owned(),
        }
    }

    /// Calls it.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub async fn call(&self, arguments: &[&str]) -> anyhow::Result<Called> {
        self.call_with(arguments, "").await
    }

    /// Calls it with something on its standard input.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub async fn call_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Called> {
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env("BERTH_CONTEXT", &self.context)
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may end without reading what it does not need.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
        let output = output.with_context(|| format!("berth {arguments:?} does not end"))?;
        let output = output.with_context(|| format!("wait for berth {arguments:?}"))?;
        Ok(Called {
            code: output.status.code().context("berth was killed")?,
            out: String::from_utf8(output.stdout).context("berth prints no text")?,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Calls it for what it prints.
    ///
    /// # Errors
    /// It fails.
    pub async fn output(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.call(arguments).await?.success(arguments)
    }

    /// Calls it, and what that came to.
    ///
    /// # Errors
    /// It fails.
    pub async fn fine(&self, arguments: &[&str]) -> anyhow::Result<Called> {
        let called = self.call(arguments).await?;
        ensure!(called.code == 0, "{arguments:?}: {called:?}");
        Ok(called)
    }

    /// What `fleet difference` says of tenants that differ, and how many are equal.
    ///
    /// # Errors
    /// It fails, or an agent is not connected yet.
    pub async fn difference(&self) -> anyhow::Result<(BTreeMap<String, String>, i64)> {
        let called = self.fine(&["fleet", "difference", "-o", "json"]).await?;
        let found: Value = serde_json::from_str(&called.out)?;
        let tenants = found["tenants"].as_array().context("a list")?;
        let kinds = tenants
            .iter()
            .map(|tenant| {
                let text = |field: &str| tenant[field].as_str().unwrap_or_default().to_owned();
                (text("tenant"), text("kind"))
            })
            .collect();
        let silent = found["silentClusters"].as_array().map_or(0, Vec::len);
        ensure!(silent == 0, "the agent is not connected yet");
        Ok((kinds, found["equal"].as_i64().unwrap_or_default()))
    }

    /// `apply -f -`.
    ///
    /// # Errors
    /// It fails.
    pub async fn apply(&self, files: &str) -> anyhow::Result<String> {
        let arguments = ["apply", "-f", "-"];
        self.call_with(&arguments, files).await?.success(&arguments)
    }
}

impl Called {
    /// What it printed, if it went well.
    ///
    /// # Errors
    /// It did not.
    pub fn success(self, arguments: &[&str]) -> anyhow::Result<String> {
        ensure!(
            self.code == 0,
            "berth {} ended with {}\n{}{}",
            arguments.join(" "),
            self.code,
            self.out,
            self.err
        );
        Ok(self.out)
    }

    /// Both outputs.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}
