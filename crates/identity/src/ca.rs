//! The fleet's certificate authority: an ECDSA P-256 key in a directory, never in the store; while it is being rolled over, two.
//!
//! Every field of what it signs is its own. From a signing request it takes the public key and nothing else: no name, no
//! extension, no validity. [`Authority`] is what everybody holds; which key it signs with may change under them.

mod fields;
mod rotation;
mod signer;

use std::{fmt, io, path::PathBuf, time::Duration};

use berth_model::Timestamp;
use rcgen::PublicKeyData as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub(crate) use self::fields::public_key_of;
pub use self::rotation::{Authority, Stage, Trust};
use crate::{certificate::CertificateError, peer::InvalidUser, pin::CaPin};

/// The longest that an agent's certificate is good: it renews at half of it.
pub const AGENT_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long the hub's own certificate is good; it is renewed at half of it.
pub const SERVER_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// The common name of every authority of a fleet.
pub const AUTHORITY_NAME: &str = "Berth fleet authority";
/// How long the admin credential is good.
pub const LONG_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// Why the authority cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The file system.
    #[error("{operation} `{}`", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A certificate without its key: a new key would be another authority, and every agent would refuse it.
    #[error("`{}` is there but its key `{}` is not; restore the key from the backup", certificate.display(), key.display())]
    KeyMissing {
        /// The certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// The files do not belong together.
    #[error("`{}` is not the certificate of the key beside it", .0.display())]
    Mismatch(PathBuf),
    /// The roll-over is at another stage.
    #[error("{0}")]
    Stage(&'static str),
    /// A file is not what it should be.
    #[error("read the certificate authority")]
    Unreadable(#[source] rcgen::Error),
    /// A certificate is not what it should be.
    #[error("read the authority's certificate")]
    Certificate(#[from] CertificateError),
    /// What asked for a certificate is not a request, or its signature is not by the key in it.
    #[error("certificate request refused: {0}")]
    BadRequest(String),
    /// A name that cannot stand in a certificate.
    #[error("{0:?} cannot be a server name: {1}")]
    BadServerName(String, String),
    /// A name that cannot be a user.
    #[error(transparent)]
    BadUser(#[from] InvalidUser),
    /// The system gives no randomness.
    #[error("no randomness from the system")]
    Random,
    /// Signing failed.
    #[error("sign a certificate for {subject}")]
    Sign {
        /// For whom.
        subject: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
}

/// A certificate and its key. The key is wiped when dropped and does not show in `Debug`.
#[derive(Clone)]
pub struct Credential {
    /// The certificate, followed by the authority's: PEM.
    pub certificate_pem: String,
    /// The key, PKCS#8 PEM.
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

/// A certificate issued for somebody else's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// SHA-256 of its `SubjectPublicKeyInfo`, hexadecimal; what [`crate::Peer::Agent`] carries when it is shown.
    pub key_sha256: String,
    /// Good until then.
    pub not_after: Timestamp,
    /// Pin of the authority that signed it.
    pub issuer_pin: CaPin,
}

/// SHA-256 of the public key in a signing request, hexadecimal: what a join token is bound to.
///
/// # Errors
/// [`CaError::BadRequest`] when it is no request signed by its own ECDSA P-256 key.
pub fn key_sha256(csr_der: &[u8]) -> Result<String, CaError> {
    Ok(hex::encode(Sha256::digest(
        public_key_of(csr_der)?.subject_public_key_info(),
    )))
}
