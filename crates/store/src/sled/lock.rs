//! One process at a time: an advisory lock on a file that names its holder. The kernel lets go of it when the holder ends,
//! however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
    time::Duration,
};

use super::error::OpenError;

/// The lock, held until dropped.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join("LOCK");
        let fail = |operation| {
            let path = path.clone();
            move |source| OpenError::Io {
                operation,
                path,
                source,
            }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(OpenError::Locked {
                    dir: dir.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(fail("lock")(source)),
        }
        file.set_len(0).map_err(fail("empty"))?;
        file.rewind().map_err(fail("rewind"))?;
        writeln!(file, "{}", std::process::id()).map_err(fail("write"))?;
        Ok(Self { _file: file })
    }
}

/// How long sled's own threads may hold on to a database that was let go: 1,000 looks, 5 ms apart.
const LOOKS: u32 = 1000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Returns when sled has let go of its database, which its threads do some time after the last handle is dropped; until
/// then nobody can open it again and a copy of it may not be whole. Gives up after five seconds and says so.
pub(super) fn wait_until_released(database: &Path) -> bool {
    for _ in 0..LOOKS {
        // Opened anew each time, and closed at once: a lock held here would be in sled's way.
        match File::open(database).map(|file| file.try_lock()) {
            Ok(Err(TryLockError::WouldBlock)) => std::thread::sleep(BETWEEN_LOOKS),
            Ok(_) | Err(_) => return true,
        }
    }
    false
}
