//! Finds and reads the context file: which hub, and with which credentials.

use std::{env, fs, path::PathBuf};

use berth_wire::context::Context;

use crate::exit::{Exit, Failure};

/// The context in `file`, or where it usually is.
pub(crate) fn load(file: Option<PathBuf>) -> Result<Context, Failure> {
    let path = match file {
        Some(path) => path,
        None => usual()?,
    };
    let text = fs::read_to_string(&path).map_err(|error| {
        let line = format!(
            "read context file {}: {error} (a hub writes one as DATA_DIR/admin.yaml; give it with --context-file or BERTH_CONTEXT)",
            path.display()
        );
        Failure::new(Exit::Failure, line)
    })?;
    Context::parse(&text)
        .map_err(|error| Failure::new(Exit::Invalid, format!("context file {}: {error}", path.display())))
}

/// `~/.config/berth/context.yaml`, or below `XDG_CONFIG_HOME`.
#[expect(
    clippy::disallowed_methods,
    reason = "where the configuration is comes from the environment"
)]
fn usual() -> Result<PathBuf, Failure> {
    let config = env::var_os("XDG_CONFIG_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".config")))
        .ok_or_else(|| {
            Failure::usage("there is no home directory to look for a context file in (use --context-file or BERTH_CONTEXT)")
        })?;
    Ok(config.join("berth").join("context.yaml"))
}
