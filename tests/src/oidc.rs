//! A real OpenID provider (npm's `oidc-provider`) as a child process, and somebody with a browser.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use berth_fake::ports::free_port;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::waiting::{LONG, within};

/// The client that `berth` is there.
pub const CLIENT: &str = "berth-cli";

/// A provider, running or between two starts. Its people are `alice`, whose address is verified, and `mallory`, who says that hers is
/// alice's.
#[derive(Debug)]
pub struct OidcProvider {
    modules: PathBuf,
    settings: Value,
    port: u16,
    ca_file: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Somebody in front of a browser.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Who signs in.
    pub login: &'static str,
    /// Whether consent is denied.
    pub denies: bool,
}

/// Alice, who consents.
pub const ALICE: Person = Person {
    login: "alice",
    denies: false,
};

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("oidc-provider")
        .join(name)
}

/// Where `cargo xtask test` has put the provider's packages.
fn modules() -> anyhow::Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "configuration of the tests")]
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let directory = match variable("BERTH_OIDC_PROVIDER") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let cache = variable("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
                .context("find the cache: neither XDG_CACHE_HOME nor HOME is set")?;
            let version = json_of(&source("package.json"))?["dependencies"]["oidc-provider"].clone();
            let version = version
                .as_str()
                .context("the version of oidc-provider")?
                .to_owned();
            cache.join(format!("berth/tools/oidc-provider-{version}"))
        }
    };
    let lock = |path: PathBuf| std::fs::read(path.join("package-lock.json")).ok();
    let installed = lock(directory.clone());
    ensure!(
        installed.is_some() && installed == lock(source("")),
        "there is no OpenID provider for the tests as they want it in {}; run `cargo xtask oidc-provider`, which needs Node.js and npm",
        directory.display()
    );
    Ok(directory)
}

fn json_of(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))
}

impl OidcProvider {
    /// A provider with its files in `directory` that does not run yet. Its ID tokens live for so many seconds.
    ///
    /// # Errors
    /// It is not installed, or there is no free port.
    pub fn new(directory: &Path, id_token_seconds: u32) -> anyhow::Result<Self> {
        let modules = modules()?;
        let port = free_port().context("find a free port")?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
            .context("make the provider's certificate")?;
        let ca_file = directory.join("oidc-ca.crt");
        std::fs::write(&ca_file, made.cert.pem()).context("write the provider's certificate")?;
        let settings = json!({
            "port": port,
            "idTokenSeconds": id_token_seconds,
            "key": made.signing_key.serialize_pem(),
            "certificate": made.cert.pem(),
        });
        Ok(Self {
            modules,
            settings,
            port,
            ca_file,
            running: None,
        })
    }

    /// The same, running.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn started(directory: &Path, id_token_seconds: u32) -> anyhow::Result<Self> {
        let mut provider = Self::new(directory, id_token_seconds)?;
        provider.start().await?;
        Ok(provider)
    }

    /// Starts it, with keys nobody has seen and no memory of who has signed in.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let mut child = Command::new("node")
            .arg(source("server.mjs"))
            .arg(&self.modules)
            .arg(self.settings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start node, which the OpenID provider of the tests needs")?;
        let stdin = child.stdin.take().context("the provider's input")?;
        let stdout = child.stdout.take().context("the provider's output")?;
        let lines = BufReader::new(stdout).lines();
        let mut running = Running { child, stdin, lines };
        running.hear("ready").await?;
        self.running = Some(running);
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.child.kill().await.context("kill the provider")?;
        }
        Ok(())
    }

    /// Has it sign with another key from now on.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn rotate(&mut self) -> anyhow::Result<()> {
        self.tell("rotate").await
    }

    /// Has it refuse whatever is to be renewed.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn forget(&mut self) -> anyhow::Result<()> {
        self.tell("forget").await
    }

    async fn tell(&mut self, command: &str) -> anyhow::Result<()> {
        let running = self.running.as_mut().context("the provider does not run")?;
        running
            .stdin
            .write_all(format!("{command}\n").as_bytes())
            .await
            .with_context(|| format!("tell the provider to {command}"))?;
        running.hear("done").await
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// What a hub's configuration says of it.
    #[must_use]
    pub fn config(&self) -> Value {
        json!({
            "issuer": self.issuer(),
            "clientId": CLIENT,
            "caFile": self.ca_file,
            "scopes": ["openid", "email", "groups", "offline_access"],
        })
    }

    /// Opens `address` in a browser and does what is asked there.
    ///
    /// # Errors
    /// The browser does not come to an end.
    pub async fn browse(&self, address: &str, person: Person) -> anyhow::Result<String> {
        let settings = json!({"login": person.login, "deny": person.denies});
        let browsing = Command::new("node")
            .arg(source("browser.mjs"))
            .arg(address)
            .arg(settings.to_string())
            .env("NODE_EXTRA_CA_CERTS", &self.ca_file)
            .kill_on_drop(true)
            .output();
        let output = within(LONG, "the browser is done", async { Ok(browsing.await?) }).await?;
        ensure!(
            output.status.success(),
            "the browser: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Running {
    async fn hear(&mut self, word: &str) -> anyhow::Result<()> {
        let lines = &mut self.lines;
        within(LONG, "the provider answers", async {
            while let Some(line) = lines.next_line().await? {
                if line == word {
                    return Ok(());
                }
            }
            anyhow::bail!("it has ended")
        })
        .await
    }
}
