//! What ID tokens are taken, and what is tried to have others taken.
//!
//! `rsa-keys.json` and `rsa-tokens.json` were made by OpenSSL with a key that was thrown away: ring makes no RSA keys.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_identity::oidc::{self, KeySet, Person, Rejected, Rules};
use berth_model::Timestamp;
use proptest::prelude::*;
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _,
    },
};
use serde_json::{Value, json};

/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn rules() -> Rules {
    Rules {
        issuer: "https://id.example.com".into(),
        audiences: vec!["berth".into(), "berth-cli".into()],
        username_claim: "email".into(),
        username_prefix: String::new(),
        groups_claim: "groups".into(),
        groups_prefix: "corp:".into(),
        skew: Duration::from_secs(60),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "berth", "sub": "1", "email": "alice@example.com",
        "email_verified": true, "groups": ["dev", "ops", "dev"], "iat": NOW - 10, "exp": NOW + 300, "jti": "t1",
    })
}

/// A provider with one P-256 key.
struct Provider(EcdsaKeyPair);

impl Provider {
    fn new() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        let point = &self.0.public_key().as_ref()[1..];
        json!({"kty": "EC", "crv": "P-256", "kid": id, "x": b64(&point[..32]), "y": b64(&point[32..])})
    }

    fn keys(&self) -> KeySet {
        keys(&[self.jwk("k1")])
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), claims)
    }

    fn says(&self, claims: &Value) -> Result<Person, Rejected> {
        oidc::verify(&self.token(claims), &self.keys(), &rules(), now())
    }
}

fn keys(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// `claims()` with these ones changed; null takes one out.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

#[test]
fn a_good_token_says_who_somebody_is_and_in_which_groups() {
    let person = Provider::new().says(&claims()).unwrap();
    assert_eq!(
        person,
        Person {
            name: "alice@example.com".into(),
            groups: vec!["corp:dev".into(), "corp:ops".into()],
            subject: "1".into(),
            token_id: Some("t1".into()),
            expires_at: Timestamp::from_second(NOW + 300).unwrap(),
        }
    );
}

#[test]
fn every_rsa_algorithm_of_the_list_is_verified_and_none_by_another_one() {
    let keys = KeySet::parse(include_bytes!("rsa-keys.json")).unwrap();
    let tokens: BTreeMap<String, String> = serde_json::from_str(include_str!("rsa-tokens.json")).unwrap();
    assert_eq!(tokens.len(), 6);
    for (algorithm, token) in &tokens {
        let person = oidc::verify(token, &keys, &rules(), now());
        assert_eq!(person.unwrap().name, "alice@example.com", "{algorithm}");
        for other in tokens.keys().filter(|other| *other != algorithm) {
            let (_, rest) = token.split_once('.').unwrap();
            let header = b64(json!({"alg": other, "kid": "rsa"}).to_string());
            let refused = oidc::verify(&format!("{header}.{rest}"), &keys, &rules(), now());
            assert_eq!(refused, Err(Rejected::Signature), "{algorithm} as {other}");
        }
    }
}

#[test]
fn p384_and_ed25519_are_verified_too() {
    let random = SystemRandom::new();
    let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
    let p384 = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, p384.as_ref(), &random).unwrap();
    let ed = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
    let point = &p384.public_key().as_ref()[1..];
    let set = keys(&[
        json!({"kty": "EC", "crv": "P-384", "kid": "a", "x": b64(&point[..48]), "y": b64(&point[48..])}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "b", "x": b64(ed.public_key().as_ref())}),
    ]);
    let message = |header: Value| format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
    let first = message(json!({"alg": "ES384", "kid": "a"}));
    let second = message(json!({"alg": "EdDSA", "kid": "b"}));
    let signed = [
        format!("{first}.{}", b64(p384.sign(&random, first.as_bytes()).unwrap())),
        format!("{second}.{}", b64(ed.sign(second.as_bytes()))),
    ];
    for token in signed {
        assert!(oidc::verify(&token, &set, &rules(), now()).is_ok());
    }
}

#[test]
fn an_unsigned_token_is_never_taken_however_none_is_written() {
    let provider = Provider::new();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let message = format!(
            "{}.{}",
            b64(json!({"alg": none, "kid": "k1"}).to_string()),
            b64(claims().to_string())
        );
        for token in [format!("{message}."), format!("{message}.AAAA")] {
            let refused = oidc::verify(&token, &provider.keys(), &rules(), now());
            assert_eq!(refused, Err(Rejected::Algorithm), "{none}");
        }
    }
}

#[test]
fn a_token_signed_with_the_public_key_as_a_shared_secret_is_not_taken() {
    let provider = Provider::new();
    for secret in [
        provider.0.public_key().as_ref().to_vec(),
        provider.jwk("k1").to_string().into_bytes(),
        Vec::new(),
    ] {
        let header = b64(json!({"alg": "HS256", "kid": "k1"}).to_string());
        let message = format!("{header}.{}", b64(claims().to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let token = format!("{message}.{}", b64(tag));
        assert_eq!(
            oidc::verify(&token, &provider.keys(), &rules(), now()),
            Err(Rejected::Algorithm)
        );
    }
}

#[test]
fn a_key_id_leads_to_no_key_of_another_kind_use_or_algorithm() {
    let provider = Provider::new();
    let token = provider.token(&claims());
    let verify = |token: &str, set: &KeySet| oidc::verify(token, set, &rules(), now());
    // The id is there, and the key is of another kind.
    let rsa: Value = serde_json::from_slice(include_bytes!("rsa-keys.json")).unwrap();
    let mut confused = rsa["keys"][0].clone();
    confused["kid"] = "k1".into();
    assert_eq!(verify(&token, &keys(&[confused])), Err(Rejected::UnknownKey));
    // Another provider's key with the same id.
    assert_eq!(verify(&token, &Provider::new().keys()), Err(Rejected::Signature));
    // The right key, which is for something else.
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("key_ops", json!(["sign"])),
    ] {
        let mut key = provider.jwk("k1");
        key[name] = value;
        assert_eq!(verify(&token, &keys(&[key])), Err(Rejected::UnknownKey), "{name}");
    }
    // The id of nobody, although the key is there.
    assert_eq!(
        verify(&token, &keys(&[provider.jwk("k2")])),
        Err(Rejected::UnknownKey)
    );
    // A key that the token brings along itself is not looked at.
    let evil = Provider::new();
    let header =
        json!({"alg": "ES256", "kid": "k1", "jwk": evil.jwk("k1"), "jku": "https://evil.example/keys"});
    assert_eq!(
        verify(&evil.sign(&header, &claims()), &provider.keys()),
        Err(Rejected::Signature)
    );
}

#[test]
fn without_a_key_id_any_fitting_key_may_have_signed() {
    let (provider, other) = (Provider::new(), Provider::new());
    let token = provider.sign(&json!({"alg": "ES256"}), &claims());
    let both = keys(&[other.jwk("a"), provider.jwk("b")]);
    assert!(oidc::verify(&token, &both, &rules(), now()).is_ok());
    let without = keys(&[other.jwk("a")]);
    assert_eq!(
        oidc::verify(&token, &without, &rules(), now()),
        Err(Rejected::UnknownKey)
    );
}

#[test]
fn a_changed_token_is_not_taken_wherever_it_was_changed() {
    let provider = Provider::new();
    let token = provider.token(&claims());
    let [header, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let forged = b64(with(json!({"email": "root@example.com"})).to_string());
    for wrong in [
        format!("{header}.{forged}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{}", b64([0_u8; 64])),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}=.{payload}.{signature}"),
        format!(" {token}"),
        String::new(),
        "..".into(),
    ] {
        assert!(
            oidc::verify(&wrong, &provider.keys(), &rules(), now()).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn tokens_of_other_types_and_with_critical_headers_are_not_taken() {
    let provider = Provider::new();
    for header in [
        json!({"alg": "ES256", "kid": "k1", "typ": "logout+jwt"}),
        json!({"alg": "ES256", "kid": "k1", "typ": "secevent+jwt"}),
        json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}),
    ] {
        let token = provider.sign(&header, &claims());
        let refused = oidc::verify(&token, &provider.keys(), &rules(), now());
        assert!(matches!(refused, Err(Rejected::Malformed(_))), "{header}");
    }
}

#[test]
fn a_giant_token_is_not_looked_at() {
    let provider = Provider::new();
    let refused = provider.says(&with(json!({"padding": "x".repeat(oidc::LONGEST_TOKEN)})));
    assert!(matches!(refused, Err(Rejected::Malformed(_))));
}

#[test]
fn a_token_is_good_from_its_first_to_its_last_second_and_a_skew_around_them() {
    let provider = Provider::new();
    for (changes, good) in [
        (json!({"exp": NOW + 1}), true),
        (json!({"exp": NOW - 59}), true),
        (json!({"exp": NOW - 60}), false),
        (json!({"exp": NOW - 3600}), false),
        (json!({"exp": null}), false),
        (json!({"exp": "soon"}), false),
        (json!({"exp": f64::from(i32::MAX) + 0.5}), true),
        (json!({"exp": i64::MAX}), false),
        (json!({"exp": -1}), false),
        (json!({"nbf": NOW + 60}), true),
        (json!({"nbf": NOW + 61}), false),
        (json!({"iat": NOW + 61}), false),
        (json!({"iat": null}), true),
    ] {
        assert_eq!(provider.says(&with(changes.clone())).is_ok(), good, "{changes}");
    }
}

#[test]
fn a_token_for_others_is_not_taken() {
    let provider = Provider::new();
    for (changes, good) in [
        (json!({"aud": "berth-cli"}), true),
        (json!({"aud": ["berth"]}), true),
        (json!({"aud": "other"}), false),
        (json!({"aud": "Berth"}), false),
        (json!({"aud": []}), false),
        (json!({"aud": null}), false),
        (json!({"aud": ["berth", 1]}), false),
        (json!({"aud": ["other", "berth"]}), false),
        (json!({"aud": ["other", "berth"], "azp": "berth"}), true),
        (json!({"aud": ["other", "berth"], "azp": "other"}), false),
        (json!({"aud": "berth", "azp": "other"}), false),
        (json!({"iss": "https://id.example.com/"}), false),
        (json!({"iss": "https://evil.example"}), false),
        (json!({"iss": null}), false),
        (json!({"sub": null}), false),
        (json!({"sub": ""}), false),
    ] {
        assert_eq!(provider.says(&with(changes.clone())).is_ok(), good, "{changes}");
    }
}

#[test]
fn an_address_that_its_provider_has_not_verified_names_nobody() {
    let provider = Provider::new();
    for (changes, good) in [
        (json!({"email_verified": null}), true),
        (json!({"email_verified": "true"}), true),
        (json!({"email_verified": false}), false),
        (json!({"email_verified": "false"}), false),
        (json!({"email_verified": 1}), false),
        (json!({"email": null}), false),
        (json!({"email": ""}), false),
        (json!({"email": 1}), false),
        (json!({"email": "a\u{1b}[2Jb@example.com"}), false),
        (json!({"email": "a\nb@example.com"}), false),
        (json!({"email": "x".repeat(300)}), false),
    ] {
        assert_eq!(provider.says(&with(changes.clone())).is_ok(), good, "{changes}");
    }
}

#[test]
fn groups_are_a_text_or_a_list_of_texts() {
    let provider = Provider::new();
    let groups = |value: Value| {
        provider
            .says(&with(json!({ "groups": value })))
            .map(|person| person.groups)
    };
    assert_eq!(groups(json!("dev")).unwrap(), ["corp:dev"]);
    assert!(groups(Value::Null).unwrap().is_empty());
    for wrong in [
        json!({"a": 1}),
        json!(["a", 1]),
        json!(7),
        json!(["a\u{7}"]),
        json!(vec!["a"; 600]),
    ] {
        assert!(groups(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn a_prefix_keeps_providers_from_speaking_of_each_others_people() {
    let provider = Provider::new();
    let rules = Rules {
        username_claim: "sub".into(),
        username_prefix: "github:".into(),
        groups_claim: String::new(),
        ..rules()
    };
    let person = oidc::verify(&provider.token(&claims()), &provider.keys(), &rules, now()).unwrap();
    assert_eq!((person.name.as_str(), person.groups.len()), ("github:1", 0));
}

#[test]
fn no_rejection_repeats_the_token_or_a_claim_of_it() {
    let provider = Provider::new();
    for changes in [
        json!({"exp": 1}),
        json!({"aud": "PLANTED"}),
        json!({"iss": "PLANTED"}),
        json!({"azp": "PLANTED"}),
        json!({"email": "PLANTED\u{1b}"}),
        json!({"groups": {"PLANTED": 1}}),
    ] {
        let refused = provider.says(&with(changes)).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("PLANTED"), "{refused}");
    }
}

#[test]
fn keys_that_cannot_be_used_are_passed_over() {
    let provider = Provider::new();
    let set = keys(&[
        json!({"kty": "oct", "kid": "k1", "k": "AAAA"}),
        json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "k1", "x": "AAAA", "y": "AAAA"}),
        json!("no key"),
        provider.jwk("k1"),
    ]);
    assert_eq!(set.len(), 1);
    assert!(oidc::verify(&provider.token(&claims()), &set, &rules(), now()).is_ok());
    assert!(KeySet::parse(b"[]").is_err());
    assert!(KeySet::parse(b"<html>").is_err());
}

proptest! {
    #[test]
    fn no_text_panics(token in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}|.*", document in ".*") {
        let set = Provider::new().keys();
        prop_assert!(oidc::verify(&token, &set, &rules(), now()).is_err());
        let _ = oidc::issuer_unverified(&token);
        let _ = KeySet::parse(document.as_bytes());
    }

    #[test]
    fn no_claims_panic(name in "iss|aud|azp|sub|exp|nbf|iat|email|email_verified|groups|jti", value in "[0-9.eE+-]{1,20}|\"[a-z]{0,5}\"|\\[\\]|\\{\\}|true|null") {
        if let Ok(value) = serde_json::from_str::<Value>(&value) {
            let mut claims = claims();
            claims[name.as_str()] = value;
            let _ = Provider::new().says(&claims);
        }
    }
}
