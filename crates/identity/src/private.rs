//! Refusing a private key that others may read.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Others than its owner may read a private key.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is a private key and has mode {mode:04o}, so that others may read it: chmod 600 {}, and make a new one if somebody else may have read it",
    path.display(),
    path.display()
)]
pub struct ReadableByOthers {
    path: PathBuf,
    mode: u32,
}

/// Refuses a key that others may read, as ssh does. A key of another owner may be read by its group: that is how Kubernetes mounts a
/// Secret for a program that is not root (`fsGroup`). What cannot be looked at is for whoever reads it to say.
///
/// # Errors
/// Its group or the world may read it.
pub fn private(path: &Path) -> Result<(), ReadableByOthers> {
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(());
    };
    let mode = metadata.mode() & 0o7777;
    let mounted = metadata.uid() != rustix::process::geteuid().as_raw();
    let others = if mounted { 0o037 } else { 0o077 };
    if mode & others == 0 {
        return Ok(());
    }
    Err(ReadableByOthers {
        path: path.to_owned(),
        mode,
    })
}
