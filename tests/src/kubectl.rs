//! The real `kubectl`, as a tenant's people would call it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_fake::control_plane::{Binaries, Binary};
use tokio::process::Command;

use crate::cli::Called;
use crate::programs::Programs;

const LIMIT: Duration = Duration::from_secs(60);

/// `kubectl` with one kubeconfig, and nothing else of the caller's.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// Where it finds `berth`, for kubeconfigs that ask it.
    path: PathBuf,
    home: PathBuf,
}

impl Kubectl {
    /// `kubectl` with the kubeconfig at `kubeconfig`; its cache goes beside it.
    ///
    /// # Errors
    /// There is no `kubectl` among the control plane's programs.
    pub fn new(programs: &Programs, kubeconfig: &Path) -> anyhow::Result<Self> {
        let program = Binaries::find()?.path(Binary::Kubectl).map(Path::to_owned);
        let program = program.context("there is no kubectl; run `cargo xtask control-plane`")?;
        let parent = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self {
            program,
            kubeconfig: kubeconfig.to_owned(),
            path: parent(&programs.cli()),
            home: parent(kubeconfig),
        })
    }

    /// Calls it.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub async fn call(&self, arguments: &[&str]) -> anyhow::Result<Called> {
        let running = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", &self.path)
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(LIMIT, running).await;
        let output = output.with_context(|| format!("kubectl {arguments:?} does not end"))?;
        let output = output.with_context(|| format!("start kubectl {arguments:?}"))?;
        Ok(Called {
            code: output.status.code().context("kubectl was killed")?,
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Calls it for what it prints.
    ///
    /// # Errors
    /// It fails.
    pub async fn output(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let called = self.call(arguments).await?;
        ensure!(called.code == 0, "kubectl {arguments:?}: {}", called.said());
        Ok(called.out)
    }

    /// Calls it to be refused by the cluster, not by anything before it.
    ///
    /// # Errors
    /// It is not refused, or for another reason.
    pub async fn forbidden(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let called = self.call(arguments).await?;
        ensure!(
            called.code != 0 && called.err.to_lowercase().contains("forbidden"),
            "kubectl {arguments:?} is not forbidden: {}",
            called.said()
        );
        Ok(())
    }
}
