//! Opening: what the sentinel says, what sled says, and what the entries add up to must agree.
//!
//! Whatever does not is refused. A store is made only where the sentinel says that there never was one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use super::{
    SledOptions,
    error::OpenError,
    frame::{self, BadFrame, SCHEMA},
    lock::DirLock,
    sentinel::{self, Said, Sentinel},
    totals::Totals,
};
use crate::{
    index::{Index, SharedIndex, Slot},
    key::Key,
};

/// Where the totals lie in sled: no key of an entry starts with a zero byte.
pub(super) const TOTALS_KEY: &[u8] = b"\0totals";

/// An open store, for the writer.
pub(super) struct Opened {
    pub(super) dir: PathBuf,
    pub(super) incarnation: String,
    pub(super) db: sled::Db,
    pub(super) index: SharedIndex,
    pub(super) totals: Totals,
    pub(super) sentinel: Sentinel,
    /// What to sync after each flush; none when that is not wanted.
    pub(super) data: Option<File>,
    pub(super) lock: DirLock,
}

pub(super) fn sled_dir(dir: &Path) -> PathBuf {
    dir.join("sled")
}

pub(super) fn open(options: &SledOptions) -> Result<Opened, OpenError> {
    let dir = &options.dir;
    fs::create_dir_all(dir).map_err(|source| OpenError::io("make the directory", dir, source))?;
    let lock = DirLock::take(dir)?;
    let said = sentinel::read(dir)?;
    let mut sentinel = Sentinel::open(dir, options.fsync)?;
    let (db, totals, slots) = match said {
        Said::Open(known) => open_existing(options, &known)?,
        Said::Nothing if has_files(&sled_dir(dir))? => {
            return Err(OpenError::damaged(dir, "it has a database but no sentinel"));
        }
        Said::Nothing => make(options, &mut sentinel, uuid::Uuid::new_v4().simple().to_string())?,
        Said::Making(totals) => make(options, &mut sentinel, totals.incarnation)?,
    };
    // Both lines say the truth from here on, whichever was the older one.
    for _ in 0..2 {
        sentinel
            .write_through(&totals, "open")
            .map_err(|source| OpenError::io("write", &sentinel::path(dir), source))?;
    }
    let data = options.fsync.then(|| open_data(dir)).transpose()?;
    sync_directories(dir, options.fsync)?;
    Ok(Opened {
        dir: dir.clone(),
        incarnation: totals.incarnation.clone(),
        db,
        index: SharedIndex::new(Index::new(slots, totals.revision)),
        totals,
        sentinel,
        data,
        lock,
    })
}

type Loaded = (sled::Db, Totals, BTreeMap<Key, Slot>);

/// Makes a new store where nothing was acknowledged yet.
fn make(options: &SledOptions, sentinel: &mut Sentinel, incarnation: String) -> Result<Loaded, OpenError> {
    let dir = &options.dir;
    let totals = Totals::of_nothing(incarnation);
    sentinel
        .write_through(&totals, "making")
        .map_err(|source| OpenError::io("write", &sentinel::path(dir), source))?;
    sync_directories(dir, options.fsync)?;
    let path = sled_dir(dir);
    if path.exists() {
        // Left by an attempt that ended before it acknowledged anything.
        fs::remove_dir_all(&path).map_err(|source| OpenError::io("remove", &path, source))?;
    }
    let db = guarded(dir, || {
        let db = open_sled(options)?;
        db.insert(TOTALS_KEY, totals.to_line("open").as_bytes())?;
        db.flush()?;
        Ok(db)
    })?;
    if options.fsync {
        open_data(dir)?
            .sync_all()
            .map_err(|source| OpenError::io("sync", &path, source))?;
    }
    Ok((db, totals, BTreeMap::new()))
}

fn open_existing(options: &SledOptions, known: &Totals) -> Result<Loaded, OpenError> {
    let dir = &options.dir;
    check_schema(dir, known.schema)?;
    if !sled_dir(dir).join("db").is_file() {
        return Err(OpenError::damaged(
            dir,
            format!("its database is gone, it had come to revision {}", known.revision),
        ));
    }
    // One entry after the other: a second copy of everything would be the most memory the hub ever needs.
    let (db, read) = guarded(dir, || {
        let db = open_sled(options)?;
        let mut read = Ok(Contents::of(&known.incarnation));
        for item in db.iter() {
            let (key, value) = item?;
            read = read.and_then(|contents| contents.with(dir, &key, &value));
        }
        Ok((db, read))
    })?;
    let Contents {
        slots,
        counted,
        written,
    } = read?;
    let Some(written) = written else {
        let finding = format!(
            "its database holds {} entries and no totals, it had come to revision {}",
            counted.count, known.revision
        );
        return Err(OpenError::damaged(dir, finding));
    };
    check_schema(dir, written.schema)?;
    compare(&written, &counted, known).map_err(|finding| OpenError::damaged(dir, finding))?;
    Ok((db, written, slots))
}

/// What was read so far.
struct Contents {
    slots: BTreeMap<Key, Slot>,
    /// What the entries add up to.
    counted: Totals,
    /// What was written down with the last commit.
    written: Option<Totals>,
}

impl Contents {
    fn of(incarnation: &str) -> Self {
        Self {
            slots: BTreeMap::new(),
            counted: Totals::of_nothing(incarnation.to_owned()),
            written: None,
        }
    }

    fn with(mut self, dir: &Path, key: &[u8], value: &[u8]) -> Result<Self, OpenError> {
        if key == TOTALS_KEY {
            self.written = std::str::from_utf8(value)
                .ok()
                .and_then(Totals::from_line)
                .map(|(totals, _)| totals);
            return Ok(self);
        }
        let (key, slot) = read_entry(dir, key, value)?;
        self.counted.add(&key, &slot);
        self.slots.insert(key, slot);
        Ok(self)
    }
}

fn read_entry(dir: &Path, key: &[u8], value: &[u8]) -> Result<(Key, Slot), OpenError> {
    let name = String::from_utf8_lossy(key);
    let slot = frame::decode(key, value).map_err(|bad| match bad {
        BadFrame::Newer(found) => newer(dir, found),
        BadFrame::Damaged(finding) => OpenError::damaged(dir, format!("value of {name:?} {finding}")),
    })?;
    let key = Key::new(&*name).map_err(|error| OpenError::damaged(dir, error.to_string()))?;
    Ok((key, slot))
}

/// Holds what was written with the last commit against what is there, and against what the sentinel knows.
fn compare(written: &Totals, counted: &Totals, known: &Totals) -> Result<(), String> {
    if written.incarnation != known.incarnation {
        return Err(format!(
            "its database is of another store ({}, the sentinel knows {})",
            written.incarnation, known.incarnation
        ));
    }
    if (written.count, written.digest) != (counted.count, counted.digest) {
        return Err(format!(
            "its entries do not add up: {} were written up to revision {}, {} are there",
            written.count, written.revision, counted.count
        ));
    }
    if written.revision < known.revision {
        return Err(format!(
            "its database went back to revision {}, it had come to {}",
            written.revision, known.revision
        ));
    }
    if written.revision == known.revision && written != known {
        return Err(format!(
            "its database holds something else than was written at revision {}",
            known.revision
        ));
    }
    Ok(())
}

fn check_schema(dir: &Path, found: u16) -> Result<(), OpenError> {
    if found > SCHEMA {
        Err(newer(dir, found))
    } else {
        Ok(())
    }
}

fn newer(dir: &Path, found: u16) -> OpenError {
    OpenError::NewerSchema {
        dir: dir.to_owned(),
        found,
        supported: SCHEMA,
    }
}

fn open_sled(options: &SledOptions) -> sled::Result<sled::Db> {
    sled::Config::new()
        .path(sled_dir(&options.dir))
        .cache_capacity(options.cache_bytes)
        // The writer flushes; a flusher of sled's own would only get in its way.
        .flush_every_ms(None)
        .open()
}

/// sled panics as often as it reports damage: both become the same refusal.
fn guarded<T>(dir: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, OpenError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        // The operating system said no; what sled makes up itself is about what it read.
        Ok(Err(sled::Error::Io(source))) if source.raw_os_error().is_some() => {
            Err(OpenError::io("open the database in", dir, source))
        }
        Ok(Err(error)) => Err(OpenError::damaged(
            dir,
            format!("its database cannot be read: {error}"),
        )),
        Err(_) => Err(OpenError::damaged(dir, "reading its database panicked")),
    }
}

fn has_files(path: &Path) -> Result<bool, OpenError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OpenError::io("read", path, source)),
    }
}

fn open_data(dir: &Path) -> Result<File, OpenError> {
    let path = sled_dir(dir).join("db");
    File::options()
        .write(true)
        .open(&path)
        .map_err(|source| OpenError::io("open", &path, source))
}

/// Makes new files of the store findable after a power cut.
fn sync_directories(dir: &Path, fsync: bool) -> Result<(), OpenError> {
    let sled = sled_dir(dir);
    for path in [dir, &sled] {
        if fsync && path.exists() {
            File::open(path)
                .and_then(|directory| directory.sync_all())
                .map_err(|source| OpenError::io("sync", path, source))?;
        }
    }
    Ok(())
}
