//! Calling other programs: what is called is shown first, and a failure names it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// The workspace's directory.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// The cargo that started this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Reads configuration from the environment; an empty value counts as none.
pub(crate) fn variable(name: &str) -> Option<std::ffi::OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a developers' tool is configured by the environment"
    )]
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Tells what happens, apart from what the called programs print.
pub(crate) fn say(message: impl std::fmt::Display) {
    eprintln!("==> {message}");
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs a command with the terminal's output.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    say(shown(command));
    let status = command
        .status()
        .with_context(|| format!("start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Whether a program can be called; asks it for its version.
pub(crate) fn exists(program: &str, version_argument: &str) -> bool {
    let asked = Command::new(program)
        .arg(version_argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
