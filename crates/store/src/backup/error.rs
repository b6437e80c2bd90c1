//! Why there is no backup, or why one is of no use.

use crate::{error::StoreError, snapshot::SnapshotError};

/// Why there is no backup, or why one is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The location is none.
    #[error("{location:?} is no place for backups: {problem}")]
    Location {
        /// What was given.
        location: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The place does not do what it is asked.
    #[error("{operation} {name} at {place}")]
    Place {
        /// What was tried.
        operation: &'static str,
        /// With what.
        name: String,
        /// Where.
        place: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no backup, or none that goes so far back.
    #[error("there is no backup at {place}{}", if wanted.is_empty() { String::new() } else { format!(" of {wanted}") })]
    None {
        /// Where.
        place: String,
        /// What was asked for; empty for any.
        wanted: String,
    },
    /// A chain is not what its manifest says.
    #[error("the backup {chain} is damaged: {finding}")]
    Damaged {
        /// Its name.
        chain: String,
        /// What is wrong with it.
        finding: String,
    },
    /// A newer Berth wrote it.
    #[error("the backup {chain} has format {found}, this version reads up to {supported}")]
    Newer {
        /// Its name.
        chain: String,
        /// Its format.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// The store cannot be read.
    #[error("read the store for a backup")]
    Store(#[from] StoreError),
    /// There is no snapshot of the store.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl BackupError {
    pub(super) fn damaged(chain: &str, finding: impl Into<String>) -> Self {
        Self::Damaged {
            chain: chain.to_owned(),
            finding: finding.into(),
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Location { .. } => {
                "name a directory, file:///DIR or s3://BUCKET/PREFIX?endpoint=URL&region=NAME"
            }
            Self::Place { .. } => "check that it is there, can be reached, and may be read and written",
            Self::None { .. } => "look with `berth store verify --from PLACE` what there is",
            Self::Damaged { .. } => {
                "take an older one with --at; `berth store verify --from PLACE` says which are whole"
            }
            Self::Newer { .. } => "use the version that wrote it, or a newer one",
            Self::Store(_) => "see that the store answers, then try again",
            Self::Snapshot(error) => error.hint(),
        }
    }
}
