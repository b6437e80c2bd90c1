//! `cargo xtask oidc-provider`: the OpenID provider that tests of signing in start, by npm into the user's cache.
//!
//! Its versions and their checksums are those of `tests/oidc-provider/package-lock.json`. How it is started is not known here:
//! `berth_tests::oidc` does that, and looks in the same place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::control_plane::cache;
use crate::run::{exists, root, run, say};

const PACKAGE: &str = "oidc-provider";
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Makes sure that the provider is there, and says where.
pub(crate) fn oidc_provider() -> anyhow::Result<PathBuf> {
    let source = root().join("tests").join(PACKAGE);
    let target = cache()?
        .join("tools")
        .join(format!("{PACKAGE}-{}", version(&source)?));
    if !installed(&source, &target) {
        install(&source, &target)?;
    }
    say(format!("{PACKAGE}: {}", target.display()));
    Ok(target)
}

fn version(source: &Path) -> anyhow::Result<String> {
    let path = source.join(FILES[0]);
    let text = fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
    let package: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("read `{}`", path.display()))?;
    let version = package["dependencies"][PACKAGE].as_str();
    Ok(version
        .with_context(|| format!("`{}` names no version of {PACKAGE}", path.display()))?
        .to_owned())
}

/// The lock file is written last; what it says is there.
fn installed(source: &Path, target: &Path) -> bool {
    let lock = |directory: &Path| fs::read(directory.join(FILES[1])).ok();
    lock(target).is_some()
        && lock(source) == lock(target)
        && target.join("node_modules").join(PACKAGE).is_dir()
}

fn install(source: &Path, target: &Path) -> anyhow::Result<()> {
    for program in ["node", "npm"] {
        if !exists(program, "--version") {
            bail!(
                "there is no `{program}`, which the OpenID provider of the tests needs: install Node.js 20 or newer"
            );
        }
    }
    let parent = target.parent().context("the cache has no directory above it")?;
    fs::create_dir_all(parent).with_context(|| format!("create the directory `{}`", parent.display()))?;
    // Beside its place, so that it appears there whole.
    let work = tempfile::Builder::new()
        .prefix(".oidc-provider-")
        .tempdir_in(parent)
        .context("make a directory to install into")?;
    for file in FILES {
        let (from, to) = (source.join(file), work.path().join(file));
        fs::copy(&from, &to).with_context(|| format!("copy `{}`", from.display()))?;
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(work.path()))?;
    if target.exists() {
        fs::remove_dir_all(target).with_context(|| format!("remove the old `{}`", target.display()))?;
    }
    let work = work.keep();
    fs::rename(&work, target).with_context(|| format!("move `{}` into place", work.display()))
}
