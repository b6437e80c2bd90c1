//! A store made from a snapshot: complete beside the place it goes to, then moved there, so that a restore that is cut short leaves
//! what was there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use berth_model::{Revision, Timestamp};
use bytes::Bytes;

use super::{
    SledOptions, copy,
    error::OpenError,
    lock::{DirLock, wait_until_released},
    open,
    totals::Totals,
};
use crate::{index::Slot, key::Key, snapshot::Snapshot};

/// How far above the snapshot's revision a restored store goes on: more than were ever handed out between the snapshot and the loss.
const GAP: u64 = 1 << 32;

/// Why nothing was restored. What was there is still there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store.
    #[error("there is a store in {}", dir.display())]
    Occupied {
        /// Where.
        dir: PathBuf,
    },
    /// The directory, or the store in it.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The revision the store goes on from.
    pub revision: Revision,
    /// What tells it from every other store, the one that was backed up included.
    pub incarnation: String,
    /// Where the store that was there is now.
    pub moved: Option<PathBuf>,
}

/// Makes a store from `snapshot`, with `marks` in place of entries of the same keys. Entries keep their revisions; the store's own is far
/// above them all. Blocks.
///
/// With `replace` a store that is there is moved to a name beside it that ends with the time `now`.
///
/// # Errors
/// [`RestoreError::Occupied`] when there is a store and it may not be replaced.
pub fn restore(
    snapshot: &Snapshot,
    options: &SledOptions,
    marks: &[(Key, Bytes)],
    replace: bool,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    let dir = &options.dir;
    let occupied = copy::exists(dir);
    let witnessed = options.witness.as_deref().is_some_and(Path::exists);
    if (occupied || witnessed) && !replace {
        return Err(RestoreError::Occupied { dir: dir.to_owned() });
    }
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let making = beside(dir, &format!("restoring-{}", uuid::Uuid::new_v4().simple()));
    let made = make(snapshot, &making, marks);
    let (revision, incarnation) = match made {
        Ok(made) => made,
        Err(error) => {
            // Half a store is of no use to anybody.
            let _ = fs::remove_dir_all(&making);
            return Err(error.into());
        }
    };
    let moved = put_in_place(
        &making,
        options,
        occupied.then(|| beside(dir, &format!("replaced-{stamp}"))),
    );
    match moved {
        Ok(moved) => Ok(Restored {
            revision,
            incarnation,
            moved,
        }),
        Err(error) => {
            let _ = fs::remove_dir_all(&making);
            Err(error.into())
        }
    }
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(what);
    dir.with_file_name(name)
}

fn make(snapshot: &Snapshot, dir: &Path, marks: &[(Key, Bytes)]) -> Result<(Revision, String), OpenError> {
    let options = SledOptions::new(dir);
    make_directory(dir)?;
    let _lock = DirLock::take(dir)?;
    let revision = Revision(snapshot.summary.revision.0 + GAP);
    let mut slots: BTreeMap<Key, Slot> = BTreeMap::new();
    for entry in &snapshot.entries {
        let slot = Slot {
            value: entry.value.clone(),
            revision: entry.revision,
            created: entry.created,
        };
        slots.insert(entry.key.clone(), slot);
    }
    for (key, value) in marks {
        let slot = Slot {
            value: value.clone(),
            revision,
            created: revision,
        };
        slots.insert(key.clone(), slot);
    }
    let incarnation = uuid::Uuid::new_v4().simple().to_string();
    let mut totals = Totals::of_nothing(incarnation.clone());
    totals.revision = revision;
    let (mut sentinel, loaded) = open::begin(&options, totals, slots)?;
    open::sync_directories(dir, true)?;
    let said = sentinel
        .write_through(&loaded.totals, "open")
        .and_then(|()| sentinel.write_through(&loaded.totals, "open"));
    said.map_err(|source| OpenError::io("write the sentinel in", dir, source))?;
    drop(loaded);
    wait_until_released(&open::sled_dir(dir).join("db"));
    open::sync_directories(dir, true)?;
    Ok((revision, incarnation))
}

fn make_directory(dir: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| OpenError::io("make the directory", dir, source))
}

fn put_in_place(
    made: &Path,
    options: &SledOptions,
    aside: Option<PathBuf>,
) -> Result<Option<PathBuf>, OpenError> {
    let dir = &options.dir;
    // It knows the store that goes; the one that comes makes it anew.
    let forget_witness = || match options
        .witness
        .as_deref()
        .map(|path| (path, fs::remove_file(path)))
    {
        Some((path, Err(source))) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(OpenError::io("remove", path, source))
        }
        _ => Ok(()),
    };
    let rename = |from: &Path, to: &Path| {
        fs::rename(from, to).map_err(|source| OpenError::io("move the store to", to, source))
    };
    if let Some(aside) = &aside {
        // Held until the move is done, so that no hub works on what is moved away.
        let _lock = DirLock::take(dir)?;
        forget_witness()?;
        rename(dir, aside)?;
    } else {
        forget_witness()?;
    }
    if let Err(error) = rename(made, dir) {
        if let Some(aside) = &aside {
            rename(aside, dir)?;
        }
        return Err(error);
    }
    if let Some(parent) = dir.parent().filter(|parent| *parent != Path::new("")) {
        let synced = File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(|source| OpenError::io("sync", parent, source))?;
    }
    Ok(aside)
}
