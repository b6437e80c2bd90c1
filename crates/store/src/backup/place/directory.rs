//! A directory: each blob a file, written beside and renamed, with the disk waited for.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{BackupError, Place};

/// Files being written end with this.
const UNFINISHED: &str = ".unfinished";

/// A directory of backups; made when something is first written.
#[derive(Clone, Debug)]
pub struct Directory {
    dir: PathBuf,
}

impl Directory {
    /// The directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    async fn work<T: Send + 'static>(
        &self,
        operation: &'static str,
        name: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BackupError> {
        let path = self.dir.join(name);
        let done = tokio::task::spawn_blocking(move || work(&path)).await;
        done.map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(|source| BackupError::Place {
                operation,
                name: name.to_owned(),
                place: self.name(),
                source: source.into(),
            })
    }
}

#[async_trait]
impl Place for Directory {
    fn name(&self) -> String {
        self.dir.display().to_string()
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BackupError> {
        self.work("write", name, move |path| write(path, &bytes)).await
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>, BackupError> {
        self.work("read", name, |path| {
            missing_is_none(fs::read(path).map(Bytes::from))
        })
        .await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, BackupError> {
        let root = self.dir.clone();
        self.work("list", folder, move |path| {
            let mut names = Vec::new();
            walk(path, &mut |file| {
                if let Ok(name) = file.strip_prefix(&root) {
                    names.push(name.to_string_lossy().into_owned());
                }
            })?;
            names.retain(|name| !name.ends_with(UNFINISHED));
            names.sort();
            Ok(names)
        })
        .await
    }

    async fn delete(&self, name: &str) -> Result<(), BackupError> {
        self.work("delete", name, |path| {
            missing_is_none(fs::remove_file(path))?;
            // The folder goes with its last file.
            if let Some(folder) = path.parent() {
                let _ = fs::remove_dir(folder);
            }
            Ok(())
        })
        .await
    }
}

fn missing_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Backups say what a fleet looks like: only their owner reads them.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(UNFINISHED);
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // New folders are found after a power cut only when those above them are on the disk.
    for folder in folder
        .ancestors()
        .take(3)
        .filter(|folder| **folder != *Path::new(""))
    {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn walk(dir: &Path, each: &mut impl FnMut(&Path)) -> io::Result<()> {
    let Some(entries) = missing_is_none(fs::read_dir(dir))? else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), each)?;
        } else {
            each(&entry.path());
        }
    }
    Ok(())
}
