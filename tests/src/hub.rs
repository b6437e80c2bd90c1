//! A hub as a child process, with ports and data that outlive a restart.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_fake::ports::free_port;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::Api;
use crate::process::Process;
use crate::programs::Programs;
use crate::waiting::{LONG, until};

/// A hub, running or between two starts.
#[derive(Debug)]
pub struct Hub {
    program: PathBuf,
    directory: PathBuf,
    listen: SocketAddr,
    agent_listen: SocketAddr,
    ops_listen: SocketAddr,
    more: Vec<String>,
    host: Host,
    process: Process,
}

/// Where a hub runs when that is not loopback: its own address, and the command that starts a program there.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its address; none for loopback.
    pub address: Option<IpAddr>,
    /// Words before the program, such as `ip netns exec NAME`.
    pub command: Vec<String>,
}

impl Host {
    /// The program and its first arguments that start `program` here.
    #[must_use]
    pub fn starting(&self, program: &Path) -> (PathBuf, Vec<String>) {
        match self.command.split_first() {
            None => (program.to_owned(), Vec::new()),
            Some((first, rest)) => {
                let rest = rest.iter().cloned();
                (
                    first.into(),
                    rest.chain([program.display().to_string()]).collect(),
                )
            }
        }
    }
}

impl Hub {
    /// Starts a hub with its data in `directory`, and waits until it is ready. `config` is the content of its
    /// configuration file (YAML takes JSON).
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn start(programs: &Programs, directory: &Path, config: &Value) -> anyhow::Result<Self> {
        Self::start_with(programs, directory, config, Vec::new()).await
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn start_with(
        programs: &Programs,
        directory: &Path,
        config: &Value,
        more: Vec<String>,
    ) -> anyhow::Result<Self> {
        Self::start_on(programs, directory, config, more, Host::default()).await
    }

    /// The same on a host of its own.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn start_on(
        programs: &Programs,
        directory: &Path,
        config: &Value,
        more: Vec<String>,
        host: Host,
    ) -> anyhow::Result<Self> {
        let mut hub = Self::begin(programs, directory, config, more, host, &[])?;
        hub.ready().await?;
        Ok(hub)
    }

    /// The same with these variables in its environment, and does not wait: it may end before it is ready.
    ///
    /// # Errors
    /// The program does not start.
    pub fn begin(
        programs: &Programs,
        directory: &Path,
        config: &Value,
        more: Vec<String>,
        host: Host,
        environment: &[(String, String)],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        let file = directory.join("config.yaml");
        let mut config = config.clone();
        // Test clusters have no network plug-in.
        let accepted = &mut config["placement"]["acceptGaps"];
        if accepted.is_null() {
            *accepted = json!({"network-policy": "test", "admission-policy": "test"});
        }
        std::fs::write(&file, serde_json::to_string_pretty(&config)?)
            .context("write the hub's configuration")?;
        let [listen, agent_listen, ops_listen] = match host.address {
            None => free_addresses()?,
            Some(address) => [7443, 7444, 7445].map(|port| SocketAddr::new(address, port)),
        };
        let program = programs.hub();
        let addresses = [listen, agent_listen, ops_listen];
        let process = spawn(&host, &program, directory, addresses, &more, environment)?;
        let directory = directory.to_owned();
        Ok(Self {
            program,
            directory,
            listen,
            agent_listen,
            ops_listen,
            more,
            host,
            process,
        })
    }

    /// Starts it again after it was killed or stopped, and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.launch(&[])?;
        self.ready().await
    }

    /// Starts with these arguments from now on, in place of the ones it was made with.
    pub fn with_arguments(&mut self, more: Vec<String>) {
        self.more = more;
    }

    /// Has this in its configuration from now on, besides what is there.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn with_config(&self, more: &Value) -> anyhow::Result<()> {
        let file = self.directory.join("config.yaml");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        std::fs::write(&file, serde_json::to_string_pretty(&config)?)?;
        Ok(())
    }

    /// Starts it again with these variables in its environment, and does not wait: it may end before it is ready.
    ///
    /// # Errors
    /// The program does not start.
    pub fn launch(&mut self, environment: &[(String, String)]) -> anyhow::Result<()> {
        self.process = spawn(
            &self.host,
            &self.program,
            &self.directory,
            [self.listen, self.agent_listen, self.ops_listen],
            &self.more,
            environment,
        )?;
        Ok(())
    }

    /// Starts it again if it has ended.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn ensure_running(&mut self) -> anyhow::Result<()> {
        if self.process.ensure_running().is_err() {
            self.start_again().await?;
        }
        Ok(())
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It has ended, or takes too long.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        match self.settled().await? {
            None => Ok(()),
            Some(status) => Err(anyhow::anyhow!(
                "the hub has ended ({status}); {}",
                self.process.log_end(30)
            )),
        }
    }

    /// Waits until it is ready, or has ended with a status.
    ///
    /// # Errors
    /// It takes too long.
    pub async fn settled(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let ops = self.ops_listen;
        let ready = until(LONG, "the hub is ready", || async move {
            Ok(get(ops, "/readyz")
                .await?
                .starts_with("HTTP/1.1 200")
                .then_some(()))
        });
        let process = &mut self.process;
        tokio::select! {
            ready = ready => ready.with_context(|| self.process.log_end(30)).map(|()| None),
            ended = process.ended(LONG * 2) => ended.map(Some),
        }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident_memory(&self) -> anyhow::Result<u64> {
        self.process.resident_memory()
    }

    /// The admin's context file.
    #[must_use]
    pub fn context(&self) -> PathBuf {
        self.directory.join("data/admin.yaml")
    }

    /// Its API, as the admin.
    ///
    /// # Errors
    /// The context file cannot be used.
    pub fn api(&self) -> anyhow::Result<Api> {
        Api::open(&self.context())
    }

    /// Where its files are.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("hub.log")
    }

    /// Where its API is.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("https://{}", self.listen)
    }

    /// Where agents dial.
    #[must_use]
    pub fn agent_url(&self) -> String {
        format!("https://{}", self.agent_listen)
    }

    /// The metrics it serves.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let answer = get(self.ops_listen, "/metrics").await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "the hub's metrics: {answer}");
        Ok(answer)
    }

    /// The end of its log.
    #[must_use]
    pub fn log_end(&self, lines: usize) -> String {
        self.process.log_end(lines)
    }
}

fn spawn(
    host: &Host,
    program: &Path,
    directory: &Path,
    listen: [SocketAddr; 3],
    more: &[String],
    environment: &[(String, String)],
) -> anyhow::Result<Process> {
    let (program, mut arguments) = host.starting(program);
    arguments.extend([
        "--data-dir".to_owned(),
        directory.join("data").display().to_string(),
        "--config".to_owned(),
        directory.join("config.yaml").display().to_string(),
        format!("--listen={}", listen[0]),
        format!("--agent-listen={}", listen[1]),
        format!("--ops-listen={}", listen[2]),
    ]);
    arguments.extend_from_slice(more);
    Process::start_with(
        "berth-hub",
        &program,
        arguments,
        environment,
        &directory.join("hub.log"),
    )
}

/// Addresses of loopback that nobody listens on. They are chosen here, not by the hub, so that a restart keeps them.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for address in &mut addresses {
        address.set_port(free_port().context("find a free port")?);
    }
    Ok(addresses)
}

/// A plain HTTP GET; the whole answer with its head.
async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), asked).await;
    answer
        .with_context(|| format!("get http://{address}{path}: no answer"))?
        .with_context(|| format!("get {path}"))
}
