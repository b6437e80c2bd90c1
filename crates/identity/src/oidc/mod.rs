//! ID tokens of OpenID providers (OpenID Connect Core 1.0, RFC 7515, 7517, 7519): a token, the provider's keys and the time in,
//! a person out.
//!
//! Pure: keys are fetched elsewhere. The algorithms are a list of asymmetric ones, chosen by the key and never by the token alone:
//! `none` and the HMAC family do not exist here.

mod algorithm;
mod claims;
mod discovery;
mod jwk;
mod jws;
mod pkce;

pub use claims::{Person, Rules};
pub use discovery::{Discovery, InvalidDiscovery, is_safe_url};
pub use jwk::{InvalidKeys, KeySet};
pub use jws::{claims_unverified, issuer_unverified, looks_like_jwt};
pub use pkce::{Pkce, random_word};

use berth_model::Timestamp;

/// The longest token that is looked at.
pub const LONGEST_TOKEN: usize = 16 * 1024;

/// Why a token is not good. Never repeats the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is not three parts of base64url with JSON in them, or is too long.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Signed by an algorithm that is not on the list.
    #[error(
        "the token is signed by an algorithm that is not taken; RS256 to RS512, PS256 to PS512, ES256, ES384 and EdDSA are"
    )]
    Algorithm,
    /// No key of the provider has its id, or none fits its algorithm. The provider may have new ones.
    #[error("the token's key is not one of its provider")]
    UnknownKey,
    /// A key fits and the signature is not by it.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim says that it is not for us, not yet, or not any more.
    #[error("{0}")]
    Claim(String),
}

/// Who it is that the token was given to, when it is by one of `keys` and everything in it is as `rules` want it at `now`.
///
/// # Errors
/// [`Rejected`]; after [`Rejected::UnknownKey`] it is worth while to fetch the keys again.
pub fn verify(token: &str, keys: &KeySet, rules: &Rules, now: Timestamp) -> Result<Person, Rejected> {
    let payload = jws::verified(token, keys)?;
    rules.person(&payload, now)
}
