//! A program under test as a child process: its log, its signals, its memory, its end.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How long a program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(20);

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program whose output goes to the end of `log`.
    ///
    /// # Errors
    /// The program cannot be started, or the log cannot be written.
    pub fn start<I, A>(name: &str, program: &Path, arguments: I, log: &Path) -> anyhow::Result<Self>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        Self::start_with(name, program, arguments, &[], log)
    }

    /// The same with these variables in its environment.
    ///
    /// # Errors
    /// The program cannot be started, or the log cannot be written.
    pub fn start_with<I, A>(
        name: &str,
        program: &Path,
        arguments: I,
        environment: &[(String, String)],
        log: &Path,
    ) -> anyhow::Result<Self>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open {}", log.display()))?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("share the log")?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.id()?;
        let id = i32::try_from(id)
            .ok()
            .and_then(Pid::from_raw)
            .context("no process id")?;
        kill_process(id, signal).with_context(|| format!("send a signal to {}", self.name))
    }

    /// Its process id.
    ///
    /// # Errors
    /// It has ended.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child
            .id()
            .with_context(|| format!("{} has ended", self.name))
    }

    /// Kills it (`kill -9`) and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("kill {}", self.name))
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let ended = tokio::time::timeout(GRACE, self.child.wait()).await;
        let ended = ended.with_context(|| format!("{} does not end; {}", self.name, self.log_end(20)))?;
        ended.with_context(|| format!("wait for {}", self.name))
    }

    /// Freezes it (SIGSTOP).
    ///
    /// # Errors
    /// It has ended.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it continue (SIGCONT).
    ///
    /// # Errors
    /// It has ended.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for its own end.
    ///
    /// # Errors
    /// It goes on for longer than `within`.
    pub async fn ended(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(within, self.child.wait()).await;
        let ended = ended.with_context(|| format!("{} goes on; {}", self.name, self.log_end(20)))?;
        ended.with_context(|| format!("wait for {}", self.name))
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// It has ended; the end of its log is in the message.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self
            .child
            .try_wait()
            .with_context(|| format!("look at {}", self.name))?
        {
            bail!("{} has ended ({status}); {}", self.name, self.log_end(30));
        }
        Ok(())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident_memory(&self) -> anyhow::Result<u64> {
        resident_memory(self.id()?)
    }

    /// CPU time it has used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()?)).context("read /proc")?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("read the CPU time in /proc")?;
        Ok(Duration::from_millis((user + system) * 10))
    }

    /// The end of its log.
    #[must_use]
    pub fn log_end(&self, lines: usize) -> String {
        log_end(&self.name, &self.log, lines)
    }
}

/// Resident memory of a process in bytes.
///
/// # Errors
/// It has ended.
pub fn resident_memory(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).context("read /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .context("no VmRSS")?;
    Ok(kib * 1024)
}

/// The end of a log file, with its name.
#[must_use]
pub fn log_end(name: &str, log: &Path, lines: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let end = all
        .get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n");
    format!("the end of the log of {name}:\n{end}")
}
