//! What can be read off a certificate without trusting it.

use berth_model::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why something cannot be read off a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No PEM block of the kind `CERTIFICATE`.
    #[error("no certificate in the PEM text")]
    NoPem,
    /// Not X.509.
    #[error("not an X.509 certificate: {0}")]
    Malformed(String),
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Not before this.
    pub not_before: Timestamp,
    /// Not after this.
    pub not_after: Timestamp,
}

impl Validity {
    /// When half of it has passed: the moment to renew.
    #[must_use]
    pub fn renew_at(&self) -> Timestamp {
        let (from, to) = (self.not_before.as_second(), self.not_after.as_second());
        Timestamp::from_second(from + (to - from) / 2).unwrap_or(self.not_after)
    }

    /// Whether it is over at `now`.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        now > self.not_after
    }
}

/// The first certificate of a PEM text, DER.
///
/// # Errors
/// [`CertificateError::NoPem`].
pub fn first(pem: &str) -> Result<CertificateDer<'static>, CertificateError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CertificateError::NoPem)
}

/// SHA-256 of a certificate (DER), hexadecimal: which one it is, for records.
#[must_use]
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(Sha256::digest(der))
}

/// A certificate (DER) as PEM text.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// From when until when the first certificate of a PEM text is good.
///
/// # Errors
/// [`CertificateError`] when there is none, or it is malformed.
pub fn validity(pem: &str) -> Result<Validity, CertificateError> {
    let der = first(pem)?;
    let parsed = parse(&der)?;
    let at = |seconds: i64| {
        Timestamp::from_second(seconds).map_err(|e| CertificateError::Malformed(e.to_string()))
    };
    Ok(Validity {
        not_before: at(parsed.validity().not_before.timestamp())?,
        not_after: at(parsed.validity().not_after.timestamp())?,
    })
}

/// The first common name of a certificate's subject (DER); none where it has none.
#[must_use]
pub fn common_name(der: &[u8]) -> Option<String> {
    let parsed = parse(der).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

/// Until when a certificate (DER) is good; none when it is no certificate.
#[must_use]
pub fn expiry(der: &[u8]) -> Option<Timestamp> {
    let parsed = parse(der).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

/// Whether the key of the certificate `authority` (both DER) signed `certificate`.
#[must_use]
pub fn issued_by(certificate: &[u8], authority: &[u8]) -> bool {
    let (Ok(certificate), Ok(authority)) = (parse(certificate), parse(authority)) else {
        return false;
    };
    certificate.verify_signature(Some(authority.public_key())).is_ok()
}

/// All certificates of a PEM text, DER.
///
/// # Errors
/// [`CertificateError::NoPem`] when there is none, or one that is broken.
pub fn all(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or(CertificateError::NoPem)
}

/// Its `SubjectPublicKeyInfo`, DER.
pub(crate) fn spki(der: &[u8]) -> Result<Vec<u8>, CertificateError> {
    Ok(parse(der)?.public_key().raw.to_vec())
}

/// Parses exactly one certificate.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) => Err(CertificateError::Malformed(
            "something follows the certificate".into(),
        )),
        Err(error) => Err(CertificateError::Malformed(error.to_string())),
    }
}
