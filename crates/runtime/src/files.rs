//! Files that are there whole or not at all, also after a power cut: what is written is synced before it is named, and its directory after.
//!
//! Every step is a point at which tests make the process die (feature `failpoints`).

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readable {
    /// Its owner: 0600.
    ByOwner,
    /// Everybody: 0644.
    ByAll,
}

/// Makes a directory with those above it, each for its owner alone when it is new.
///
/// # Errors
/// One of them cannot be made, or cannot be seen to the disk.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        // Whoever made it may have died before it was on the disk. Where it was given to us, what is above may not be ours to open.
        let _ = sync_dir(above(dir));
        return Ok(());
    }
    let parent = above(dir);
    if parent != dir {
        make_dir(parent)?;
    }
    step("make directory", dir, || {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            made => made,
        }
    })?;
    sync_dir(parent)
}

/// Writes through a neighbour, so that a crash leaves the old file or the new one.
///
/// # Errors
/// It cannot be written or cannot be seen to the disk. The old one may be there then, or the new one.
pub fn write(path: &Path, content: impl AsRef<[u8]>, readable: Readable) -> io::Result<()> {
    let mode = match readable {
        Readable::ByOwner => 0o600,
        Readable::ByAll => 0o644,
    };
    let neighbour = neighbour(path);
    step("write", &neighbour, || {
        unlink(&neighbour)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&neighbour)?;
        file.write_all(content.as_ref())?;
        file.sync_all()
    })?;
    step("rename to", path, || fs::rename(&neighbour, path))?;
    sync_dir(above(path))
}

/// The file's text, or `None` where there is no file.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the file for good; what is not there is removed.
///
/// # Errors
/// It cannot be removed, or that cannot be seen to the disk.
pub fn remove(path: &Path) -> io::Result<()> {
    step("remove", path, || unlink(path))?;
    sync_dir(above(path))
}

/// Sees to the disk which files are in a directory.
///
/// # Errors
/// It cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    step("sync directory", dir, || File::open(dir)?.sync_all())
}

/// Does what outlives the process, with a point before and one after it.
pub fn step<T>(what: &str, path: &Path, act: impl FnOnce() -> T) -> T {
    #[cfg(not(feature = "failpoints"))]
    let _ = (what, path);
    #[cfg(feature = "failpoints")]
    let name = path.file_name().unwrap_or(path.as_os_str()).display();
    #[cfg(feature = "failpoints")]
    crate::failpoint::pass(|| format!("before file: {what} {name}"));
    let done = act();
    #[cfg(feature = "failpoints")]
    crate::failpoint::pass(|| format!("after file: {what} {name}"));
    done
}

/// Where a file is written before it takes its name.
fn neighbour(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// The directory that something is in.
fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_written_whole_for_whom_it_is_for_and_leaves_no_neighbour() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        make_dir(&below).unwrap();
        make_dir(&below).unwrap();
        assert_eq!(mode(&below), 0o700);
        let (key, public) = (below.join("one.key"), below.join("one.pub"));
        // What a process left that died while it wrote.
        fs::write(neighbour(&key), "half of a").unwrap();
        write(&key, "secret", Readable::ByOwner).unwrap();
        write(&key, "another", Readable::ByOwner).unwrap();
        write(&public, "open", Readable::ByAll).unwrap();
        assert_eq!((mode(&key), mode(&public)), (0o600, 0o644));
        assert_eq!(read(&key).unwrap().as_deref(), Some("another"));
        assert_eq!(fs::read_dir(&below).unwrap().count(), 2);
        remove(&key).unwrap();
        remove(&key).unwrap();
        assert_eq!(read(&key).unwrap(), None);
    }

    #[test]
    fn what_is_in_the_way_of_a_directory_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(make_dir(&file.join("below")).is_err());
        assert!(make_dir(&file).is_err());
        assert_eq!(above(Path::new("relative")), Path::new("."));
    }
}
