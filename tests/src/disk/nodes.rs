//! What is on the disk, and what of it was synced.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use fuser::Errno;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::Luck;

/// The root's number.
pub(super) const ROOT: u64 = 1;

/// What is in a file or in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Bytes.
    File(Vec<u8>),
    /// Names, each with the number of what it names.
    Directory(BTreeMap<OsString, u64>),
}

impl Content {
    /// Nothing, of the same kind.
    const fn nothing(&self) -> Self {
        match self {
            Self::File(_) => Self::File(Vec::new()),
            Self::Directory(_) => Self::Directory(BTreeMap::new()),
        }
    }
}

/// A file or a directory.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) mode: u32,
    pub(super) now: Content,
    synced: Content,
}

/// All of them. Numbers are never used again.
#[derive(Debug)]
pub(super) struct Nodes {
    all: BTreeMap<u64, Node>,
    last: u64,
}

impl Default for Nodes {
    fn default() -> Self {
        let nothing = Content::Directory(BTreeMap::new());
        let root = Node {
            mode: 0o700,
            now: nothing.clone(),
            synced: nothing,
        };
        Self {
            all: BTreeMap::from([(ROOT, root)]),
            last: ROOT,
        }
    }
}

impl Nodes {
    pub(super) fn get(&self, number: u64) -> Result<&Node, Errno> {
        self.all.get(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Result<&mut Node, Errno> {
        self.all.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn names(&self, directory: u64) -> Result<&BTreeMap<OsString, u64>, Errno> {
        match &self.get(directory)?.now {
            Content::Directory(names) => Ok(names),
            Content::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn names_mut(&mut self, directory: u64) -> Result<&mut BTreeMap<OsString, u64>, Errno> {
        match &mut self.get_mut(directory)?.now {
            Content::Directory(names) => Ok(names),
            Content::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn bytes_mut(&mut self, file: u64) -> Result<&mut Vec<u8>, Errno> {
        match &mut self.get_mut(file)?.now {
            Content::File(bytes) => Ok(bytes),
            Content::Directory(_) => Err(Errno::EISDIR),
        }
    }

    pub(super) fn find(&self, directory: u64, name: &OsStr) -> Result<u64, Errno> {
        self.names(directory)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Makes what is not there yet.
    pub(super) fn make(
        &mut self,
        directory: u64,
        name: &OsStr,
        mode: u32,
        nothing: &Content,
    ) -> Result<u64, Errno> {
        if self.find(directory, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let number = self.last + 1;
        self.names_mut(directory)?.insert(name.to_owned(), number);
        self.last = number;
        let node = Node {
            mode: mode & 0o7777,
            now: nothing.nothing(),
            synced: nothing.nothing(),
        };
        self.all.insert(number, node);
        Ok(number)
    }

    /// Takes a name away; what it named stays for whoever has it open.
    pub(super) fn unname(&mut self, directory: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.find(directory, name)?;
        if self.names(number).is_ok_and(|names| !names.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.names_mut(directory)?.remove(name);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Errno> {
        let number = self.find(from.0, from.1)?;
        if self.find(to.0, to.1).is_ok() {
            self.unname(to.0, to.1)?;
        }
        self.names_mut(from.0)?.remove(from.1);
        self.names_mut(to.0)?.insert(to.1.to_owned(), number);
        Ok(())
    }

    pub(super) fn sync(&mut self, number: u64) -> Result<(), Errno> {
        let node = self.get_mut(number)?;
        node.synced = node.now.clone();
        Ok(())
    }

    /// The power goes.
    pub(super) fn forget(&mut self, luck: Luck) {
        let mut chance = match luck {
            Luck::Some(seed) => Some(StdRng::seed_from_u64(seed)),
            Luck::None | Luck::Names => None,
        };
        for node in self.all.values_mut().filter(|node| node.now != node.synced) {
            let lucky = match &mut chance {
                Some(chance) => chance.random_bool(0.5),
                None => luck == Luck::Names && matches!(node.now, Content::Directory(_)),
            };
            if lucky {
                node.synced = node.now.clone();
            } else {
                node.now = node.synced.clone();
            }
        }
    }
}
