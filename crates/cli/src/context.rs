//! Finds and reads the context file: which hub, and with which credentials.

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use berth_identity::{ca, certificate};
use berth_wire::context::Context;

use crate::{
    client::Bearer,
    exit::{Exit, Failure},
    login::Keeper,
};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----\n";

/// Writes into the context in `file`, or where it usually is, whom to trust from now on: these authorities, and those from outside the
/// fleet that it has trusted so far. Gives the path.
pub(crate) fn trust(file: Option<PathBuf>, fleet_pem: &str) -> Result<PathBuf, Failure> {
    let path = path(file)?;
    let mut context = known(&path)?.ok_or_else(|| absent(&path))?;
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

fn absent(path: &Path) -> Failure {
    Failure::new(
        Exit::Failure,
        format!(
            "there is no context file {}: sign in with berth login --server URL, or give the one that a hub writes as DATA_DIR/admin.yaml with --context-file or BERTH_CONTEXT",
            path.display()
        ),
    )
}

/// A context with what is shown to its hub.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Which hub; with a certificate, when that is what is shown.
    pub context: Context,
    /// The token, when that is.
    pub bearer: Bearer,
}

/// The context in `file`, or where it usually is. A token in `BERTH_TOKEN` takes the place of the context's credential.
pub(crate) fn load(file: Option<PathBuf>) -> Result<Loaded, Failure> {
    let path = path(file)?;
    let mut context = known(&path)?.ok_or_else(|| absent(&path))?;
    if let Some(token) = given_token() {
        context.certificate_pem.clear();
        context.key_pem.clear();
        return Ok(Loaded {
            context,
            bearer: Bearer::given(token),
        });
    }
    let keeper = context.oidc.clone().map(|sign_in| Keeper::new(&path, sign_in));
    let bearer = Bearer::of(&context, keeper);
    Ok(Loaded { context, bearer })
}

/// What is in the context file at `path`, if there is one.
pub(crate) fn known(path: &PathBuf) -> Result<Option<Context>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let line = format!("read context file {}: {error}", path.display());
            return Err(Failure::new(Exit::Failure, line));
        }
    };
    Context::parse(&text)
        .map(Some)
        .map_err(|error| Failure::new(Exit::Invalid, format!("context file {}: {error}", path.display())))
}

/// `file`, or `~/.config/berth/context.yaml`, or that below `XDG_CONFIG_HOME`.
#[expect(
    clippy::disallowed_methods,
    reason = "where the configuration is comes from the environment"
)]
pub(crate) fn path(file: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(file) = file {
        return Ok(file);
    }
    let config = env::var_os("XDG_CONFIG_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".config")))
        .ok_or_else(|| {
            Failure::usage("there is no home directory to look for a context file in (use --context-file or BERTH_CONTEXT)")
        })?;
    Ok(config.join("berth").join("context.yaml"))
}

/// Not a flag: everybody on the machine sees those.
#[expect(
    clippy::disallowed_methods,
    reason = "a token for automation comes from the environment"
)]
fn given_token() -> Option<String> {
    env::var("BERTH_TOKEN")
        .ok()
        .filter(|token| !token.trim().is_empty())
}
