//! Points at which a process can be made to die, for tests that kill it at every one of them.
//!
//! A point is a step that outlives the process: it is passed once before and once after. Points are numbered from 1 in the order in
//! which this process comes to them. Nothing happens at a point unless the process was [armed](arm), and without the feature
//! `failpoints` there are none. What a point stands for is its caller's business.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

/// At which point a program dies, as its tests say on its command line.
#[derive(clap::Args, Clone, Debug)]
pub struct Failpoints {
    /// Die at this point, counted from 1.
    #[arg(long, env = "BERTH_FAILPOINT", value_name = "NUMBER", hide = true)]
    failpoint: Option<u64>,

    /// Write every point that is passed into this file.
    #[arg(long, env = "BERTH_FAILPOINT_LOG", value_name = "FILE", hide = true)]
    failpoint_log: Option<PathBuf>,
}

impl Failpoints {
    /// From now on points are numbered, if that was asked for.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn arm(&self) -> io::Result<()> {
        if self.failpoint.is_none() && self.failpoint_log.is_none() {
            return Ok(());
        }
        arm(self.failpoint, self.failpoint_log.as_deref())
    }
}

static ARMED: OnceLock<Armed> = OnceLock::new();

struct Armed {
    die_at: Option<u64>,
    log: Option<File>,
    passed: Mutex<u64>,
}

/// Numbers the points that come from now on, writes each into `log` as a line of its number and its name, and ends the process by
/// `SIGKILL` at point `die_at`, when its line is written. A second call changes nothing.
///
/// # Errors
/// The log cannot be opened.
pub fn arm(die_at: Option<u64>, log: Option<&Path>) -> io::Result<()> {
    let log = log
        .map(|path| OpenOptions::new().create(true).append(true).open(path))
        .transpose()?;
    let _ = ARMED.set(Armed {
        die_at,
        log,
        passed: Mutex::new(0),
    });
    Ok(())
}

/// Comes to a point.
pub fn pass(name: impl FnOnce() -> String) {
    let Some(armed) = ARMED.get() else {
        return;
    };
    // Held while the line is written, so that the lines are in the order of the numbers.
    let mut passed = armed.passed.lock().unwrap_or_else(PoisonError::into_inner);
    *passed += 1;
    if let Some(mut log) = armed.log.as_ref() {
        // One write to the kernel, which outlives the process; a log that fails shows as a line too few.
        let _ = log.write_all(format!("{} {}\n", *passed, name()).as_bytes());
    }
    if armed.die_at == Some(*passed) {
        die();
    }
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // The kernel ends this thread with all others on its way out of the call.
    loop {
        std::thread::park();
    }
}
