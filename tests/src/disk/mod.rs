//! A disk that can lose power: a file system in memory, mounted by FUSE, which knows of each file and each directory what of it was
//! synced, and forgets the rest when it is told to. Mounting takes root.
//!
//! It is as unkind as POSIX lets a file system be. A file's content is safe once the file was synced, its name once its directory was;
//! neither brings the other along, and no order holds between what was not synced.

mod calls;
mod nodes;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use fuser::{BackgroundSession, Config, MountOption};

use self::{calls::Calls, nodes::Nodes};

/// What of the things that were not synced is on the disk all the same when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Luck {
    /// Nothing.
    None,
    /// All names, and no content.
    Names,
    /// What the seed says, one thing at a time.
    Some(u64),
}

/// A mounted disk. Dropping it unmounts it.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    nodes: Arc<Mutex<Nodes>>,
    _session: BackgroundSession,
}

impl Disk {
    /// Mounts an empty disk in a directory that is there.
    ///
    /// # Errors
    /// This process may not mount.
    pub fn mount(at: &Path) -> anyhow::Result<Self> {
        let nodes = Arc::new(Mutex::new(Nodes::default()));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("berth-test-disk".to_owned())];
        let session = fuser::spawn_mount(Calls(nodes.clone()), at, &config)
            .with_context(|| format!("mount a disk in {}", at.display()))?;
        Ok(Self {
            path: at.to_owned(),
            nodes,
            _session: session,
        })
    }

    /// Whether this process may mount one: as root, where the kernel has FUSE and lets containers use it. Says so where it may not.
    #[must_use]
    pub fn is_possible() -> bool {
        let tried = tempfile::tempdir()
            .context("make a directory")
            .and_then(|at| Self::mount(at.path()).map(drop));
        if let Err(error) = &tried {
            eprintln!("no power is lost here, as no disk can be mounted: {error:#}");
        }
        tried.is_ok()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The power goes and comes back. Nobody may have a file open.
    pub fn lose_power(&self, luck: Luck) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.forget(luck);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write as _;

    use super::*;

    /// None where this process may not mount.
    fn disk() -> Option<(tempfile::TempDir, Disk)> {
        if !Disk::is_possible() {
            return None;
        }
        let at = tempfile::tempdir().expect("a directory");
        let disk = Disk::mount(at.path()).expect("a disk");
        Some((at, disk))
    }

    #[test]
    fn what_was_synced_is_there_after_the_power_went_and_nothing_else() {
        let Some((_at, disk)) = disk() else { return };
        let path = |name: &str| disk.path().join(name);
        let sync = |path: &Path| File::open(path).expect("open").sync_all().expect("sync");

        fs::write(path("named"), "content").expect("write");
        sync(disk.path());
        fs::write(path("content"), "content").expect("write");
        sync(&path("content"));
        fs::write(path("both"), "old").expect("write");
        sync(&path("both"));
        sync(disk.path());
        fs::write(path("both"), "new").expect("write");
        fs::create_dir(path("dir")).expect("make a directory");
        disk.lose_power(Luck::None);
        assert_eq!(fs::read_to_string(path("named")).expect("read"), "");
        assert_eq!(fs::read_to_string(path("content")).expect("read"), "content");
        assert_eq!(fs::read_to_string(path("both")).expect("read"), "old");
        assert!(!path("dir").exists());

        fs::write(path("new"), "new").expect("write");
        fs::rename(path("new"), path("both")).expect("rename");
        disk.lose_power(Luck::Names);
        assert_eq!(fs::read_to_string(path("both")).expect("read"), "");
        assert!(!path("new").exists());
    }

    #[test]
    fn it_is_a_file_system_while_there_is_power() {
        let Some((_at, disk)) = disk() else { return };
        let below = disk.path().join("a/b");
        fs::create_dir_all(&below).expect("make directories");
        let file = below.join("file");
        let mut out = File::options()
            .create(true)
            .append(true)
            .open(&file)
            .expect("create");
        for line in ["one\n", "two\n"] {
            out.write_all(line.as_bytes()).expect("append");
        }
        out.set_len(6).expect("cut off");
        out.write_all(b"w").expect("append");
        assert_eq!(fs::read_to_string(&file).expect("read"), "one\ntww");
        assert!(fs::remove_dir(&below).is_err());
        let names: Vec<_> = fs::read_dir(&below)
            .expect("list")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["file"]);
        fs::remove_dir_all(disk.path().join("a")).expect("remove");
        assert!(!below.exists());
    }
}
