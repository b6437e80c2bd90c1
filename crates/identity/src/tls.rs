//! TLS as Berth speaks it: 1.3 only between its own parts, ALPN `h2`, the fleet's authority and no other root.
//!
//! Who the peer *is* stands in [`crate::peer`]; here it is only decided whom to talk to at all.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    server::{NoServerSessionStorage, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};

use crate::{
    ca::Credential,
    pin::{CaPin, CaPins},
    tls::clients::ClientTrust,
};

pub mod clients;
pub mod shown;

pub use shown::ServerCertificate;

const ALPN_HTTP2: &[u8] = b"h2";

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate in the PEM text.
    #[error("no certificate in the PEM text of {0}")]
    NoCertificate(&'static str),
    /// No key in the PEM text.
    #[error("no private key in the PEM text")]
    NoKey,
    /// A certificate from outside that is for no host.
    #[error("the certificate names no host (no DNS name in its subjectAltName)")]
    NoNames,
    /// Refused by the TLS library.
    #[error("make the TLS configuration")]
    Rustls(#[source] rustls::Error),
    /// The authority's certificate is none.
    #[error("use the certificate authority: {0}")]
    Authority(String),
}

/// For the API: a certificate of the authority or none. Who shows none needs another credential; the hub's calls see to that.
///
/// # Errors
/// [`TlsError::Rustls`].
pub fn api_server(
    trust: &ClientTrust,
    certificate: ServerCertificate,
) -> Result<Arc<ServerConfig>, TlsError> {
    server(trust.optional(), certificate)
}

/// For the link: a certificate of the authority or none. Only `Join`, `Challenge` and `Recover` may be called without one; the
/// service sees to that.
///
/// # Errors
/// [`TlsError::Rustls`].
pub fn agent_server(
    trust: &ClientTrust,
    certificate: ServerCertificate,
) -> Result<Arc<ServerConfig>, TlsError> {
    server(trust.optional(), certificate)
}

/// For one whose certificate is no good any more: trusts the authority alone, and shows none.
///
/// # Errors
/// [`TlsError`] when the authority's certificate is none.
pub fn anonymous_client(ca_pem: &str) -> Result<ClientConfig, TlsError> {
    let config = client_builder()?
        .with_root_certificates(roots(ca_pem)?)
        .with_no_client_auth();
    Ok(http2(config))
}

/// For one who holds a certificate: trusts the authority alone.
///
/// # Errors
/// [`TlsError`] when a part is missing or they do not fit.
pub fn client(ca_pem: &str, credential: &Credential) -> Result<ClientConfig, TlsError> {
    let key = PrivateKeyDer::from_pem_slice(credential.key_pem.as_bytes()).map_err(|_| TlsError::NoKey)?;
    let chain = certificates(&credential.certificate_pem, "the client")?;
    let config = client_builder()?
        .with_root_certificates(roots(ca_pem)?)
        .with_client_auth_cert(chain, key)
        .map_err(TlsError::Rustls)?;
    Ok(http2(config))
}

/// For one who joins: trusts only a server whose chain is issued by an authority with one of these pins. Shows no certificate.
///
/// # Errors
/// [`TlsError::Rustls`].
pub fn joining_client(pins: impl Into<CaPins>) -> Result<ClientConfig, TlsError> {
    let config = client_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned {
            pins: pins.into(),
            provider: provider(),
        }))
        .with_no_client_auth();
    Ok(http2(config))
}

/// Whether a connection failed because the server's authority is not the pinned one.
#[must_use]
pub fn is_pin_mismatch(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)
    )
}

fn http2(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    config
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn client_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)
}

fn server(
    verifier: Arc<dyn ClientCertVerifier>,
    certificate: ServerCertificate,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Rustls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    // A session that is resumed shows no certificate again: one that is not trusted any more must not come back that way.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn roots(ca_pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem, "the authority")? {
        roots
            .add(certificate)
            .map_err(|e| TlsError::Authority(e.to_string()))?;
    }
    Ok(roots)
}

fn certificates(pem: &str, whose: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or(TlsError::NoCertificate(whose))
}

/// Accepts a server whose chain contains the pinned authority, is issued by it, is in date and names the server.
#[derive(Debug)]
struct Pinned {
    pins: CaPins,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let authority = intermediates
            .iter()
            .find(|certificate| CaPin::of_der(certificate).is_ok_and(|pin| self.pins.contains(&pin)))
            .ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|_| unknown())?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
