//! Opening: what the sentinel says, what sled says, and what the entries add up to must agree.
//!
//! Whatever does not is refused. A store is made only where the sentinel says that there never was one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use berth_runtime::files;

use super::{
    SledOptions,
    chain::{Chain, Link},
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
    pub(super) options: SledOptions,
    pub(super) incarnation: String,
    pub(super) db: sled::Db,
    pub(super) index: SharedIndex,
    pub(super) totals: Totals,
    /// The last commit.
    pub(super) last: Link,
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
    files::make_dir(dir).map_err(|source| OpenError::io("make the directory", dir, source))?;
    let lock = DirLock::take(dir)?;
    let said = sentinel::read(options)?;
    let (mut sentinel, loaded) = match said {
        Said::Open(known) => {
            let loaded = open_existing(options, &known)?;
            (Sentinel::open(options, &loaded.totals, "open")?, loaded)
        }
        Said::Nothing if has_files(&sled_dir(dir))? => {
            return Err(OpenError::damaged(dir, "it has a database but no sentinel"));
        }
        Said::Nothing => make(options, uuid::Uuid::new_v4().simple().to_string())?,
        Said::Making(totals) => make(options, totals.incarnation)?,
    };
    let Loaded {
        db,
        totals,
        last,
        slots,
    } = loaded;
    let data = options.fsync.then(|| open_data(dir)).transpose()?;
    // Before anybody says that it is there.
    sync_directories(dir, options.fsync)?;
    // Both lines say the truth from here on, whichever was the older one.
    for _ in 0..2 {
        let path = sentinel::path(dir);
        files::step("say open in", &path, || sentinel.write_through(&totals, "open"))
            .map_err(|source| OpenError::io("write", &path, source))?;
    }
    Ok(Opened {
        options: options.clone(),
        incarnation: totals.incarnation.clone(),
        db,
        index: SharedIndex::new(Index::new(slots, totals.revision)),
        totals,
        last,
        sentinel,
        data,
        lock,
    })
}

/// A database that was opened and found good.
pub(super) struct Loaded {
    pub(super) db: sled::Db,
    pub(super) totals: Totals,
    pub(super) last: Link,
    pub(super) slots: BTreeMap<Key, Slot>,
}

/// Makes a new store where nothing was acknowledged yet.
fn make(options: &SledOptions, incarnation: String) -> Result<(Sentinel, Loaded), OpenError> {
    begin(options, Totals::of_nothing(incarnation), BTreeMap::new())
}

/// Makes a store that holds `slots`, in the directory of one that has acknowledged nothing yet.
pub(super) fn begin(
    options: &SledOptions,
    mut totals: Totals,
    slots: BTreeMap<Key, Slot>,
) -> Result<(Sentinel, Loaded), OpenError> {
    let dir = &options.dir;
    let nothing = Totals::of_nothing(totals.incarnation.clone());
    let sentinel = Sentinel::open(options, &nothing, "making")?;
    let path = sled_dir(dir);
    if path.exists() {
        // Left by an attempt that ended before it acknowledged anything.
        files::step("remove", &path, || fs::remove_dir_all(&path))
            .map_err(|source| OpenError::io("remove", &path, source))?;
    }
    for (key, slot) in &slots {
        totals.add(key, slot);
    }
    let last = totals.begin_chain();
    let fill = || {
        let db = open_sled(options)?;
        for (key, slot) in &slots {
            let key = key.as_str().as_bytes();
            db.insert(key, &frame::encode(key, slot)[..])?;
        }
        write_totals(&db, &totals, &last)?;
        db.flush()?;
        Ok(db)
    };
    let db = files::step("fill", &path, || guarded(dir, fill))?;
    sync_data(options)?;
    let loaded = Loaded {
        db,
        totals,
        last,
        slots,
    };
    Ok((sentinel, loaded))
}

fn write_totals(db: &sled::Db, totals: &Totals, last: &Link) -> sled::Result<()> {
    let mut batch = sled::Batch::default();
    put_totals(&mut batch, totals, last);
    db.apply_batch(batch)
}

/// Adds to a commit what it comes to.
pub(super) fn put_totals(batch: &mut sled::Batch, totals: &Totals, last: &Link) {
    batch.insert(last.place(), last.to_line().as_bytes());
    batch.insert(TOTALS_KEY, totals.to_line("open").as_bytes());
}

fn sync_data(options: &SledOptions) -> Result<(), OpenError> {
    if !options.fsync {
        return Ok(());
    }
    open_data(&options.dir)?
        .sync_all()
        .map_err(|source| OpenError::io("sync", &sled_dir(&options.dir), source))
}

/// Opens what is there and holds it against what is known of it.
pub(super) fn open_existing(options: &SledOptions, known: &Totals) -> Result<Loaded, OpenError> {
    let dir = &options.dir;
    check_schema(dir, known.schema)?;
    if !sled_dir(dir).join("db").is_file() {
        return Err(OpenError::damaged(
            dir,
            format!("its database is gone, it had come to revision {}", known.revision),
        ));
    }
    remove_unfinished(dir)?;
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
        chain,
    } = read?;
    let damaged = |finding: String| OpenError::damaged(dir, finding);
    let Some(mut written) = written else {
        return Err(damaged(format!(
            "its database holds {} entries and no totals, it had come to revision {}",
            counted.count, known.revision
        )));
    };
    check_schema(dir, written.schema)?;
    compare(&written, &counted, known).map_err(damaged)?;
    let last = if written.schema >= 2 {
        compare_chain(&chain, &written, known).map_err(damaged)?
    } else {
        let last = written.begin_chain();
        guarded(dir, || {
            write_totals(&db, &written, &last)?;
            db.flush().map(drop)
        })?;
        sync_data(options)?;
        tracing::info!(dir = %dir.display(), schema = SCHEMA, "brought an older store up to date");
        last
    };
    Ok(Loaded {
        db,
        totals: written,
        last,
        slots,
    })
}

/// What was read so far.
struct Contents {
    slots: BTreeMap<Key, Slot>,
    /// What the entries add up to.
    counted: Totals,
    /// What was written down with the last commit.
    written: Option<Totals>,
    chain: Chain,
}

impl Contents {
    fn of(incarnation: &str) -> Self {
        Self {
            slots: BTreeMap::new(),
            counted: Totals::of_nothing(incarnation.to_owned()),
            written: None,
            chain: Chain::default(),
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
        if Chain::has(key) {
            let added = self.chain.add(key, value);
            added.map_err(|finding| OpenError::damaged(dir, finding))?;
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
    if written.schema < known.schema {
        return Err(format!(
            "its database went back to schema {}, it had come to {}",
            written.schema, known.schema
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
    if written.revision == known.revision && (written.count, written.digest) != (known.count, known.digest) {
        return Err(format!(
            "its database holds something else than was written at revision {}",
            known.revision
        ));
    }
    Ok(())
}

/// Whether the database comes from where the sentinel last saw it. The last commit, if so.
fn compare_chain(chain: &Chain, written: &Totals, known: &Totals) -> Result<Link, String> {
    let last = chain.checked()?;
    if (last.revision, last.name()) != (written.revision, written.chain) {
        return Err(format!(
            "its last commit came to revision {}, its totals say {}",
            last.revision, written.revision
        ));
    }
    // A sentinel of schema 1 knows of no chain: the store was brought up to date and the sentinel was not, yet.
    if known.schema >= 2 && !chain.holds(known.revision, known.chain) {
        return Err(format!(
            "its database does not come from what was written at revision {}: it was rolled back or replaced, and written to since",
            known.revision
        ));
    }
    Ok(last)
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

/// sled writes an index of its log when it opens, to a file that it renames when it is whole. A process that is killed meanwhile, and a disk
/// that is full, leave half of one, which sled takes for the newest index the next time, and for damage.
fn remove_unfinished(dir: &Path) -> Result<(), OpenError> {
    let path = sled_dir(dir);
    let entries = fs::read_dir(&path).map_err(|source| OpenError::io("read", &path, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| OpenError::io("read", &path, source))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            let path = entry.path();
            fs::remove_file(&path).map_err(|source| OpenError::io("remove", &path, source))?;
        }
    }
    Ok(())
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

pub(super) fn open_data(dir: &Path) -> Result<File, OpenError> {
    let path = sled_dir(dir).join("db");
    File::options()
        .write(true)
        .open(&path)
        .map_err(|source| OpenError::io("open", &path, source))
}

/// Makes new files of the store findable after a power cut.
pub(super) fn sync_directories(dir: &Path, fsync: bool) -> Result<(), OpenError> {
    let sled = sled_dir(dir);
    for path in [dir, &sled] {
        if fsync && path.exists() {
            files::sync_dir(path).map_err(|source| OpenError::io("sync", path, source))?;
        }
    }
    Ok(())
}
