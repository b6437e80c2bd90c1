//! Signing what an agent states, with the key of its certificate, so that whoever has the certificate can tell later who said it.
//!
//! The same key proves the agent's identity in TLS. What is signed there begins with 64 spaces (RFC 8446, 4.4.3); statements are
//! JSON documents and begin with `{`, so neither can be taken for the other.

use rcgen::{KeyPair, SigningKey as _};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use crate::{
    certificate::{self, CertificateError},
    key::KeyError,
};

/// ECDSA P-256 with SHA-256 over `statement`, ASN.1.
///
/// # Errors
/// [`KeyError`] when `key_pem` is no key, or the system gives no randomness.
pub fn sign(key_pem: &str, statement: &[u8]) -> Result<Vec<u8>, KeyError> {
    let pair = KeyPair::from_pem(key_pem).map_err(KeyError::Read)?;
    pair.sign(statement).map_err(KeyError::Sign)
}

/// Whether `signature` over `statement` is by the key of the certificate (DER). Says nothing about who issued the certificate.
///
/// # Errors
/// [`CertificateError`] when it is no certificate.
pub fn verifies(
    certificate_der: &[u8],
    statement: &[u8],
    signature: &[u8],
) -> Result<bool, CertificateError> {
    let parsed = certificate::parse(certificate_der)?;
    let key = &parsed.public_key().subject_public_key.data;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.as_ref());
    Ok(key.verify(statement, signature).is_ok())
}

#[cfg(test)]
mod tests {
    use berth_model::{ClusterName, FleetId, Timestamp, Uid};

    use super::*;
    use crate::{AGENT_LIFETIME, Authority, key};

    #[test]
    fn only_what_was_signed_by_the_certificates_key_verifies() {
        let directory = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let authority = Authority::load_or_create(directory.path(), now).unwrap();
        let (fleet, cluster) = (FleetId::new("f").unwrap(), ClusterName::new("eu-1").unwrap());
        let uid = Uid::new("u-1").unwrap();
        let agent = || {
            let key = key::generate().unwrap();
            let request = key::signing_request(&key).unwrap();
            let issued = authority
                .issue_agent(&fleet, (&cluster, &uid), &request, now, AGENT_LIFETIME)
                .unwrap();
            (key, certificate::first(&issued.certificate_pem).unwrap())
        };
        let ((key, certificate), (other_key, _)) = (agent(), agent());
        let signature = sign(&key, b"{}").unwrap();
        assert_eq!(verifies(&certificate, b"{}", &signature), Ok(true));
        assert_eq!(verifies(&certificate, b"{ }", &signature), Ok(false));
        assert_eq!(verifies(&certificate, b"{}", &signature[1..]), Ok(false));
        let theirs = sign(&other_key, b"{}").unwrap();
        assert_eq!(verifies(&certificate, b"{}", &theirs), Ok(false));
        assert!(verifies(b"no certificate", b"{}", &signature).is_err());
    }
}
