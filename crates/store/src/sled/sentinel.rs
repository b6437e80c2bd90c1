//! A small file beside the database that says: a store was here, this one, and it had come this far.
//!
//! sled takes an emptied or zeroed database for a new one, and a truncated one for an older one; the sentinel knows better.
//! It is written after each durable commit, without waiting for the disk (now and then, and at the end, with): it may say
//! less than the database holds, never more. Two lines are written in turn, so that a torn write leaves the other.
//!
//! A second one, the witness, may lie outside the store's directory: then a directory that was put back as a whole is found out too.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use berth_runtime::files::{self, Readable};

use super::{SledOptions, error::OpenError, totals::Totals};

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
    witness: Option<File>,
    writes: u64,
    fsync: bool,
}

pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("SENTINEL")
}

/// What the sentinel and the witness say together: the further of the two.
pub(super) fn read(options: &SledOptions) -> Result<Said, OpenError> {
    let dir = &options.dir;
    let beside = match &options.witness {
        Some(path) => read_file(dir, path)?,
        None => Said::Nothing,
    };
    let damaged = |finding: String| Err(OpenError::damaged(dir, finding));
    match (read_file(dir, &path(dir))?, beside) {
        (said, Said::Nothing) | (said @ Said::Making(_), Said::Making(_)) => Ok(said),
        (Said::Nothing, Said::Making(totals)) => Ok(Said::Making(totals)),
        (Said::Nothing | Said::Making(_), Said::Open(witness)) => damaged(format!(
            "it is gone or was emptied, it had come to revision {}",
            witness.revision
        )),
        (Said::Open(totals), Said::Making(witness) | Said::Open(witness))
            if totals.incarnation != witness.incarnation =>
        {
            damaged(format!(
                "it is another store ({}, the one that was here is {})",
                totals.incarnation, witness.incarnation
            ))
        }
        (Said::Open(totals), Said::Open(witness)) if witness.revision > totals.revision => {
            Ok(Said::Open(witness))
        }
        (Said::Open(totals), _) => Ok(Said::Open(totals)),
    }
}

fn read_file(dir: &Path, path: &Path) -> Result<Said, OpenError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Said::Nothing),
        Err(source) => return Err(OpenError::io("read", path, source)),
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

/// A new one is there with its first line or not at all: an empty one is damage.
fn open_file(path: &Path, first: &str) -> Result<File, OpenError> {
    if !path.exists() {
        files::write(path, first, Readable::ByAll).map_err(|source| OpenError::io("write", path, source))?;
    }
    OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|source| OpenError::io("open", path, source))
}

fn line(totals: &Totals, state: &str) -> String {
    format!("{:<width$}\n", totals.to_line(state), width = LINE - 1)
}

impl Sentinel {
    /// Opens both files, and makes what is missing of them with this as its first line.
    pub(super) fn open(options: &SledOptions, totals: &Totals, state: &str) -> Result<Self, OpenError> {
        let first = line(totals, state);
        let open = |path: &Path| open_file(path, &first);
        Ok(Self {
            file: open(&path(&options.dir))?,
            witness: options.witness.as_deref().map(open).transpose()?,
            // A new file has its only line in the first place, which must not be written over.
            writes: 1,
            fsync: options.fsync,
        })
    }

    /// Writes the next line and sees it to the disk.
    pub(super) fn write_through(&mut self, totals: &Totals, state: &str) -> io::Result<()> {
        let fsync = self.fsync;
        // One after the other: the witness never says more than the sentinel does.
        self.put(
            totals,
            state,
            |file| if fsync { file.sync_data() } else { Ok(()) },
        )
    }

    /// Writes the next line.
    pub(super) fn write(&mut self, totals: &Totals) -> io::Result<()> {
        if self.writes.is_multiple_of(SYNC_EVERY) {
            return self.write_through(totals, "open");
        }
        self.put(totals, "open", |_| Ok(()))
    }

    fn put(
        &mut self,
        totals: &Totals,
        state: &str,
        then: impl Fn(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let line = line(totals, state);
        let slot = self.writes % 2;
        self.writes += 1;
        for file in self.files() {
            file.write_all_at(line.as_bytes(), slot * LINE as u64)?;
            then(file)?;
        }
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = &File> {
        [&self.file].into_iter().chain(&self.witness)
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
        let options = SledOptions::new(dir.path());
        assert_eq!(read(&options).unwrap(), Said::Nothing);
        let mut sentinel = Sentinel::open(&options, &totals(0), "making").unwrap();
        assert_eq!(read(&options).unwrap(), Said::Making(totals(0)));
        sentinel.write_through(&totals(0), "open").unwrap();
        assert_eq!(read(&options).unwrap(), Said::Open(totals(0)));
        for revision in [1, u64::MAX] {
            sentinel.write(&totals(revision)).unwrap();
        }
        assert_eq!(read(&options).unwrap(), Said::Open(totals(u64::MAX)));
        // Torn in the middle of the newer line.
        let mut bytes = std::fs::read(path(dir.path())).unwrap();
        assert_eq!(bytes.len(), 2 * LINE);
        bytes[LINE + 40..].fill(0);
        std::fs::write(path(dir.path()), &bytes).unwrap();
        assert_eq!(read(&options).unwrap(), Said::Open(totals(1)));
        std::fs::write(path(dir.path()), [0; 2 * LINE]).unwrap();
        assert!(matches!(read(&options), Err(OpenError::Damaged { .. })));
    }
}
