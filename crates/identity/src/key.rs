//! The key an agent makes for itself, and the request to have it signed. The key never leaves whoever made it.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use zeroize::Zeroizing;

/// Why a key cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The random source failed.
    #[error("make an ECDSA P-256 key")]
    Generate(#[source] rcgen::Error),
    /// Not a key.
    #[error("read the private key")]
    Read(#[source] rcgen::Error),
    /// The request could not be signed.
    #[error("sign the certificate request")]
    Request(#[source] rcgen::Error),
    /// A statement could not be signed.
    #[error("sign a statement")]
    Sign(#[source] rcgen::Error),
}

/// A new ECDSA P-256 key, PKCS#8 PEM.
///
/// # Errors
/// [`KeyError::Generate`] when the system gives no randomness.
pub fn generate() -> Result<Zeroizing<String>, KeyError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Generate)?;
    Ok(Zeroizing::new(pair.serialize_pem()))
}

/// A PKCS#10 request for the key, DER. It asks for nothing: the hub takes only the public key from it.
///
/// # Errors
/// [`KeyError`] when `key_pem` is no key.
pub fn signing_request(key_pem: &str) -> Result<Vec<u8>, KeyError> {
    let pair = KeyPair::from_pem(key_pem).map_err(KeyError::Read)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&pair).map_err(KeyError::Request)?;
    Ok(request.der().to_vec())
}

/// Whether the certificate (the first of the PEM text) is for this key.
#[must_use]
pub fn belongs_to(key_pem: &str, certificate_pem: &str) -> bool {
    use rcgen::PublicKeyData as _;
    let Ok(pair) = KeyPair::from_pem(key_pem) else {
        return false;
    };
    let Ok(der) = crate::certificate::first(certificate_pem) else {
        return false;
    };
    crate::certificate::spki(&der).is_ok_and(|spki| spki == pair.subject_public_key_info())
}
