//! The directory of one control plane: what lies where in it, and what a second start must find again.

use std::fs::{File, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;

/// What cannot change between two starts on the same data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The port of the API: part of the URL that clients have.
    pub(super) port: u16,
    /// Where in etcd the objects are.
    pub(super) etcd_prefix: String,
}

/// The directory of one control plane, removed at the end when it is a temporary one.
#[derive(Debug)]
pub(super) struct Home {
    kubeconfig: PathBuf,
    logs: PathBuf,
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
    /// Two control planes on the same data would fight over its port and its etcd.
    _lock: File,
}

impl Home {
    /// Opens `data_dir`, or makes a temporary directory.
    pub(super) fn open(data_dir: Option<&Path>) -> Result<Self, Error> {
        let temporary = match data_dir {
            Some(_) => None,
            None => Some(temporary()?),
        };
        let path = match (data_dir, &temporary) {
            (Some(path), _) => {
                // Programs are started with these paths, whatever their own directory.
                std::path::absolute(path).map_err(Error::files("resolve the directory", path))?
            }
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => PathBuf::new(),
        };
        make_directory(&path)?;
        let lock = lock(&path)?;
        let home = Self {
            kubeconfig: path.join("kubeconfig"),
            logs: path.join("logs"),
            path,
            temporary,
            _lock: lock,
        };
        for directory in [&home.pki(), &home.etcd(), &home.logs] {
            make_directory(directory)?;
        }
        Ok(home)
    }

    /// Whether the data outlives this control plane.
    pub(super) fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// The path, if it is a temporary directory.
    pub(super) fn temporary(&self) -> Option<&Path> {
        self.temporary.as_ref().map(tempfile::TempDir::path)
    }

    pub(super) fn pki(&self) -> PathBuf {
        self.path.join("pki")
    }

    pub(super) fn etcd(&self) -> PathBuf {
        self.path.join("etcd")
    }

    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Writes a file with configuration for one of the processes, for its owner's eyes only.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        write_private(&path, content)?;
        Ok(path)
    }

    /// What an earlier start left.
    pub(super) fn state(&self) -> Result<Option<State>, Error> {
        let path = self.path.join("state.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| Error::State { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Files {
                operation: "read",
                path,
                source,
            }),
        }
    }

    pub(super) fn save(&self, state: &State) -> Result<(), Error> {
        let path = self.path.join("state.json");
        let text = serde_json::to_string_pretty(state).map_err(|source| Error::State {
            path: path.clone(),
            source,
        })?;
        write_private(&path, &text)
    }
}

/// The lock ends with the process that holds it, however that ends.
fn lock(path: &Path) -> Result<File, Error> {
    let file = path.join("lock");
    let lock = File::create(&file).map_err(Error::files("create", &file))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::Files {
            operation: "lock",
            path: file,
            source,
        }),
    }
}

/// A temporary directory that only its owner can enter.
pub(super) fn temporary() -> Result<tempfile::TempDir, Error> {
    tempfile::Builder::new()
        .prefix("berth-")
        .tempdir()
        .map_err(Error::files(
            "make a temporary directory in",
            std::env::temp_dir(),
        ))
}

pub(super) fn make_directory(path: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::files("create the directory", path))
}

/// Replaces a file as a whole, readable for its owner only: a crash leaves the old one or the new one.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let draft = path.with_extension("draft");
    let write = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().map_err(Error::files("write", path))
}
