//! Who the cluster is to its clients: its certificate authority, its admin token, and the port it had last.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;
use uuid::Uuid;

use super::failure::Error;

const FILE: &str = "identity.json";

/// What stays the same over restarts when there is a data directory.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) ca_pem: String,
    ca_key_pem: String,
    pub(super) token: String,
    directory: Option<PathBuf>,
}

impl Identity {
    /// Reads the identity kept in a directory, or makes one.
    pub(super) fn load_or_make(name: &str, directory: Option<&Path>) -> Result<Self, Error> {
        let Some(directory) = directory else {
            return Self::make(name, None);
        };
        fs::create_dir_all(directory).map_err(|source| Error::File {
            operation: "create",
            path: directory.to_owned(),
            source,
        })?;
        let path = directory.join(FILE);
        if !path.exists() {
            let identity = Self::make(name, Some(directory.to_owned()))?;
            let kept = json!({"ca": identity.ca_pem, "ca_key": identity.ca_key_pem, "token": identity.token});
            write_private(&path, &kept.to_string())?;
            return Ok(identity);
        }
        let text = fs::read_to_string(&path).map_err(|source| Error::File {
            operation: "read",
            path: path.clone(),
            source,
        })?;
        let kept: serde_json::Value = serde_json::from_str(&text).map_err(|e| Error::Damaged {
            path: path.clone(),
            problem: e.to_string(),
        })?;
        let field = |key: &str| {
            let text = kept[key].as_str().map(str::to_owned);
            text.ok_or_else(|| Error::Damaged {
                path: path.clone(),
                problem: format!("`{key}` is missing"),
            })
        };
        Ok(Self {
            name: name.to_owned(),
            ca_pem: field("ca")?,
            ca_key_pem: field("ca_key")?,
            token: field("token")?,
            directory: Some(directory.to_owned()),
        })
    }

    fn make(name: &str, directory: Option<PathBuf>) -> Result<Self, Error> {
        let made = authority(name).map_err(|e| failed(name, e))?;
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Ok(Self {
            name: name.to_owned(),
            ca_pem: made.0,
            ca_key_pem: made.1,
            token,
            directory,
        })
    }

    /// A serving certificate and its key, for loopback names and one address. Made anew for every listener.
    pub(super) fn serving_certificate(&self, address: IpAddr) -> Result<(String, String), Error> {
        self.sign(address).map_err(|e| failed(&self.name, e))
    }

    fn sign(&self, address: IpAddr) -> Result<(String, String), rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, KeyPair::from_pem(&self.ca_key_pem)?)?;
        let names = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "127.0.0.1",
            "::1",
        ];
        let mut names: Vec<String> = names.map(str::to_owned).to_vec();
        names.push(address.to_string());
        names.dedup();
        let mut params = CertificateParams::new(names)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// The port of the last listener, when it is known.
    pub(super) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.directory.as_ref()?.join("port"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Remembers the port for the next start. A cluster that cannot is only a cluster that may move.
    pub(super) fn keep_port(&self, port: u16) {
        if let Some(directory) = &self.directory
            && let Err(error) = fs::write(directory.join("port"), port.to_string())
        {
            tracing::warn!(cluster = self.name, %error, "port not remembered");
        }
    }
}

fn failed(name: &str, source: rcgen::Error) -> Error {
    Error::Certificate {
        name: name.to_owned(),
        source: source.into(),
    }
}

fn authority(name: &str) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{name} CA"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let written = private_file(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| Error::File {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}

/// A new, empty file that only its owner reads: keys and Secrets go into it.
pub(super) fn private_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
