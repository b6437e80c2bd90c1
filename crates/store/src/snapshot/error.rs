//! Why there is no snapshot, or why one is of no use.

use crate::{error::StoreError, key::Key};

/// Why there is no snapshot, or why one is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store did not do what it was asked.
    #[error("{operation} the store")]
    Store {
        /// What was asked.
        operation: &'static str,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The store changes faster than it can be read.
    #[error("the store changes faster than it can be read")]
    Busy,
    /// The file cannot be written.
    #[error("write the snapshot")]
    Write(#[source] std::io::Error),
    /// The file cannot be read.
    #[error("read the snapshot")]
    Read(#[source] std::io::Error),
    /// The file is something else than a whole snapshot.
    #[error("the snapshot is damaged: {finding}")]
    Damaged {
        /// What is wrong.
        finding: String,
    },
    /// A newer Berth wrote it.
    #[error("the snapshot has {what} {found}, this version reads up to {supported}")]
    Newer {
        /// Its `format` or its store's `schema`.
        what: &'static str,
        /// The snapshot's.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// It is to be restored into a store that holds something.
    #[error("the store to restore into is not empty: it has {found}")]
    NotEmpty {
        /// A key that is there.
        found: Key,
    },
}

impl SnapshotError {
    pub(crate) fn store(operation: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |source| Self::Store { operation, source }
    }

    pub(crate) fn damaged(finding: impl Into<String>) -> Self {
        Self::Damaged {
            finding: finding.into(),
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Store { .. } => "see that the store answers, then try again",
            Self::Busy => "try again when fewer changes are made",
            Self::Write(_) => "check the free space and the permissions of where it is written",
            Self::Read(_) => "check that it is there and may be read",
            Self::Damaged { .. } => {
                "use another snapshot; `berth store verify --from PATH` says which are whole"
            }
            Self::Newer { .. } => "use the version that wrote it, or a newer one",
            Self::NotEmpty { .. } => {
                "name another prefix; or, when nothing of it is wanted, stop its hubs and empty it with `etcdctl del --prefix`"
            }
        }
    }
}
