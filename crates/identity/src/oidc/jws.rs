//! The compact form of a signed token (RFC 7515, RFC 7519).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{KeySet, LONGEST_TOKEN, Rejected, algorithm::Algorithm};

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Whether a text has the form of a signed token; says nothing about whose it is.
#[must_use]
pub fn looks_like_jwt(token: &str) -> bool {
    token.len() <= LONGEST_TOKEN && token.split('.').count() == 3
}

/// The issuer that a token claims, to know whose keys to ask for. Nothing of it is verified.
#[must_use]
pub fn issuer_unverified(token: &str) -> Option<String> {
    Some(claims_unverified(token)?.get("iss")?.as_str()?.to_owned())
}

/// What a token claims. Nothing of it is verified: it is only for whoever got the token from its issuer itself, over TLS.
#[must_use]
pub fn claims_unverified(token: &str) -> Option<Map<String, Value>> {
    if !looks_like_jwt(token) {
        return None;
    }
    object(token.split('.').nth(1)?)
}

/// The claims, once one of `keys` has signed them.
pub(super) fn verified(token: &str, keys: &KeySet) -> Result<Map<String, Value>, Rejected> {
    if token.len() > LONGEST_TOKEN {
        return Err(Rejected::Malformed("it is longer than 16 KiB"));
    }
    let (message, signature) = token
        .rsplit_once('.')
        .ok_or(Rejected::Malformed("it has no signature"))?;
    let (header, payload) = message
        .split_once('.')
        .filter(|(_, payload)| !payload.contains('.'))
        .ok_or(Rejected::Malformed("it has not three parts"))?;
    let header: Header = URL_SAFE_NO_PAD
        .decode(header)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(Rejected::Malformed("its header cannot be read"))?;
    if header.crit.is_some() {
        return Err(Rejected::Malformed("it has critical headers"));
    }
    // A logout token or a security event has the same issuer, audience and key.
    let typ = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    if !matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt") {
        return Err(Rejected::Malformed("it is a token of another type"));
    }
    let algorithm = Algorithm::by_name(&header.alg).ok_or(Rejected::Algorithm)?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Rejected::Malformed("its signature is no base64url"))?;
    let mut candidates = keys
        .candidates(algorithm, &header.alg, header.kid.as_deref())
        .peekable();
    if candidates.peek().is_none() {
        return Err(Rejected::UnknownKey);
    }
    if !candidates.any(|key| algorithm.verifies(key, message.as_bytes(), &signature)) {
        // Without an id the key may be one that is not known yet.
        return Err(match header.kid {
            Some(_) => Rejected::Signature,
            None => Rejected::UnknownKey,
        });
    }
    object(payload).ok_or(Rejected::Malformed("its claims cannot be read"))
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
