//! What the authority signs, and what it does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use berth_identity::{AGENT_LIFETIME, Authority, CaError, CaPin, Peer, certificate, key};
use berth_model::{ClusterName, FleetId, Timestamp, Uid};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384, SanType,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn fleet() -> FleetId {
    FleetId::new("f1").unwrap()
}

fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

fn uid() -> Uid {
    Uid::new("0b6e3c2a-7d6f-4c0e-9a55-0a2f4b0d7c11").unwrap()
}

fn authority() -> (tempfile::TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path(), now()).unwrap();
    (dir, authority)
}

fn issue(authority: &Authority, csr: &[u8]) -> Result<berth_identity::Issued, CaError> {
    authority.issue_agent(&fleet(), (&cluster("eu-1"), &uid()), csr, now(), AGENT_LIFETIME)
}

#[test]
fn a_restart_finds_the_same_authority_and_its_key_is_for_the_owner_alone() {
    let (dir, first) = authority();
    let second = Authority::load_or_create(dir.path(), now()).unwrap();
    assert_eq!(first.pin(), second.pin());
    assert_eq!(first.certificate_pem(), second.certificate_pem());
    assert_eq!(CaPin::of_pem(&first.certificate_pem()).unwrap(), first.pin());
    let mode = std::fs::metadata(dir.path().join("ca.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_key_without_certificate_is_completed_and_a_certificate_without_key_is_refused() {
    let (dir, first) = authority();
    std::fs::remove_file(dir.path().join("ca.crt")).unwrap();
    assert_eq!(
        Authority::load_or_create(dir.path(), now()).unwrap().pin(),
        first.pin()
    );
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    assert!(matches!(
        Authority::load_or_create(dir.path(), now()),
        Err(CaError::KeyMissing { .. })
    ));
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let (dir, _) = authority();
    let (other, _) = authority();
    std::fs::copy(other.path().join("ca.key"), dir.path().join("ca.key")).unwrap();
    assert!(matches!(
        Authority::load_or_create(dir.path(), now()),
        Err(CaError::Mismatch(_))
    ));
}

#[test]
fn of_a_request_only_the_public_key_is_taken() {
    let (_dir, authority) = authority();
    let pair = KeyPair::generate().unwrap();
    let mut greedy = CertificateParams::new(vec!["hub.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.subject_alt_names.push(SanType::URI(
        "spiffe://f1.berth.dev/user/admin".try_into().unwrap(),
    ));
    greedy.distinguished_name.push(rcgen::DnType::CommonName, "admin");
    greedy.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    greedy.custom_extensions = vec![CustomExtension::from_oid_content(
        &[1, 3, 6, 1, 4, 1, 99999, 1],
        vec![5, 0],
    )];
    let csr = greedy.serialize_request(&pair).unwrap();

    let issued = issue(&authority, csr.der()).unwrap();

    let der = certificate::first(&issued.certificate_pem).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(!parsed.is_ca());
    assert_eq!(parsed.subject().to_string(), "CN=eu-1");
    let usages = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usages.client_auth && !usages.server_auth && !usages.any);
    assert!(
        parsed
            .extensions()
            .iter()
            .all(|e| e.oid.to_id_string() != "1.3.6.1.4.1.99999.1")
    );
    let peer = Peer::of_certificate(&der, &fleet()).unwrap();
    assert_eq!(
        peer,
        Peer::Agent {
            cluster: cluster("eu-1"),
            uid: Some(uid()),
            key_sha256: issued.key_sha256
        }
    );
    assert!(key::belongs_to(&pair.serialize_pem(), &issued.certificate_pem));
    let validity = certificate::validity(&issued.certificate_pem).unwrap();
    assert_eq!(validity.not_after, now() + AGENT_LIFETIME);
    assert_eq!(validity.not_before, now() - Duration::from_secs(300));
}

#[test]
fn a_request_that_its_own_key_did_not_sign_is_refused() {
    let (_dir, authority) = authority();
    let mut csr = key::signing_request(&key::generate().unwrap()).unwrap();
    assert!(issue(&authority, &csr).is_ok());
    let last = csr.len() - 1;
    csr[last] ^= 1;
    assert!(matches!(issue(&authority, &csr), Err(CaError::BadRequest(_))));
    for wrong in [&b""[..], b"junk", &[0x30; 20_000]] {
        assert!(matches!(issue(&authority, wrong), Err(CaError::BadRequest(_))));
    }
}

#[test]
fn keys_of_other_algorithms_are_refused() {
    let (_dir, authority) = authority();
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let csr = CertificateParams::default().serialize_request(&pair).unwrap();
    assert!(matches!(
        issue(&authority, csr.der()),
        Err(CaError::BadRequest(_))
    ));
}

#[test]
fn the_agent_of_one_cluster_is_not_that_of_another_nor_of_another_fleet() {
    let (_dir, authority) = authority();
    let csr = key::signing_request(&key::generate().unwrap()).unwrap();
    let a = authority
        .issue_agent(&fleet(), (&cluster("a"), &uid()), &csr, now(), AGENT_LIFETIME)
        .unwrap();
    let der = certificate::first(&a.certificate_pem).unwrap();
    assert!(
        matches!(Peer::of_certificate(&der, &fleet()).unwrap(), Peer::Agent { cluster: name, .. } if name == cluster("a"))
    );
    assert!(Peer::of_certificate(&der, &FleetId::new("f2").unwrap()).is_err());
}

#[test]
fn a_server_certificate_is_nobody_and_a_user_is_a_user() {
    let (_dir, authority) = authority();
    let server = authority
        .issue_server(&["localhost".into(), "127.0.0.1".into()], now(), AGENT_LIFETIME)
        .unwrap();
    assert!(Peer::of_certificate(&certificate::first(&server.certificate_pem).unwrap(), &fleet()).is_err());
    assert!(matches!(
        authority.issue_server(&["bücher".into()], now(), AGENT_LIFETIME),
        Err(CaError::BadServerName(..))
    ));
    let admin = authority
        .issue_client(&fleet(), "admin", now(), AGENT_LIFETIME)
        .unwrap();
    let peer = Peer::of_certificate(&certificate::first(&admin.certificate_pem).unwrap(), &fleet()).unwrap();
    assert_eq!(peer, Peer::User { name: "admin".into() });
    assert!(matches!(
        authority.issue_client(&fleet(), "a/b", now(), AGENT_LIFETIME),
        Err(CaError::BadUser(_))
    ));
    assert!(!format!("{admin:?}").contains("KEY"));
}

#[test]
fn serial_numbers_differ_and_renewal_is_due_at_half_life() {
    let (_dir, authority) = authority();
    let csr = key::signing_request(&key::generate().unwrap()).unwrap();
    let serials: std::collections::BTreeSet<_> = (0..20)
        .map(|_| {
            let der = certificate::first(&issue(&authority, &csr).unwrap().certificate_pem).unwrap();
            X509Certificate::from_der(&der).unwrap().1.raw_serial().to_vec()
        })
        .collect();
    assert_eq!(serials.len(), 20);
    let validity = certificate::validity(&issue(&authority, &csr).unwrap().certificate_pem).unwrap();
    let whole = validity.not_after.as_second() - validity.not_before.as_second();
    assert_eq!(
        validity.renew_at().as_second() - validity.not_before.as_second(),
        whole / 2
    );
    assert!(!validity.expired(now()) && validity.expired(now() + AGENT_LIFETIME + Duration::from_secs(1)));
}
