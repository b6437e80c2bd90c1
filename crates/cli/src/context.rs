//! Finds and reads the context file: which hub, and with which credentials.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use berth_identity::{ca, certificate};
use berth_wire::context::Context;

use crate::exit::{Exit, Failure};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----\n";

/// Writes into the context in `file`, or where it usually is, whom to trust from now on: these authorities, and those from outside the
/// fleet that it has trusted so far. Gives the path.
pub(crate) fn trust(file: Option<PathBuf>, fleet_pem: &str) -> Result<PathBuf, Failure> {
    let path = match file {
        Some(path) => path,
        None => usual()?,
    };
    let mut context = load(Some(path.clone()))?;
    let outside = context
        .ca_pem
        .split_inclusive(END)
        .filter(|pem| pem.contains(BEGIN) && !is_fleets(pem));
    context.ca_pem = std::iter::once(fleet_pem).chain(outside).collect();
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Failure,
            format!("write context file {}: {error}", path.display()),
        )
    };
    let text = context.to_yaml().map_err(|error| failed(&error))?;
    write_private(&path, &text).map_err(|error| failed(&error))?;
    Ok(path)
}

/// Whether it is, or was, an authority of a fleet.
fn is_fleets(pem: &str) -> bool {
    let Ok(der) = certificate::first(pem) else {
        return false;
    };
    certificate::common_name(&der).as_deref() == Some(ca::AUTHORITY_NAME)
}

/// Whole or not at all, for its owner alone.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("yaml.new");
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&beside, path)
}

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
