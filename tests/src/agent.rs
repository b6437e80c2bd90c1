//! An agent as a child process.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use berth_model::label::AGENT_NAMESPACE;

use crate::hub::Host;
use crate::process::Process;
use crate::programs::Programs;

/// What an agent is told on its command line.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Where the hub is.
    pub hub: String,
    /// The pin of its CA; only for the first start.
    pub ca_pin: Option<String>,
    /// The join token; only for the first start.
    pub token: Option<String>,
    /// How it reaches its cluster.
    pub kubeconfig: String,
    /// Tenants that may be deleted in ten minutes before it stops.
    pub withdraw_limit: usize,
}

/// An agent, running or between two starts.
#[derive(Debug)]
pub struct Agent {
    program: PathBuf,
    directory: PathBuf,
    options: AgentOptions,
    namespace: String,
    host: Host,
    process: Process,
}

impl Agent {
    /// Starts an agent that keeps its files in `directory`.
    ///
    /// # Errors
    /// The program does not start. Whether it joins is seen at the hub.
    pub fn start(programs: &Programs, directory: &Path, options: AgentOptions) -> anyhow::Result<Self> {
        Self::start_in(programs, directory, options, AGENT_NAMESPACE)
    }

    /// Starts an agent that lives in another namespace than usual.
    ///
    /// # Errors
    /// The program does not start.
    pub fn start_in(
        programs: &Programs,
        directory: &Path,
        options: AgentOptions,
        namespace: &str,
    ) -> anyhow::Result<Self> {
        Self::start_on(programs, directory, options, namespace, Host::default())
    }

    /// Starts an agent on a host of its own.
    ///
    /// # Errors
    /// The program does not start.
    pub fn start_on(
        programs: &Programs,
        directory: &Path,
        options: AgentOptions,
        namespace: &str,
        host: Host,
    ) -> anyhow::Result<Self> {
        Self::begin(programs, directory, options, (namespace, host), &[])
    }

    /// The same with these variables in its environment; `place` is its namespace and its host.
    ///
    /// # Errors
    /// The program does not start.
    pub fn begin(
        programs: &Programs,
        directory: &Path,
        options: AgentOptions,
        place: (&str, Host),
        environment: &[(String, String)],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        let program = programs.agent();
        let (namespace, host) = place;
        let process = spawn(&host, &program, directory, &options, namespace, environment)?;
        Ok(Self {
            program,
            directory: directory.to_owned(),
            options,
            namespace: namespace.to_owned(),
            host,
            process,
        })
    }

    /// Starts it again after it has ended, with nothing but where the hub and the cluster are: no token, no pin.
    ///
    /// # Errors
    /// The program does not start.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.start_again_with(&[])
    }

    /// The same with these variables in its environment.
    ///
    /// # Errors
    /// The program does not start.
    pub fn start_again_with(&mut self, environment: &[(String, String)]) -> anyhow::Result<()> {
        self.options.token = None;
        self.options.ca_pin = None;
        self.start_as_before(environment)
    }

    /// Starts it again with all that it was told the first time, as a pod is, and with these variables in its environment.
    ///
    /// # Errors
    /// The program does not start.
    pub fn start_as_before(&mut self, environment: &[(String, String)]) -> anyhow::Result<()> {
        self.process = spawn(
            &self.host,
            &self.program,
            &self.directory,
            &self.options,
            &self.namespace,
            environment,
        )?;
        Ok(())
    }

    /// Starts it again if it has ended, and lets it continue if it is paused.
    ///
    /// # Errors
    /// The program does not start.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        if self.process.ensure_running().is_err() {
            return self.start_again();
        }
        self.process.resume()
    }

    /// Kills it and everything it has on its disk.
    ///
    /// # Errors
    /// It cannot be waited for, or its files cannot be removed.
    pub async fn lose(&mut self) -> anyhow::Result<()> {
        self.process.kill().await?;
        std::fs::remove_dir_all(&self.directory).context("remove the agent's files")?;
        std::fs::create_dir_all(&self.directory).context("make the agent's directory")
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
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
    options: &AgentOptions,
    namespace: &str,
    environment: &[(String, String)],
) -> anyhow::Result<Process> {
    let kubeconfig = directory.join("kubeconfig");
    std::fs::write(&kubeconfig, &options.kubeconfig).context("write the agent's kubeconfig")?;
    let (program, mut arguments) = host.starting(program);
    arguments.extend([
        format!("--hub={}", options.hub),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--namespace={namespace}"),
        // Tests delete more tenants in ten minutes than an operator should without being asked.
        format!("--withdraw-limit={}", options.withdraw_limit),
    ]);
    let token = directory.join("token");
    match &options.token {
        Some(secret) => {
            std::fs::write(&token, secret).context("write the join token")?;
            arguments.push(format!("--token-file={}", token.display()));
        }
        // A token that was used lies around nowhere.
        None => drop(std::fs::remove_file(&token)),
    }
    arguments.extend(options.ca_pin.iter().map(|pin| format!("--ca-pin={pin}")));
    Process::start_with(
        "berth-agent",
        &program,
        arguments,
        environment,
        &directory.with_extension("log"),
    )
}
