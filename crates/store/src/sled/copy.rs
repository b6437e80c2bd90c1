//! Looking into a store without touching it: what is opened is a copy, so that a damaged store stays as it was found.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use berth_model::Revision;

use super::{
    SledOptions, SledStore,
    error::OpenError,
    lock::DirLock,
    sentinel::{self, Said},
};
use crate::{
    entry::{Listing, Page},
    index::Index,
    snapshot::shelf,
};

/// A copy of a store, open. It goes when this is dropped.
#[derive(Debug)]
pub struct StoreCopy {
    store: Option<SledStore>,
    dir: PathBuf,
    schema: u16,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The schema it was written with.
    pub schema: u16,
    /// What tells it from every other store.
    pub incarnation: String,
    /// The last acknowledged transaction.
    pub revision: Revision,
    /// How many entries it has.
    pub entries: u64,
    /// How many of them begin with what, up to the first `/`.
    pub shelves: BTreeMap<String, u64>,
    /// How long their values are together.
    pub value_bytes: u64,
}

/// Whether there is a store in `dir`, whole or not.
#[must_use]
pub fn exists(dir: &Path) -> bool {
    sentinel::path(dir).exists() || super::open::sled_dir(dir).exists()
}

impl StoreCopy {
    /// Copies the store to a new directory in `scratch` and opens that, under all checks. Blocks. Nobody may have the store open
    /// meanwhile.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when there is no store; [`OpenError`] as opening the store itself would have it, naming the original.
    pub fn open(original: &SledOptions, scratch: &Path) -> Result<Self, OpenError> {
        let dir = &original.dir;
        if !exists(dir) {
            return Err(OpenError::Missing { dir: dir.to_owned() });
        }
        let lock = DirLock::take(dir)?;
        let schema = match sentinel::read(original)? {
            Said::Open(totals) | Said::Making(totals) => totals.schema,
            Said::Nothing => 0,
        };
        let copy = scratch.join(format!("berth-store-{}", uuid::Uuid::new_v4().simple()));
        // Made first, so that what is copied goes with it, however this ends.
        let mut copied = Self {
            store: None,
            dir: copy,
            schema,
        };
        copy_files(dir, &copied.dir)?;
        let witness = copied.dir.join("witness");
        if let Some(original) = &original.witness
            && original.exists()
        {
            fs::copy(original, &witness).map_err(|source| OpenError::io("copy", original, source))?;
        }
        drop(lock);
        let options = SledOptions {
            witness: Some(witness),
            fsync: false,
            reserve_bytes: 0,
            ..SledOptions::new(&copied.dir)
        };
        copied.store = Some(SledStore::open(&options).map_err(|error| error.about(dir))?);
        Ok(copied)
    }

    /// The copy.
    ///
    /// # Errors
    /// When it was closed.
    pub fn store(&self) -> Result<&SledStore, crate::StoreError> {
        self.store.as_ref().ok_or(crate::StoreError::Closed)
    }

    /// What it holds.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let mut inventory = Inventory {
            schema: self.schema,
            incarnation: String::new(),
            revision: Revision::default(),
            entries: 0,
            shelves: BTreeMap::new(),
            value_bytes: 0,
        };
        let Some(store) = &self.store else {
            return inventory;
        };
        store.incarnation().clone_into(&mut inventory.incarnation);
        inventory.revision = store.inner.index.read(Index::revision);
        let mut page = Page::first();
        loop {
            let Listing { entries, more, .. } = store.inner.index.read(|index| index.list("", &page));
            for entry in &entries {
                inventory.entries += 1;
                inventory.value_bytes += entry.value.len() as u64;
                *inventory.shelves.entry(shelf(&entry.key).to_owned()).or_default() += 1;
            }
            match entries.into_iter().next_back() {
                Some(last) if more => page = Page::after(last.key),
                _ => return inventory,
            }
        }
    }
}

impl Drop for StoreCopy {
    fn drop(&mut self) {
        self.store = None;
        if let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %self.dir.display(), %error, "could not remove the copy of a store");
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), OpenError> {
    fs::create_dir(to).map_err(|source| OpenError::io("make the directory", to, source))?;
    let entries = fs::read_dir(from).map_err(|source| OpenError::io("read", from, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| OpenError::io("read", from, source))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_files(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(|source| OpenError::io("copy", &path, source))?;
        }
    }
    Ok(())
}
