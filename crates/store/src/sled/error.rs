//! Why a store could not be opened, and what an operator does next.

use std::path::{Path, PathBuf};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("store {} is in use{}", dir.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
        /// The other process, when it has said so.
        holder: Option<u32>,
    },
    /// The store is not what was acknowledged. It is not opened, so that nothing is missed silently.
    #[error("store {} is damaged: {finding}", dir.display())]
    Damaged {
        /// The store's directory.
        dir: PathBuf,
        /// What does not add up.
        finding: String,
    },
    /// A newer Berth wrote it.
    #[error("store {} has schema {found}, this version reads up to {supported}", dir.display())]
    NewerSchema {
        /// The store's directory.
        dir: PathBuf,
        /// The store's.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// The directory cannot be used.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(super) fn io(operation: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(dir: &Path, finding: impl Into<String>) -> Self {
        Self::Damaged {
            dir: dir.to_owned(),
            finding: finding.into(),
        }
    }

    /// What a process that cannot go on without its store exits with (sysexits.h): 78 when somebody must repair something,
    /// 75 when trying again later can help, 74 when the disk or its permissions are at fault.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } | Self::NewerSchema { .. } => 78,
            Self::Locked { .. } => 75,
            Self::Io { .. } => 74,
        }
    }

    /// What to do, with the command to do it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Locked {
                holder: Some(pid), ..
            } => format!("stop process {pid} first, or use another directory"),
            Self::Locked { holder: None, .. } => {
                "stop the other process first, or use another directory".into()
            }
            Self::NewerSchema { .. } => {
                "start the version that wrote it, or a newer one; going back needs a backup made before"
                    .into()
            }
            Self::Damaged { dir, .. } => {
                let dir = dir.display();
                format!(
                    "put a copy made while the hub was stopped in its place: \
                     mv '{dir}' '{dir}.damaged' && cp -a BACKUP '{dir}'; without a copy, the mv alone lets the hub start empty, \
                     which changes nothing in any cluster"
                )
            }
            Self::Io { path, .. } => {
                format!("check the permissions and the free space of {}", path.display())
            }
        }
    }
}
