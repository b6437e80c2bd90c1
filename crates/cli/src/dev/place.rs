//! Where a `berth dev` keeps everything: a directory the user named, or a temporary one.

use std::path::{Path, PathBuf};

use super::progress::Progress;
use crate::exit::{Exit, Failure};

/// The directory of one run.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    kept: bool,
}

impl Place {
    /// Makes or finds it.
    pub(super) fn open(named: Option<PathBuf>) -> Result<Self, Failure> {
        let kept = named.is_some();
        let dir =
            named.unwrap_or_else(|| std::env::temp_dir().join(format!("berth-dev-{}", std::process::id())));
        let wrong = |error: std::io::Error| {
            Failure::new(Exit::Failure, format!("use directory {}: {error}", dir.display()))
        };
        std::fs::create_dir_all(&dir).map_err(wrong)?;
        let dir = dir.canonicalize().map_err(wrong)?;
        Ok(Self { dir, kept })
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether the next run continues here.
    pub(super) const fn is_kept(&self) -> bool {
        self.kept
    }

    /// Removes a temporary one.
    pub(super) fn close(&self, progress: &Progress) {
        if self.kept {
            progress.say(&format!(
                "kept in {}; the same command continues from it",
                self.dir.display()
            ));
        } else if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            progress.say(&format!("{} could not be removed: {error}", self.dir.display()));
        }
    }
}
