//! The key that seals the log: Ed25519 (RFC 8032), in a directory of its own, never in the store.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_runtime::files::{self, Readable};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};

use crate::private::{ReadableByOthers, private};

const KEY: &str = "audit.key";
const PUBLIC: &str = "audit.pub";
/// Beside a key that has sealed nothing yet: no log of it is no sign that one was taken away.
const UNUSED: &str = "audit.unused";
/// What every `SubjectPublicKeyInfo` of an Ed25519 key begins with (RFC 8410); the 32 bytes of the key follow.
const SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const PIN: &str = "sha256:";

/// Why the log's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// A file of it.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others may read the private key.
    #[error(transparent)]
    Open(#[from] ReadableByOthers),
    /// It cannot be made, or is no Ed25519 key.
    #[error("the audit key")]
    Key(#[source] rcgen::Error),
    /// It cannot sign.
    #[error("sign the audit log")]
    Sign(#[source] rcgen::Error),
    /// A text is no public key.
    #[error("no Ed25519 public key: it must be PEM (PUBLIC KEY), as in audit.pub")]
    NoPublicKey,
}

/// The private key of a log.
pub struct AuditKey {
    pair: KeyPair,
    public: PublicKey,
    /// The mark beside it while it has sealed nothing.
    unused: Option<PathBuf>,
}

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditKey")
            .field("pin", &self.public.pin())
            .finish_non_exhaustive()
    }
}

impl AuditKey {
    /// Reads the key in `dir`, or makes one when there is none. A directory that cannot be written to is as good, when the key is in it.
    ///
    /// # Errors
    /// [`AuditKeyError`] names the file; a key that others may read is refused with the command that helps.
    pub fn load_or_create(dir: &Path) -> Result<Self, AuditKeyError> {
        let path = dir.join(KEY);
        let unused = dir.join(UNUSED);
        let file = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| AuditKeyError::File {
                operation,
                path,
                source,
            }
        };
        if let Some(pem) = files::read(&path).map_err(file("read", &path))? {
            private(&path)?;
            return Self::of(&pem, unused.is_file().then_some(unused));
        }
        files::make_dir(dir).map_err(file("create directory", dir))?;
        let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(AuditKeyError::Key)?;
        let pem = zeroize::Zeroizing::new(pair.serialize_pem());
        let public = dir.join(PUBLIC);
        // First, and the key last: whoever dies in between leaves a key that is marked, or none.
        files::write(&unused, "", Readable::ByOwner).map_err(file("write", &unused))?;
        let key = Self::of(&pem, Some(unused))?;
        files::write(&public, key.public.pem(), Readable::ByAll).map_err(file("write", &public))?;
        files::write(&path, &pem, Readable::ByOwner).map_err(file("write", &path))?;
        Ok(key)
    }

    fn of(pem: &str, unused: Option<PathBuf>) -> Result<Self, AuditKeyError> {
        let pair = KeyPair::from_pem(pem).map_err(AuditKeyError::Key)?;
        let public = PublicKey::of_spki(&pair.subject_public_key_info()).ok_or(AuditKeyError::NoPublicKey)?;
        Ok(Self { pair, public, unused })
    }

    /// Whether it has sealed a log before.
    #[must_use]
    pub const fn used(&self) -> bool {
        self.unused.is_none()
    }

    /// From now on it has sealed a log.
    pub(super) fn begin(&self) -> io::Result<()> {
        self.unused.as_deref().map_or(Ok(()), files::remove)
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> Result<String, AuditKeyError> {
        self.pair
            .sign(bytes)
            .map(|signature| STANDARD.encode(signature))
            .map_err(AuditKeyError::Sign)
    }
}

/// What verifies seals.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    fn of_spki(der: &[u8]) -> Option<Self> {
        der.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }

    /// Reads a PEM block `PUBLIC KEY`.
    ///
    /// # Errors
    /// [`AuditKeyError::NoPublicKey`].
    pub fn parse(pem: &str) -> Result<Self, AuditKeyError> {
        let block = pem
            .split_once("-----BEGIN PUBLIC KEY-----")
            .and_then(|(_, rest)| rest.split_once("-----END PUBLIC KEY-----"))
            .map(|(block, _)| block.split_whitespace().collect::<String>());
        block
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|der| Self::of_spki(&der))
            .ok_or(AuditKeyError::NoPublicKey)
    }

    /// As PEM, which openssl reads too.
    #[must_use]
    pub fn pem(&self) -> String {
        let der = [SPKI.as_slice(), &self.0].concat();
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// Its pin: SHA-256 of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn pin(&self) -> KeyPin {
        KeyPin(Sha256::digest([SPKI.as_slice(), &self.0].concat()).into())
    }

    /// The 32 bytes, in base64, as a segment's first line has them.
    #[must_use]
    pub(super) fn text(&self) -> String {
        STANDARD.encode(self.0)
    }

    pub(super) fn of_text(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub(super) fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        STANDARD.decode(signature).is_ok_and(|signature| {
            UnparsedPublicKey::new(&ED25519, self.0)
                .verify(bytes, &signature)
                .is_ok()
        })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.pin(), f)
    }
}

/// What tells a log's key from others: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPin([u8; 32]);

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PIN}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyPin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        text.trim()
            .strip_prefix(PIN)
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .map(|()| Self(bytes))
            .ok_or_else(|| format!("{text:?} is no pin: it must be `sha256:` and 64 hexadecimal digits"))
    }
}
