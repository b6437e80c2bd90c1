//! A provider's keys (RFC 7517). Keys for other uses, and of kinds that are not taken, are passed over.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::algorithm::Algorithm;

/// Keys of one provider that are looked at, at most.
const MOST_KEYS: usize = 64;

/// The public keys of a provider.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A document that is no set of keys.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON Web Key Set: {0}")]
pub struct InvalidKeys(String);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm it is for, when it says so.
    only: Option<String>,
    material: Material,
}

/// What a key is made of.
#[derive(Clone, Debug)]
pub(super) enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a JWK Set. What cannot be used in it is passed over.
    ///
    /// # Errors
    /// [`InvalidKeys`] when it is none.
    pub fn parse(document: &[u8]) -> Result<Self, InvalidKeys> {
        let document: Document =
            serde_json::from_slice(document).map_err(|error| InvalidKeys(error.to_string()))?;
        let keys = document
            .keys
            .into_iter()
            .take(MOST_KEYS)
            .filter_map(key)
            .collect();
        Ok(Self { keys })
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none can.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that can have signed something with that algorithm and key id.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        name: &'a str,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Material> {
        self.keys
            .iter()
            .filter(move |key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
            .filter(move |key| key.only.as_deref().is_none_or(|only| only == name))
            .map(|key| &key.material)
            .filter(move |material| algorithm.fits(material))
    }
}

fn key(value: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    if jwk
        .key_ops
        .is_some_and(|operations| !operations.iter().any(|operation| operation == "verify"))
    {
        return None;
    }
    let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
    let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Material::Rsa {
            n: bytes(jwk.n)?,
            e: bytes(jwk.e)?,
        },
        ("EC", Some("P-256")) => Material::P256(point(bytes(jwk.x)?, bytes(jwk.y)?, 32)?),
        ("EC", Some("P-384")) => Material::P384(point(bytes(jwk.x)?, bytes(jwk.y)?, 48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(jwk.x).filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key {
        id: jwk.kid,
        only: jwk.alg,
        material,
    })
}

/// SEC 1's uncompressed form.
fn point(x: Vec<u8>, y: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [vec![4], x, y].concat())
}
