//! The certificates a listener shows, which change while it serves.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use x509_parser::extensions::{GeneralName, ParsedExtension};

use super::{TlsError, certificates, provider};
use crate::{ca::Credential, certificate};

/// The certificate a listener shows, which can be changed while it serves. Copies are the same one.
///
/// A second one, from outside the fleet, is shown to clients that ask for one of its names; all others see the fleet's own.
#[derive(Clone)]
pub struct ServerCertificate {
    current: Arc<RwLock<Shown>>,
}

struct Shown {
    own: Arc<CertifiedKey>,
    outside: Option<Outside>,
}

struct Outside {
    names: Vec<String>,
    certified: Arc<CertifiedKey>,
}

impl ServerCertificate {
    /// Starts with this one.
    ///
    /// # Errors
    /// [`TlsError`] when certificate and key do not fit.
    pub fn new(credential: &Credential) -> Result<Self, TlsError> {
        let own = certified_key(credential)?;
        Ok(Self {
            current: Arc::new(RwLock::new(Shown { own, outside: None })),
        })
    }

    /// New connections see this one from now on.
    ///
    /// # Errors
    /// [`TlsError`] when certificate and key do not fit; the old one stays.
    pub fn replace(&self, credential: &Credential) -> Result<(), TlsError> {
        let next = certified_key(credential)?;
        self.current.write().unwrap_or_else(PoisonError::into_inner).own = next;
        Ok(())
    }

    /// Clients that ask for one of its names see this one from now on. Gives the names.
    ///
    /// # Errors
    /// [`TlsError`] when certificate and key do not fit, or it names no host; what was shown before stays.
    pub fn show_outside(&self, credential: &Credential) -> Result<Vec<String>, TlsError> {
        let certified = certified_key(credential)?;
        let names = dns_names(&credential.certificate_pem);
        if names.is_empty() {
            return Err(TlsError::NoNames);
        }
        let outside = Outside {
            names: names.clone(),
            certified,
        };
        self.current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .outside = Some(outside);
        Ok(names)
    }
}

impl Shown {
    fn to(&self, asked: Option<&str>) -> Arc<CertifiedKey> {
        let outside = self.outside.as_ref().filter(|outside| {
            asked.is_some_and(|asked| outside.names.iter().any(|name| covers(name, asked)))
        });
        outside.map_or_else(|| self.own.clone(), |outside| outside.certified.clone())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(shown.to(hello.server_name()))
    }
}

/// RFC 6125: a `*` stands for exactly one label, the first.
fn covers(name: &str, asked: &str) -> bool {
    match (name.strip_prefix("*."), asked.split_once('.')) {
        (Some(parent), Some((first, rest))) => !first.is_empty() && rest.eq_ignore_ascii_case(parent),
        (Some(_), None) => false,
        (None, _) => name.eq_ignore_ascii_case(asked),
    }
}

fn dns_names(pem: &str) -> Vec<String> {
    let Ok(der) = certificate::first(pem) else {
        return Vec::new();
    };
    let Ok(parsed) = certificate::parse(&der) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for extension in parsed.extensions() {
        if let ParsedExtension::SubjectAlternativeName(san) = extension.parsed_extension() {
            for name in &san.general_names {
                if let GeneralName::DNSName(name) = name {
                    names.push((*name).to_owned());
                }
            }
        }
    }
    names
}

fn certified_key(credential: &Credential) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(&credential.certificate_pem, "the server")?;
    let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes()).map_err(|_| TlsError::NoKey)?;
    CertifiedKey::from_der(chain, key, &provider())
        .map(Arc::new)
        .map_err(TlsError::Rustls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        for (name, asked, expected) in [
            ("berth.example.com", "berth.example.com", true),
            ("berth.example.com", "BERTH.example.com", true),
            ("berth.example.com", "api.berth.example.com", false),
            ("*.example.com", "berth.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "localhost", false),
        ] {
            assert_eq!(covers(name, asked), expected, "{name} {asked}");
        }
    }
}
