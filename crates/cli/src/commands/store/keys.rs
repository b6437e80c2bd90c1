//! A hub's keys beside a backup of its store: encrypted on the way out, put back on the way in.

use std::path::{Path, PathBuf};

use berth_identity::key_backup::{self, KeyBackupError, Recipient};

use super::source::{of_backup, place};
use crate::exit::{Exit, Failure};

/// Encrypts the keys in a data directory.
pub(super) fn seal(dir: &Path, recipient: &str) -> Result<Vec<u8>, Failure> {
    let recipient: Recipient = recipient.parse().map_err(|error| failure(&error))?;
    key_backup::seal(dir, &recipient).map_err(|error| failure(&error))
}

/// Puts encrypted keys beside the backup at `to`; says where they are.
pub(super) async fn put(to: &str, sealed: Vec<u8>) -> Result<String, Failure> {
    if is_place(to) {
        let place = place(to)?;
        let put = place.put(key_backup::FILE, sealed.into()).await;
        put.map_err(|error| of_backup(&error))?;
        return Ok(format!("{} ({})", place.name(), key_backup::FILE));
    }
    let path = beside(to);
    write_new(&path, &sealed)
        .map_err(|error| Failure::new(Exit::Failure, format!("write {}: {error}", path.display())))?;
    Ok(path.display().to_string())
}

/// Puts the keys that are beside the backup at `from` into a data directory; says which files.
pub(super) async fn restore(from: &str, identity: &Path, data_dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| Failure {
            exit: Exit::NotFound,
            lines: vec![
                format!("read {}: {error}", path.display()),
                "the keys are there only when the backup was made with --recipient, or with backup.recipient"
                    .into(),
            ],
        })
    };
    let sealed = if is_place(from) {
        let place = place(from)?;
        let got = place
            .get(key_backup::FILE)
            .await
            .map_err(|error| of_backup(&error))?;
        got.ok_or_else(|| Failure {
            exit: Exit::NotFound,
            lines: vec![
                format!("there is no {} in {}", key_backup::FILE, place.name()),
                "it is there only when the hub has backup.recipient".into(),
            ],
        })?
        .to_vec()
    } else {
        read(&beside(from))?
    };
    let identity = std::fs::read_to_string(identity)
        .map_err(|error| Failure::new(Exit::NotFound, format!("read {}: {error}", identity.display())))?;
    key_backup::restore(&sealed, &identity, data_dir).map_err(|error| failure(&error))
}

fn is_place(location: &str) -> bool {
    location.contains("://") || Path::new(location).is_dir()
}

fn beside(file: &str) -> PathBuf {
    PathBuf::from(format!("{file}.keys.age"))
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failure(error: &KeyBackupError) -> Failure {
    let exit = match error {
        KeyBackupError::Recipient | KeyBackupError::Identity => Exit::Invalid,
        KeyBackupError::There(_) => Exit::Conflict,
        KeyBackupError::Decrypt(_) | KeyBackupError::Malformed(_) => Exit::Damaged,
        KeyBackupError::None(_) => Exit::NotFound,
        KeyBackupError::File { .. } | KeyBackupError::Encrypt(_) => Exit::Failure,
    };
    Failure::new(exit, super::access::causes(error))
}
