//! Sees to it that no process outlives the one that started it, even after a kill that leaves no time to clean up.
//!
//! A small shell reads the ids of the started processes from a pipe. When the other end of the pipe closes without a word
//! of leave, its owner is gone, and the shell kills what it was told of. It does not know what the processes are.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::Error;

const SCRIPT: &str = include_str!("guard.sh");

/// A shell that kills the processes it was told of when its owner is gone.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Mutex<Child>,
}

impl Guard {
    /// Starts the shell. It also removes `temporary` when the owner is gone.
    pub(super) fn start(temporary: Option<&Path>) -> Result<Self, Error> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "berth-guard"])
            .args(temporary)
            // A group of its own, else an interrupt typed on the terminal ends it together with its owner.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| Error::Spawn {
                program: "sh".to_owned(),
                source,
            })?;
        Ok(Self {
            shell: Mutex::new(shell),
        })
    }

    pub(super) fn add(&self, id: u32) {
        self.tell(&format!("add {id}\n"));
    }

    /// To be called once the process is known to have ended, as its id may then belong to another.
    pub(super) fn forget(&self, id: u32) {
        self.tell(&format!("forget {id}\n"));
    }

    fn tell(&self, line: &str) {
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = &mut shell.stdin
            && let Err(error) = stdin.write_all(line.as_bytes())
        {
            tracing::warn!(%error, "the guard of the local control plane is gone; its processes may outlive this one");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell("leave\n");
        let shell = self.shell.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(shell.stdin.take());
        let _ = shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().expect("sleep starts")
    }

    /// What happens when the owner is killed: the pipe closes, and nobody said leave.
    fn lose_owner(guard: &Guard) {
        let mut shell = guard.shell.lock().expect("not poisoned");
        drop(shell.stdin.take());
        assert!(shell.wait().expect("the shell ends").success());
    }

    #[test]
    fn when_the_owner_is_gone_its_processes_and_temporary_files_go_too() {
        let files = tempfile::tempdir().expect("a temporary directory").keep();
        let guard = Guard::start(Some(&files)).expect("the guard starts");
        let mut child = sleeper();
        guard.add(child.id());
        lose_owner(&guard);
        assert!(!child.wait().expect("the child ends").success());
        assert!(!files.exists());
    }

    #[test]
    fn a_process_that_was_forgotten_is_left_alone() {
        let guard = Guard::start(None).expect("the guard starts");
        let (mut kept, mut killed) = (sleeper(), sleeper());
        guard.add(kept.id());
        guard.add(killed.id());
        guard.forget(kept.id());
        lose_owner(&guard);
        assert!(!killed.wait().expect("the child ends").success());
        assert_eq!(kept.try_wait().expect("a status"), None);
        kept.kill().expect("killed");
        kept.wait().expect("the child ends");
    }

    #[test]
    fn a_guard_that_is_dropped_in_order_kills_nothing() {
        let mut child = sleeper();
        let guard = Guard::start(None).expect("the guard starts");
        guard.add(child.id());
        drop(guard);
        assert_eq!(child.try_wait().expect("a status"), None);
        child.kill().expect("killed");
        child.wait().expect("the child ends");
    }
}
