//! `berth login` as somebody types it, who then does in a browser what it says.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::cli::Called;
use crate::oidc::{OidcProvider, Person};
use crate::programs::Programs;
use crate::waiting::{LONG, within};

/// A machine on which somebody signs in.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The command line on it.
    pub program: PathBuf,
    /// Its context file.
    pub context: PathBuf,
}

impl Machine {
    /// Keeps its context file in `directory`, which may not be there yet.
    #[must_use]
    pub fn new(programs: &Programs, directory: &Path) -> Self {
        Self {
            program: programs.cli(),
            context: directory.join("context.yaml"),
        }
    }

    /// Where people's tokens are.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.context.with_extension("tokens.json")
    }

    fn berth(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("BERTH_CONTEXT", &self.context)
            .env("NO_COLOR", "1")
            .env_remove("BERTH_TOKEN")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// `berth` with these arguments.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub async fn call(&self, arguments: &[&str]) -> anyhow::Result<Called> {
        self.call_with(arguments, &[]).await
    }

    /// The same with these variables in its environment.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub async fn call_with(
        &self,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Called> {
        let output = self.berth(arguments, environment).output();
        let output = within(LONG, "berth ends", async { Ok(output.await?) }).await?;
        Ok(Called {
            code: output.status.code().context("berth was killed")?,
            out: String::from_utf8(output.stdout).context("berth prints no text")?,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Signs in: what `berth login` says to open, `person` opens.
    ///
    /// # Errors
    /// It does not start, says nothing to open, or does not end.
    pub async fn sign_in(
        &self,
        arguments: &[&str],
        provider: &OidcProvider,
        person: Person,
    ) -> anyhow::Result<Called> {
        let arguments: Vec<&str> = ["login"].iter().chain(arguments).copied().collect();
        let mut child = self.berth(&arguments, &[]).spawn().context("start berth")?;
        let mut lines = BufReader::new(child.stderr.take().context("its output")?).lines();
        let mut err = String::new();
        let signing = async {
            let mut browsed = false;
            while let Some(line) = lines.next_line().await? {
                err.push_str(&line);
                err.push('\n');
                let address = line.split_whitespace().find(|word| {
                    let at_provider = word.starts_with(&provider.issuer());
                    at_provider && (word.contains("/auth?") || word.contains("user_code="))
                });
                if let Some(address) = address.filter(|_| !browsed) {
                    browsed = true;
                    provider.browse(address, person).await?;
                }
            }
            Ok(child.wait().await?)
        };
        let status = within(LONG, "berth login ends", signing).await?;
        Ok(Called {
            code: status.code().context("berth was killed")?,
            out: String::new(),
            err,
        })
    }
}
