//! The fields of a certificate: all of them the authority's own, but for the public key.

use std::time::Duration;

use berth_model::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

use super::CaError;
use crate::peer::SpiffeId;

const CA_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Clocks differ: what is issued is good from a little earlier, where it is good for long.
const BACKDATED: Duration = Duration::from_secs(300);
/// No sane request is longer.
const LONGEST_REQUEST: usize = 16 * 1024;

pub(crate) fn public_key_of(csr_der: &[u8]) -> Result<SubjectPublicKeyInfo, CaError> {
    let bad = |why: String| CaError::BadRequest(why);
    if csr_der.len() > LONGEST_REQUEST {
        return Err(bad(format!("longer than {LONGEST_REQUEST} bytes")));
    }
    let (rest, request) = X509CertificationRequest::from_der(csr_der).map_err(|e| bad(e.to_string()))?;
    if !rest.is_empty() {
        return Err(bad("something follows it".into()));
    }
    request
        .verify_signature()
        .map_err(|_| bad("its signature is not by its own key".into()))?;
    let spki = request.certification_request_info.subject_pki.raw;
    let key = SubjectPublicKeyInfo::from_der(spki).map_err(|e| bad(e.to_string()))?;
    if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(bad("its key is not ECDSA P-256".into()));
    }
    Ok(key)
}

pub(super) fn self_signed(key: &KeyPair, now: Timestamp) -> Result<String, CaError> {
    let mut params = params(super::AUTHORITY_NAME, now, CA_LIFETIME)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(key).map_err(|source| CaError::Sign {
        subject: "the authority".into(),
        source,
    })?;
    Ok(certificate.pem())
}

pub(super) fn leaf(
    name: &str,
    sans: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
    now: Timestamp,
    lifetime: Duration,
) -> Result<CertificateParams, CaError> {
    let mut params = params(name, now, lifetime)?;
    params.subject_alt_names = sans;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(name: &str, now: Timestamp, lifetime: Duration) -> Result<CertificateParams, CaError> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| CaError::Random)?;
    // Positive, and never with a leading zero: RFC 5280 section 4.1.2.2.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = |at: Timestamp| epoch + Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    let mut params = CertificateParams::default();
    params.not_before = since_epoch(before(now, BACKDATED.min(lifetime / 20)));
    params.not_after = since_epoch(after(now, lifetime));
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = subject;
    Ok(params)
}

pub(super) fn uri(id: &SpiffeId) -> Result<SanType, CaError> {
    let text = id.to_string();
    text.as_str()
        .try_into()
        .map(SanType::URI)
        .map_err(|source| CaError::Sign {
            subject: text,
            source,
        })
}

pub(super) fn new_key(subject: &str) -> Result<KeyPair, CaError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| CaError::Sign {
        subject: subject.to_owned(),
        source,
    })
}

pub(super) fn after(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn before(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}
