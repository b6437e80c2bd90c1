//! A hub's keys, encrypted to whom the admin names: what a backup of the store leaves out.
//!
//! The format is age's (age-encryption.org/v1, X25519) around a tar archive of `ca/` and `audit-key/`, so that the tools everybody has open it
//! too: `age -d -i IDENTITY keys.age | tar -x`. Whatever files are in the two directories go into it, by their names.

use std::{
    fs, io,
    io::Read as _,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use berth_runtime::files::{self, Readable};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// What it is called in the place of a backup.
pub const FILE: &str = "keys.age";

/// The directories of keys.
const DIRECTORIES: [&str; 2] = ["ca", "audit-key"];
/// More than this is no hub's keys.
const LARGEST: u64 = 4 << 20;

/// Why keys cannot be taken into a backup, or out of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyBackupError {
    /// A recipient that is none.
    #[error(
        "the recipient is none of age's: it must be age1..., as age-keygen prints it (never the secret key)"
    )]
    Recipient,
    /// An identity that is none.
    #[error("the identity file has no line AGE-SECRET-KEY-1..., as age-keygen writes it")]
    Identity,
    /// A file.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No keys are where they should be.
    #[error("{} has no ca/ with keys in it", .0.display())]
    None(PathBuf),
    /// It cannot be encrypted.
    #[error("encrypt the keys")]
    Encrypt(#[source] age::EncryptError),
    /// It cannot be decrypted.
    #[error(
        "decrypt the keys: they were encrypted to another recipient than this identity's, or are damaged"
    )]
    Decrypt(#[source] age::DecryptError),
    /// What was decrypted is no backup of keys.
    #[error("no backup of keys: {0}")]
    Malformed(String),
    /// Other keys are there.
    #[error("{} is there and is another one: move it away first, if it is really to be replaced", .0.display())]
    There(PathBuf),
}

/// To whom keys are encrypted: the public half of an age key.
#[derive(Clone)]
pub struct Recipient(age::x25519::Recipient);

impl FromStr for Recipient {
    type Err = KeyBackupError;

    fn from_str(text: &str) -> Result<Self, KeyBackupError> {
        // Not repeated: it may be the secret key by mistake.
        text.trim()
            .parse()
            .map(Self)
            .map_err(|_| KeyBackupError::Recipient)
    }
}

impl std::fmt::Display for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The keys in `dir`, encrypted.
///
/// # Errors
/// [`KeyBackupError`] names the file.
pub fn seal(dir: &Path, recipient: &Recipient) -> Result<Vec<u8>, KeyBackupError> {
    let found = gather(dir)?;
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in &found {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if is_private(Path::new(name)) { 0o600 } else { 0o644 });
        header.set_mtime(0);
        let appended = archive.append_data(&mut header, name, content.as_slice());
        appended.map_err(|error| KeyBackupError::Malformed(error.to_string()))?;
    }
    let plain = archive
        .into_inner()
        .map_err(|error| KeyBackupError::Malformed(error.to_string()))?;
    let plain = Zeroizing::new(plain);
    age::encrypt(&recipient.0, &plain).map_err(KeyBackupError::Encrypt)
}

/// What tells these keys from others, to see whether they have changed.
///
/// # Errors
/// [`KeyBackupError`] names the file.
pub fn digest(dir: &Path) -> Result<[u8; 32], KeyBackupError> {
    let mut digest = Sha256::new();
    for (name, content) in gather(dir)? {
        digest.update(Sha256::digest(name.as_bytes()));
        digest.update(Sha256::digest(content.as_slice()));
    }
    Ok(digest.finalize().into())
}

/// Puts the keys back into `dir`, with the identity that age-keygen wrote; says which files are there now. Files that are there already and
/// are the same stay.
///
/// # Errors
/// [`KeyBackupError`]; nothing is written when a file of another content is there.
pub fn restore(sealed: &[u8], identity: &str, dir: &Path) -> Result<Vec<PathBuf>, KeyBackupError> {
    let identity = identity
        .lines()
        .find_map(|line| line.trim().parse::<age::x25519::Identity>().ok())
        .ok_or(KeyBackupError::Identity)?;
    let plain = Zeroizing::new(age::decrypt(&identity, sealed).map_err(KeyBackupError::Decrypt)?);
    let malformed = |error: io::Error| KeyBackupError::Malformed(error.to_string());
    let mut archive = tar::Archive::new(plain.as_slice());
    let mut found = Vec::new();
    for entry in archive.entries().map_err(malformed)? {
        let entry = entry.map_err(malformed)?;
        let name = entry.path().map_err(malformed)?.into_owned();
        if !belongs(&name) {
            return Err(KeyBackupError::Malformed(format!("it has {}", name.display())));
        }
        let mut content = Zeroizing::new(String::new());
        entry
            .take(LARGEST)
            .read_to_string(&mut content)
            .map_err(malformed)?;
        found.push((dir.join(name), content));
    }
    let file = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| KeyBackupError::File {
            operation,
            path,
            source,
        }
    };
    for (path, content) in &found {
        let there = files::read(path).map_err(file("read", path))?;
        if there.is_some_and(|there| there != **content) {
            return Err(KeyBackupError::There(path.clone()));
        }
    }
    for (path, content) in &found {
        if let Some(parent) = path.parent() {
            files::make_dir(parent).map_err(file("create directory", parent))?;
        }
        let readable = if is_private(path) {
            Readable::ByOwner
        } else {
            Readable::ByAll
        };
        files::write(path, content, readable).map_err(file("write", path))?;
    }
    Ok(found.into_iter().map(|(path, _)| path).collect())
}

/// One of the directories, and a plain file in it.
fn belongs(name: &Path) -> bool {
    let parts: Vec<Component<'_>> = name.components().collect();
    match parts.as_slice() {
        [Component::Normal(first), rest @ ..] if !rest.is_empty() => {
            DIRECTORIES.iter().any(|known| first == known)
                && rest.iter().all(|part| matches!(part, Component::Normal(_)))
        }
        _ => false,
    }
}

/// Certificates and public keys are for everybody.
fn is_private(path: &Path) -> bool {
    !path
        .extension()
        .is_some_and(|extension| matches!(extension.to_str(), Some("crt" | "pub")))
}

type Found = Vec<(String, Zeroizing<Vec<u8>>)>;

fn gather(dir: &Path) -> Result<Found, KeyBackupError> {
    let mut found = Found::new();
    for name in DIRECTORIES {
        into(&dir.join(name), name, &mut found)?;
    }
    let has_key = |(name, _): &(String, _)| name.starts_with("ca/") && is_private(Path::new(name));
    if !found.iter().any(has_key) {
        return Err(KeyBackupError::None(dir.to_owned()));
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn into(dir: &Path, name: &str, found: &mut Found) -> Result<(), KeyBackupError> {
    let file = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| KeyBackupError::File {
            operation,
            path,
            source,
        }
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file("list", dir)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(file("list", dir))?;
        let own = entry.file_name();
        // A mounted secret has its files behind `..data`, and links to them; a file that is being written has a name of its own.
        let Some(own) = own
            .to_str()
            .filter(|own| !own.starts_with('.') && !own.ends_with(".new"))
        else {
            continue;
        };
        let (path, name) = (entry.path(), format!("{name}/{own}"));
        // Through links, as they are mounted.
        let kind = fs::metadata(&path).map_err(file("look at", &path))?;
        if kind.is_dir() {
            into(&path, &name, found)?;
        } else {
            found.push((
                name,
                Zeroizing::new(fs::read(&path).map_err(file("read", &path))?),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret as _;
    use berth_model::Timestamp;

    use super::*;
    use crate::{Authority, audit::AuditKey};

    fn identity() -> (String, Recipient) {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string().parse().unwrap();
        let text = format!("# created: today\n{}\n", identity.to_string().expose_secret());
        (text, recipient)
    }

    fn hub(dir: &Path) {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        Authority::load_or_create(&dir.join("ca"), now).unwrap();
        AuditKey::load_or_create(&dir.join("audit-key")).unwrap();
    }

    #[test]
    fn keys_come_back_as_they_were_and_only_to_whom_they_were_encrypted() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().unwrap();
        let (hub_dir, blank) = (place.path().join("hub"), place.path().join("blank"));
        hub(&hub_dir);
        let (text, recipient) = identity();
        let sealed = seal(&hub_dir, &recipient).unwrap();
        let key = fs::read_to_string(hub_dir.join("ca/ca.key")).unwrap();
        let inner = key.lines().nth(1).unwrap();
        assert!(
            !String::from_utf8_lossy(&sealed).contains(inner),
            "it is in clear"
        );
        assert!(matches!(
            restore(&sealed, &identity().0, &blank),
            Err(KeyBackupError::Decrypt(_))
        ));
        assert!(!blank.exists());

        restore(&sealed, &text, &blank).unwrap();
        assert_eq!(digest(&blank).unwrap(), digest(&hub_dir).unwrap());
        for private in ["ca/ca.key", "audit-key/audit.key"] {
            let mode = fs::metadata(blank.join(private)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{private}");
        }
        restore(&sealed, &text, &blank).unwrap();
        fs::write(blank.join("ca/ca.key"), "another").unwrap();
        assert!(matches!(
            restore(&sealed, &text, &blank),
            Err(KeyBackupError::There(_))
        ));
        assert_eq!(fs::read_to_string(blank.join("ca/ca.key")).unwrap(), "another");
    }

    #[test]
    fn every_bit_counts() {
        let place = tempfile::tempdir().unwrap();
        hub(place.path());
        let (text, recipient) = identity();
        let sealed = seal(place.path(), &recipient).unwrap();
        for at in (0..sealed.len()).step_by(97) {
            let mut turned = sealed.clone();
            turned[at] ^= 1;
            assert!(
                restore(&turned, &text, &place.path().join("blank")).is_err(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn nothing_is_written_outside_of_the_two_directories() {
        for name in ["../ca/ca.key", "/ca/ca.key", "store/x", "ca", "ca/../../x"] {
            assert!(!belongs(Path::new(name)), "{name}");
        }
        assert!(belongs(Path::new("ca/ca.key")) && belongs(Path::new("ca/old/ca.crt")));
    }

    #[test]
    fn a_recipient_and_an_identity_are_said_to_be_none_without_being_repeated() {
        let secret = identity().0;
        let secret = secret.lines().nth(1).unwrap();
        let refused = secret.parse::<Recipient>().unwrap_err().to_string();
        assert!(refused.contains("age1") && !refused.contains(secret), "{refused}");
        let refused = restore(b"", "no identity", Path::new("/nowhere")).unwrap_err();
        assert!(matches!(refused, KeyBackupError::Identity));
    }
}
