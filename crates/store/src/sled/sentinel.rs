//! A small file beside the database that says: a store was here, this one, and it had come this far.
//!
//! sled takes an emptied or zeroed database for a new one, and a truncated one for an older one; the sentinel knows better.
//! It is written after each durable commit, without waiting for the disk (now and then, and at the end, with): it may say
//! less than the database holds, never more. Two lines are written in turn, so that a torn write leaves the other.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{error::OpenError, totals::Totals};

const LINE: usize = 256;
/// How many writes go by between two that wait for the disk.
const SYNC_EVERY: u64 = 256;

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There is no such file.
    Nothing,
    /// A store was being made here and had acknowledged nothing yet.
    Making(Totals),
    /// A store is here.
    Open(Totals),
}

#[derive(Debug)]
pub(super) struct Sentinel {
    file: File,
    writes: u64,
    fsync: bool,
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("SENTINEL")
}

pub(super) fn read(dir: &Path) -> Result<Said, OpenError> {
    let path = path(dir);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Said::Nothing),
        Err(source) => return Err(OpenError::io("read", &path, source)),
    };
    let lines = bytes
        .chunks(LINE)
        .take(2)
        .filter_map(|line| Totals::from_line(std::str::from_utf8(line).ok()?));
    match lines.max_by_key(|(totals, state)| (totals.revision, *state == "open")) {
        None => Err(OpenError::damaged(
            dir,
            format!("{} cannot be read", path.display()),
        )),
        Some((totals, "making")) => Ok(Said::Making(totals)),
        Some((totals, _)) => Ok(Said::Open(totals)),
    }
}

impl Sentinel {
    pub(super) fn open(dir: &Path, fsync: bool) -> Result<Self, OpenError> {
        let path = path(dir);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| OpenError::io("open", &path, source))?;
        Ok(Self {
            file,
            writes: 0,
            fsync,
        })
    }

    /// Writes the next line and sees it to the disk.
    pub(super) fn write_through(&mut self, totals: &Totals, state: &str) -> io::Result<()> {
        self.put(totals, state)?;
        if self.fsync { self.file.sync_data() } else { Ok(()) }
    }

    /// Writes the next line.
    pub(super) fn write(&mut self, totals: &Totals) -> io::Result<()> {
        if self.writes.is_multiple_of(SYNC_EVERY) {
            return self.write_through(totals, "open");
        }
        self.put(totals, "open")
    }

    fn put(&mut self, totals: &Totals, state: &str) -> io::Result<()> {
        let line = format!("{:<width$}\n", totals.to_line(state), width = LINE - 1);
        let slot = self.writes % 2;
        self.writes += 1;
        self.file.write_all_at(line.as_bytes(), slot * LINE as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_model::Revision;

    fn totals(revision: u64) -> Totals {
        Totals {
            revision: Revision(revision),
            count: u64::MAX,
            digest: u128::MAX,
            chain: crate::sled::chain::Name(u128::MAX),
            ..Totals::of_nothing("f".repeat(32))
        }
    }

    #[test]
    fn the_newest_whole_line_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), Said::Nothing);
        let mut sentinel = Sentinel::open(dir.path(), false).unwrap();
        sentinel.write_through(&totals(0), "making").unwrap();
        assert_eq!(read(dir.path()).unwrap(), Said::Making(totals(0)));
        sentinel.write_through(&totals(0), "open").unwrap();
        assert_eq!(read(dir.path()).unwrap(), Said::Open(totals(0)));
        for revision in [1, u64::MAX] {
            sentinel.write(&totals(revision)).unwrap();
        }
        assert_eq!(read(dir.path()).unwrap(), Said::Open(totals(u64::MAX)));
        // Torn in the middle of the newer line.
        let mut bytes = std::fs::read(path(dir.path())).unwrap();
        assert_eq!(bytes.len(), 2 * LINE);
        bytes[LINE + 40..].fill(0);
        std::fs::write(path(dir.path()), &bytes).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Said::Open(totals(1)));
        std::fs::write(path(dir.path()), [0; 2 * LINE]).unwrap();
        assert!(matches!(read(dir.path()), Err(OpenError::Damaged { .. })));
    }
}
