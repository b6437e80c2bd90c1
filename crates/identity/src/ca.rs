//! The fleet's certificate authority: one ECDSA P-256 key in a directory, never in the store.
//!
//! Every field of what it signs is its own. From a signing request it takes the public key and nothing else: no name, no
//! extension, no validity.

mod fields;

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use berth_model::{ClusterName, FleetId, Timestamp};
use rcgen::{ExtendedKeyUsagePurpose, Issuer, KeyPair, PublicKeyData as _, SanType};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use self::fields::{after, leaf, new_key, public_key_of, self_signed, uri};
use crate::{
    certificate::CertificateError,
    files::{self, Readable},
    peer::{InvalidUser, SpiffeId},
    pin::CaPin,
};

/// How long an agent's certificate is good, unless configured: it renews at two thirds.
pub const AGENT_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the hub's own certificate and the admin credential are good.
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
}

/// The certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    pin: CaPin,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// The authority kept in `dir` as `ca.crt` and `ca.key` (0600); made at `now` when neither is there.
    ///
    /// # Errors
    /// [`CaError`] when the files cannot be read or written or do not belong together. A key without its certificate (a crash
    /// between the two writes) is completed; a certificate without its key is refused.
    pub fn load_or_create(dir: &Path, now: Timestamp) -> Result<Self, CaError> {
        let (certificate_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        let file = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| CaError::File {
                operation,
                path,
                source,
            }
        };
        files::make_dir(dir).map_err(file("create", dir))?;
        let key = files::read(&key_path)
            .map_err(file("read", &key_path))?
            .map(Zeroizing::new);
        let certificate = files::read(&certificate_path).map_err(file("read", &certificate_path))?;
        let key = match (key, &certificate) {
            (Some(key), _) => KeyPair::from_pem(&key).map_err(CaError::Unreadable)?,
            (None, Some(_)) => {
                return Err(CaError::KeyMissing {
                    certificate: certificate_path,
                    key: key_path,
                });
            }
            (None, None) => {
                let key = new_key("the authority")?;
                let pem = Zeroizing::new(key.serialize_pem());
                files::write(&key_path, &pem, Readable::ByOwner).map_err(file("write", &key_path))?;
                key
            }
        };
        let certificate_pem = match certificate {
            Some(pem) => pem,
            None => {
                let pem = self_signed(&key, now)?;
                files::write(&certificate_path, &pem, Readable::ByAll)
                    .map_err(file("write", &certificate_path))?;
                pem
            }
        };
        if !crate::key::belongs_to(&Zeroizing::new(key.serialize_pem()), &certificate_pem) {
            return Err(CaError::Mismatch(certificate_path));
        }
        let pin = CaPin::of_pem(&certificate_pem)?;
        let der = crate::certificate::first(&certificate_pem)?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(CaError::Unreadable)?;
        Ok(Self {
            issuer,
            certificate_pem,
            pin,
        })
    }

    /// What an agent is told of this authority before it joins.
    #[must_use]
    pub const fn pin(&self) -> CaPin {
        self.pin
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for a server of the hub: it may serve and nothing else. The authority's certificate follows it, so that
    /// an agent which only knows the pin can check the chain.
    ///
    /// # Errors
    /// [`CaError::BadServerName`] names what is neither a DNS name nor an IP address.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Credential, CaError> {
        let mut sans = Vec::with_capacity(names.len());
        for name in names {
            sans.push(match name.parse::<IpAddr>() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => SanType::DnsName(
                    name.as_str()
                        .try_into()
                        .map_err(|e: rcgen::Error| CaError::BadServerName(name.clone(), e.to_string()))?,
                ),
            });
        }
        self.issue_with_key(
            "berth-hub",
            sans,
            ExtendedKeyUsagePurpose::ServerAuth,
            now,
            lifetime,
        )
    }

    /// A user's certificate and key.
    ///
    /// # Errors
    /// [`CaError::BadUser`] when `user` is no DNS label.
    pub fn issue_client(
        &self,
        fleet: &FleetId,
        user: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Credential, CaError> {
        let san = uri(&SpiffeId::user(fleet, user)?)?;
        self.issue_with_key(
            user,
            vec![san],
            ExtendedKeyUsagePurpose::ClientAuth,
            now,
            lifetime,
        )
    }

    /// An agent's certificate for the public key in `csr_der` (PKCS#10), whose signature must be by that key (ECDSA P-256).
    ///
    /// # Errors
    /// [`CaError::BadRequest`] when the request is malformed, too long, of another algorithm or not signed by its own key.
    pub fn issue_agent(
        &self,
        fleet: &FleetId,
        cluster: &ClusterName,
        csr_der: &[u8],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, CaError> {
        let public_key = public_key_of(csr_der)?;
        let san = uri(&SpiffeId::agent(fleet, cluster))?;
        let params = leaf(
            cluster.as_str(),
            vec![san],
            ExtendedKeyUsagePurpose::ClientAuth,
            now,
            lifetime,
        )?;
        let certificate = params
            .signed_by(&public_key, &self.issuer)
            .map_err(|source| CaError::Sign {
                subject: format!("cluster {cluster}"),
                source,
            })?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            key_sha256: hex::encode(Sha256::digest(public_key.subject_public_key_info())),
            not_after: after(now, lifetime),
        })
    }

    fn issue_with_key(
        &self,
        name: &str,
        sans: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Credential, CaError> {
        let key = new_key(name)?;
        let certificate = leaf(name, sans, usage, now, lifetime)?
            .signed_by(&key, &self.issuer)
            .map_err(|source| CaError::Sign {
                subject: name.to_owned(),
                source,
            })?;
        Ok(Credential {
            certificate_pem: format!("{}{}", certificate.pem(), self.certificate_pem),
            key_pem: Zeroizing::new(key.serialize_pem()),
        })
    }
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
