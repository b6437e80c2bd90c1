//! What starting an agent means: a process, or whatever a [`Launcher`] makes of it.

use std::{collections::BTreeMap, fmt, path::PathBuf, process::Stdio};

use async_trait::async_trait;
use tokio::process::{Child, Command};

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The container's arguments (after its program), with paths as they are here.
    pub args: Vec<String>,
    /// Its environment; `KUBECONFIG` names [`Self::kubeconfig`].
    pub env: BTreeMap<String, String>,
    /// The pod's own directory.
    pub dir: PathBuf,
    /// How it reaches its cluster; the token in it is a file that is renewed.
    pub kubeconfig: PathBuf,
}

/// How something ended, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit(pub String);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts agents.
#[async_trait]
pub trait Launcher: fmt::Debug + Send + Sync + 'static {
    /// Starts one and returns at once.
    async fn launch(
        &self,
        launch: Launch,
    ) -> Result<Box<dyn Running>, Box<dyn std::error::Error + Send + Sync>>;
}

/// Something started.
#[async_trait]
pub trait Running: Send {
    /// Returns when it has ended; may be dropped and called again.
    async fn wait(&mut self) -> Exit;

    /// Ends it, and returns when it has.
    async fn kill(&mut self);
}

/// Starts a program; what it prints goes to `agent.log` in the pod's directory.
#[derive(Clone, Debug)]
pub struct ProcessLauncher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments before the container's.
    pub leading_args: Vec<String>,
}

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(
        &self,
        launch: Launch,
    ) -> Result<Box<dyn Running>, Box<dyn std::error::Error + Send + Sync>> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(launch.dir.join("agent.log"))?;
        let child = Command::new(&self.program)
            .args(&self.leading_args)
            .args(&launch.args)
            .env_clear()
            .envs(&launch.env)
            .current_dir(&launch.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Box::new(Process(child)))
    }
}

struct Process(Child);

#[async_trait]
impl Running for Process {
    async fn wait(&mut self) -> Exit {
        match self.0.wait().await {
            Ok(status) => Exit(status.to_string()),
            Err(error) => Exit(format!("nobody knows how: {error}")),
        }
    }

    async fn kill(&mut self) {
        // It has ended already when this fails.
        drop(self.0.kill().await);
    }
}
