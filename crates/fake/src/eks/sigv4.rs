//! Who signed a request: AWS Signature Version 4, in headers and presigned, checked from the other side.
//!
//! Written against the specification (docs.aws.amazon.com, "Signature Version 4 signing process"), not with the signer
//! that clients use, so that a mistake in one does not hide in the other.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use http::HeaderMap;
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use ring::hmac;
use sha2::{Digest, Sha256};

use super::{ACCOUNT, refusal::Refusal};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far clocks may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// An access key of the fake account.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Whose it is.
    pub arn: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({} of {})", self.access_key_id, self.arn)
    }
}

/// All keys; the first is the account's own.
#[derive(Debug)]
pub(super) struct Keys(Mutex<Vec<AccessKey>>);

/// A key that is the same in every run, so that clients of an earlier one go on. It opens nothing but a fake.
fn key(name: &str) -> AccessKey {
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    AccessKey {
        access_key_id: format!("AKIA{}", digest[..16].to_uppercase()),
        secret_access_key: digest[24..].to_owned(),
        arn: format!("arn:aws:iam::{ACCOUNT}:user/{name}"),
    }
}

impl Keys {
    pub(super) fn new() -> Self {
        Self(Mutex::new(vec![key("berth-hub")]))
    }

    pub(super) fn first(&self) -> AccessKey {
        key("berth-hub")
    }

    pub(super) fn add(&self, name: &str) -> AccessKey {
        let key = key(name);
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.contains(&key) {
            keys.push(key.clone());
        }
        key
    }

    fn find(&self, id: &str) -> Option<AccessKey> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|key| key.access_key_id == id).cloned()
    }
}

/// A request as it was signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// As on the wire, percent-encoded.
    pub(super) path: &'a str,
    /// As on the wire.
    pub(super) query: &'a str,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) body: &'a [u8],
}

fn refused(code: &str, message: &str) -> Refusal {
    Refusal::new(403, code, message)
}

/// Header names in lower case with their values, joined where repeated.
pub(super) fn headers(map: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
        all.entry(name.as_str().to_owned())
            .and_modify(|have| *have = format!("{have},{value}"))
            .or_insert(value);
    }
    all
}

/// Whose key signed the request's headers.
pub(super) fn caller(
    keys: &Keys,
    request: &Signed<'_>,
    service: &str,
    now: Timestamp,
) -> Result<AccessKey, Refusal> {
    let header = |name: &str| request.headers.get(name).map(String::as_str).unwrap_or_default();
    let Some(fields) = header("authorization").strip_prefix(ALGORITHM) else {
        return Err(refused(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    };
    let field = |name: &str| {
        let prefix = format!("{name}=");
        fields
            .split(',')
            .find_map(|field| field.trim().strip_prefix(&prefix).map(str::to_owned))
    };
    let (Some(credential), Some(names), Some(signature)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"))
    else {
        return Err(refused(
            "IncompleteSignatureException",
            "Authorization header lacks a part",
        ));
    };
    let date = header("x-amz-date");
    fresh(date, SKEW, now)?;
    let payload = match header("x-amz-content-sha256") {
        "" => hex::encode(Sha256::digest(request.body)),
        stated if stated == hex::encode(Sha256::digest(request.body)) => stated.to_owned(),
        _ => {
            return Err(refused(
                "InvalidSignatureException",
                "The payload is not the one that was signed",
            ));
        }
    };
    // Every service but S3 signs the path encoded once more than it is sent.
    let path = encode(request.path, true);
    verify(
        keys,
        &credential,
        service,
        date,
        &signature,
        |names_| canonical(request, &path, names_, &payload, None),
        &names,
    )
}

/// Whose key presigned the request's query.
pub(super) fn presigner(
    keys: &Keys,
    request: &Signed<'_>,
    service: &str,
    lifetime: SignedDuration,
    now: Timestamp,
) -> Result<AccessKey, Refusal> {
    let query = parse_query(request.query);
    let value = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    };
    if value("X-Amz-Algorithm") != ALGORITHM {
        return Err(refused(
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ));
    }
    let date = value("X-Amz-Date");
    fresh(date, lifetime, now)?;
    let payload = hex::encode(Sha256::digest(request.body));
    let path = encode(request.path, true);
    verify(
        keys,
        value("X-Amz-Credential"),
        service,
        date,
        value("X-Amz-Signature"),
        |names| canonical(request, &path, names, &payload, Some("X-Amz-Signature")),
        value("X-Amz-SignedHeaders"),
    )
}

fn fresh(date: &str, lifetime: SignedDuration, now: Timestamp) -> Result<(), Refusal> {
    let signed = DateTime::strptime("%Y%m%dT%H%M%SZ", date)
        .and_then(|date| date.to_zoned(TimeZone::UTC))
        .map_err(|_| {
            refused(
                "IncompleteSignatureException",
                "Date must be in ISO-8601 basic format",
            )
        })?
        .timestamp();
    let age = now.duration_since(signed);
    if age > lifetime || age < -SKEW {
        return Err(refused(
            "InvalidSignatureException",
            "Signature expired or not yet current",
        ));
    }
    Ok(())
}

fn verify(
    keys: &Keys,
    credential: &str,
    service: &str,
    date: &str,
    signature: &str,
    canonical: impl Fn(&[&str]) -> Option<String>,
    signed_headers: &str,
) -> Result<AccessKey, Refusal> {
    let mismatch = || {
        refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided",
        )
    };
    let parts: Vec<&str> = credential.split('/').collect();
    let [id, day, region, of, "aws4_request"] = parts[..] else {
        return Err(refused(
            "IncompleteSignatureException",
            "Credential must have the form id/date/region/service/aws4_request",
        ));
    };
    if of != service || !date.starts_with(day) {
        return Err(refused(
            "InvalidSignatureException",
            "Credential should be scoped to the correct service and date",
        ));
    }
    let Some(key) = keys.find(id) else {
        return Err(refused(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ));
    };
    let names: Vec<&str> = signed_headers.split(';').collect();
    if !names.contains(&"host") {
        return Err(mismatch());
    }
    let canonical = canonical(&names).ok_or_else(mismatch)?;
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{digest}");
    let seed = format!("AWS4{}", key.secret_access_key).into_bytes();
    let derived = [day, region, service, "aws4_request"]
        .iter()
        .fold(seed, |key, part| mac(&key, part.as_bytes()));
    let verifier = hmac::Key::new(hmac::HMAC_SHA256, &derived);
    let signature = hex::decode(signature).map_err(|_| mismatch())?;
    hmac::verify(&verifier, to_sign.as_bytes(), &signature).map_err(|_| mismatch())?;
    Ok(key)
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
        .as_ref()
        .to_vec()
}

/// The canonical request; none when a signed header is not there.
fn canonical(
    request: &Signed<'_>,
    path: &str,
    names: &[&str],
    payload: &str,
    without: Option<&str>,
) -> Option<String> {
    let mut query: Vec<(String, String)> = parse_query(request.query)
        .into_iter()
        .filter(|(key, _)| Some(key.as_str()) != without)
        .map(|(key, value)| (encode(&key, false), encode(&value, false)))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut headers = String::new();
    for name in names {
        let value = request.headers.get(*name)?;
        let value: Vec<&str> = value.split_whitespace().collect();
        headers.push_str(&format!("{name}:{}\n", value.join(" ")));
    }
    let path = if path.is_empty() { "/" } else { path };
    Some(format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{payload}",
        request.method,
        query.join("&"),
        names.join(";")
    ))
}

/// Percent-encodes all but unreserved characters; `/` stays in paths.
fn encode(text: &str, path: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if path => out.push('/'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Percent-decodes; nothing that is no UTF-8 comes out of it unharmed.
pub(super) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%' && tail.len() >= 2)
            .then(|| hex::decode(&tail[..2]).ok())
            .flatten();
        match escaped.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The pairs of a query, decoded.
pub(super) fn parse_query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "get-vanilla-query-order-key-case" of AWS's own Signature Version 4 test suite.
    #[test]
    fn the_example_of_aws_verifies_and_nothing_else_does() {
        let keys = Keys(Mutex::new(vec![AccessKey {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            arn: "arn:aws:iam::111122223333:user/example".into(),
        }]));
        let signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let headers = BTreeMap::from([
            ("host".to_owned(), "example.amazonaws.com".to_owned()),
            ("x-amz-date".to_owned(), "20150830T123600Z".to_owned()),
            ("authorization".to_owned(), authorization),
        ]);
        let ask = |query: &str, now: &str| {
            let request = Signed {
                method: "GET",
                path: "/",
                query,
                headers: &headers,
                body: b"",
            };
            caller(&keys, &request, "service", now.parse().unwrap()).map(|key| key.access_key_id)
        };
        let query = "Param2=value2&Param1=value1";
        assert_eq!(ask(query, "2015-08-30T12:36:00Z"), Ok("AKIDEXAMPLE".into()));
        assert!(ask("Param2=value2&Param1=other", "2015-08-30T12:36:00Z").is_err());
        assert!(ask(query, "2015-08-30T12:46:00Z").is_err());
    }

    #[test]
    fn a_query_is_decoded_once() {
        assert_eq!(
            parse_query("a=x%2Fy&b=%2520&c"),
            [
                ("a".into(), "x/y".into()),
                ("b".into(), "%20".into()),
                ("c".into(), String::new())
            ]
        );
        assert_eq!(decode("100%"), "100%");
    }
}
