//! How much room the disk has: a write is refused while it is safe to refuse, before the database runs out in the middle of one.

use std::{io, path::PathBuf};

/// Where to look, and how much to leave.
#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) dir: PathBuf,
    pub(super) reserve: u64,
}

impl Room {
    /// Why `bytes` more should not be written; none when they may.
    pub(super) fn lacking(&self, bytes: u64) -> Option<String> {
        if self.reserve == 0 {
            return None;
        }
        let stat = match rustix::fs::statvfs(&self.dir) {
            Ok(stat) => stat,
            // The write itself will say what is wrong.
            Err(_) => return None,
        };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        (free < self.reserve.saturating_add(bytes)).then(|| {
            format!(
                "{} MiB are free where {} is, {} MiB are kept in reserve; free some, writing goes on by itself",
                free >> 20,
                self.dir.display(),
                self.reserve >> 20
            )
        })
    }
}

/// Whether an error says that the disk, or the share of it that may be used, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
