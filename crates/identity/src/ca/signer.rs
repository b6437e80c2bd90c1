//! One key with its certificate, as two files, and what it signs.

use std::{
    fmt, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use berth_model::{ClusterName, FleetId, Timestamp, Uid};
use berth_runtime::files::{self, Readable};
use rcgen::{ExtendedKeyUsagePurpose, Issuer, KeyPair, PublicKeyData as _, SanType};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    CaError, Credential, Issued,
    fields::{after, leaf, new_key, public_key_of, self_signed, uri},
};
use crate::{peer::SpiffeId, pin::CaPin};

/// Where a key and its certificate are.
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    /// `NAME.crt` and `NAME.key` (0600).
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self {
            certificate: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
        }
    }

    /// The key first: a crash in between leaves a certificate without a key, which is nothing.
    pub(super) fn remove(&self) -> Result<(), CaError> {
        remove(&self.key)?;
        remove(&self.certificate)
    }
}

/// One key and its certificate.
pub(super) struct Signer {
    issuer: Issuer<'static, KeyPair>,
    key_pem: Zeroizing<String>,
    pub(super) certificate_pem: String,
    pub(super) pin: CaPin,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// The key in the files; made at `now` when there is none. A key without its certificate (a crash between the two writes) is
    /// completed; a certificate without its key is refused.
    pub(super) fn load_or_create(files: &Files, now: Timestamp) -> Result<Self, CaError> {
        let key = read(&files.key)?.map(Zeroizing::new);
        let certificate = read(&files.certificate)?;
        let key = match (key, &certificate) {
            (Some(key), _) => KeyPair::from_pem(&key).map_err(CaError::Unreadable)?,
            (None, Some(_)) => {
                return Err(CaError::KeyMissing {
                    certificate: files.certificate.clone(),
                    key: files.key.clone(),
                });
            }
            (None, None) => {
                let key = new_key("the authority")?;
                let pem = Zeroizing::new(key.serialize_pem());
                write(&files.key, &pem, Readable::ByOwner)?;
                key
            }
        };
        let certificate_pem = match certificate {
            Some(pem) => pem,
            None => {
                let pem = self_signed(&key, now)?;
                write(&files.certificate, &pem, Readable::ByAll)?;
                pem
            }
        };
        let key_pem = Zeroizing::new(key.serialize_pem());
        if !crate::key::belongs_to(&key_pem, &certificate_pem) {
            return Err(CaError::Mismatch(files.certificate.clone()));
        }
        let pin = CaPin::of_pem(&certificate_pem)?;
        let der = crate::certificate::first(&certificate_pem)?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(CaError::Unreadable)?;
        Ok(Self {
            issuer,
            key_pem,
            certificate_pem,
            pin,
        })
    }

    /// Writes it into the files, over what is there.
    pub(super) fn write(&self, files: &Files) -> Result<(), CaError> {
        write(&files.key, &self.key_pem, Readable::ByOwner)?;
        write(&files.certificate, &self.certificate_pem, Readable::ByAll)
    }

    pub(super) fn issue_server(
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

    pub(super) fn issue_client(
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

    pub(super) fn issue_agent(
        &self,
        fleet: &FleetId,
        cluster: &ClusterName,
        uid: &Uid,
        csr_der: &[u8],
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Issued, CaError> {
        let public_key = public_key_of(csr_der)?;
        let san = uri(&SpiffeId::agent(fleet, uid))?;
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
            issuer_pin: self.pin,
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

pub(super) fn read(path: &Path) -> Result<Option<String>, CaError> {
    files::read(path).map_err(file("read", path))
}

pub(super) fn write(path: &Path, text: &str, readable: Readable) -> Result<(), CaError> {
    files::write(path, text, readable).map_err(file("write", path))
}

/// What is not there is removed.
pub(super) fn remove(path: &Path) -> Result<(), CaError> {
    files::remove(path).map_err(file("remove", path))
}

pub(super) fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::File {
        operation,
        path,
        source,
    }
}
