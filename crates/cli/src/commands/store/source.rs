//! Backups as they are named on the command line.

use std::{path::Path, sync::Arc};

use berth_model::{Revision, Timestamp};
use berth_store::{
    backup::{self, Access, BackupError, Location, Place, Target},
    snapshot::{self, Snapshot, SnapshotError},
};

use super::access::{causes, of_store};
use crate::exit::{Exit, Failure};

/// Which moment is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// A revision.
    Revision(Revision),
    /// A time.
    Time(Timestamp),
}

/// Reads `--at`.
pub(super) fn at(text: &str) -> Result<At, String> {
    if let Ok(revision) = text.parse() {
        return Ok(At::Revision(Revision(revision)));
    }
    text.parse()
        .map(At::Time)
        .map_err(|_| format!("{text:?} is no revision and no time; write 1234 or 2026-11-21T10:00:00Z"))
}

/// Reads a backup: a file, or a place.
pub(super) async fn load(from: &str, at: Option<At>) -> Result<Snapshot, Failure> {
    if Path::new(from).is_file() {
        if at.is_some() {
            return Err(Failure::usage(
                "a file is of one moment: --at is for directories and buckets of backups",
            ));
        }
        return read(Path::new(from)).await;
    }
    let target = match at {
        None => Target::Newest,
        Some(At::Revision(revision)) => Target::Revision(revision),
        Some(At::Time(time)) => Target::Time(time),
    };
    let place = place(from)?;
    backup::load(place.as_ref(), target)
        .await
        .map_err(|error| of_backup(&error))
}

/// Reads a file.
pub(super) async fn read(path: &Path) -> Result<Snapshot, Failure> {
    let file = std::fs::File::open(path)
        .map_err(|error| Failure::new(Exit::NotFound, format!("open {}: {error}", path.display())))?;
    let read = tokio::task::spawn_blocking(move || snapshot::read(file)).await;
    let read = read.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    read.map_err(|error| of_snapshot(&path.display().to_string(), &error))
}

/// A directory or a bucket of backups.
pub(super) fn place(location: &str) -> Result<Arc<dyn Place>, Failure> {
    // What the tools of AWS read from the environment: keys, roles, regions.
    let access = Access::from_settings(
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    );
    let location: Location = location.parse().map_err(|error| of_backup(&error))?;
    if let Location::Directory(dir) = &location
        && !dir.is_dir()
    {
        return Err(Failure::new(
            Exit::NotFound,
            format!("there is no file and no directory {}", dir.display()),
        ));
    }
    location.open(&access).map_err(|error| of_backup(&error))
}

/// Why a backup is of no use, and what to do.
pub(super) fn of_backup(error: &BackupError) -> Failure {
    let exit = match error {
        BackupError::Location { .. } => Exit::Usage,
        BackupError::None { .. } => Exit::NotFound,
        BackupError::Damaged { .. } | BackupError::Newer { .. } => Exit::Damaged,
        BackupError::Snapshot(error) => return of_snapshot("the backup", error),
        BackupError::Place { .. } | BackupError::Store(_) => Exit::Failure,
    };
    Failure {
        exit,
        lines: vec![causes(error), error.hint().to_owned()],
    }
}

/// Why a snapshot is of no use, and what to do.
pub(super) fn of_snapshot(what: &str, error: &SnapshotError) -> Failure {
    let exit = match error {
        SnapshotError::Store { source, .. } => return of_store(what, source),
        SnapshotError::Damaged { .. } | SnapshotError::Newer { .. } => Exit::Damaged,
        SnapshotError::NotEmpty { .. } => Exit::Conflict,
        _ => Exit::Failure,
    };
    Failure {
        exit,
        lines: vec![format!("{what}: {}", causes(error)), error.hint().to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_revision_or_a_time() {
        assert_eq!(at("12"), Ok(At::Revision(Revision(12))));
        assert_eq!(
            at("2027-01-15T08:00:00Z"),
            Ok(At::Time(Timestamp::from_second(1_800_000_000).unwrap()))
        );
        for wrong in ["", "yesterday", "-1"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
