//! Writing a file whole or not at all, readable by its owner alone where asked.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Who may read a file.
#[derive(Clone, Copy)]
pub(crate) enum Readable {
    ByOwner,
    ByAll,
}

/// Makes a directory, for its owner alone when it is new.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes through a neighbour, so that a crash leaves the old file or the new one.
pub(crate) fn write(path: &Path, content: &str, readable: Readable) -> io::Result<()> {
    let mode = match readable {
        Readable::ByOwner => 0o600,
        Readable::ByAll => 0o644,
    };
    let neighbour = path.with_extension("new");
    match fs::remove_file(&neighbour) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&neighbour)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&neighbour, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// The file's text, or `None` where there is no file.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

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
