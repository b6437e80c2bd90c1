//! One process of a control plane: its log, its signals, its end.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

pub(super) use rustix::process::Signal;

use super::guard::Guard;
use super::{Binary, Error};

/// How much of a log an error shows, in bytes.
const TAIL: u64 = 4 * 1024;

/// A started process. Dropping it kills and reaps it.
#[derive(Debug)]
pub(super) struct Process {
    binary: Binary,
    child: Child,
    log: PathBuf,
    guard: Arc<Guard>,
}

impl Process {
    /// Starts `binary` from `path`; what it prints goes to a file of its name in `logs`.
    pub(super) fn spawn(
        binary: Binary,
        path: &Path,
        arguments: impl IntoIterator<Item = String>,
        logs: &Path,
        guard: &Arc<Guard>,
    ) -> Result<Self, Error> {
        let log = logs.join(format!("{binary}.log"));
        let file = File::create(&log).map_err(Error::files("create the log", &log))?;
        let errors = file.try_clone().map_err(Error::files("open the log", &log))?;
        let child = Command::new(path)
            .args(arguments)
            // kwok would look for a configuration in the user's home.
            .env("KWOK_WORKDIR", logs)
            // An interrupt typed on the terminal is for the owner, which ends its processes in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(|source| Error::Spawn {
                program: path.display().to_string(),
                source,
            })?;
        guard.add(child.id());
        Ok(Self {
            binary,
            child,
            log,
            guard: Arc::clone(guard),
        })
    }

    pub(super) fn binary(&self) -> Binary {
        self.binary
    }

    #[cfg(test)]
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn ensure_running(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Stopped {
                binary: self.binary,
                status: status.to_string(),
                log: self.log_tail(),
            }),
            Err(source) => Err(Error::Signal {
                binary: self.binary,
                source,
            }),
        }
    }

    pub(super) fn not_ready(&self, waited: Duration) -> Error {
        Error::NotReady {
            binary: self.binary,
            seconds: waited.as_secs(),
            log: self.log_tail(),
        }
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        // The id of a process that was reaped may belong to another.
        self.ensure_running()?;
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).map_err(
            |errno| Error::Signal {
                binary: self.binary,
                source: errno.into(),
            },
        )
    }

    /// Whether every thread of it has stopped, where the system tells (`/proc`); a signal takes a moment to reach them all.
    pub(super) fn is_stopped(&self) -> bool {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.child.id())) else {
            return true;
        };
        threads.flatten().all(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            let state = status.lines().find_map(|line| line.strip_prefix("State:"));
            state.is_none_or(|state| state.trim().starts_with('T'))
        })
    }

    /// Asks the process to end, and kills it when it has not within `grace`.
    pub(super) async fn terminate(&mut self, grace: Duration) {
        // A paused process would never read the request.
        let asked = self.signal(Signal::TERM).and_then(|()| self.signal(Signal::CONT));
        if asked.is_ok() {
            let _ = tokio::time::timeout(grace, async {
                while self.ensure_running().is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
        self.kill();
    }

    /// Kills and reaps the process; nothing happens to one that has ended.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        if self.child.wait().is_ok() {
            self.guard.forget(self.child.id());
        }
    }

    /// Resident memory in bytes, where the system tells (`/proc`).
    pub(super) fn resident_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()
            .map(|kib| kib * 1024)
    }

    fn log_tail(&self) -> String {
        let tail = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        tail().unwrap_or_else(|error| format!("(the log `{}` cannot be read: {error})", self.log.display()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
