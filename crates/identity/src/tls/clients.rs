//! Which clients' certificates a listener trusts, which changes while it serves.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{TlsError, provider, roots};

/// Whose certificates are trusted. Copies are the same trust.
#[derive(Clone)]
pub struct ClientTrust {
    current: Arc<RwLock<Arc<dyn ClientCertVerifier>>>,
}

impl fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTrust").finish_non_exhaustive()
    }
}

impl ClientTrust {
    /// Those that these authorities issued.
    ///
    /// # Errors
    /// [`TlsError::Authority`].
    pub fn new(ca_pem: &str) -> Result<Self, TlsError> {
        Ok(Self {
            current: Arc::new(RwLock::new(verifier(ca_pem)?)),
        })
    }

    /// From now on those that these authorities issued, on new connections.
    ///
    /// # Errors
    /// [`TlsError::Authority`]; what was trusted before stays.
    pub fn replace(&self, ca_pem: &str) -> Result<(), TlsError> {
        let next = verifier(ca_pem)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    pub(super) fn optional(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(Swapped { trust: self.clone() })
    }

    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn verifier(ca_pem: &str) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), provider())
        .build()
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|error| TlsError::Authority(error.to_string()))
}

/// Asks whoever verifies at that moment.
#[derive(Debug)]
struct Swapped {
    trust: ClientTrust,
}

impl ClientCertVerifier for Swapped {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: what is trusted may change, and clients have one certificate anyway.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.trust
            .current()
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust
            .current()
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust
            .current()
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.current().supported_verify_schemes()
    }
}
