//! What a request asks: its path, query and headers read into a call on a kind.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use serde_json::Value;

use super::reviews::Review;
use crate::embedded::failure::Failure;
use crate::embedded::kinds::{Kind, by_plural};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Apply,
    Delete,
    DeleteCollection,
    Other,
}

/// How the answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Full,
    Metadata,
    Table,
}

/// Where a request goes.
#[derive(Debug)]
pub(crate) enum Target<'r> {
    /// Discovery, health and the like, by path.
    Plain(Vec<&'r str>),
    /// A question about users, tokens or rights.
    Review(Review, Call<'r>),
    /// Objects of a kind.
    Objects(Call<'r>),
}

/// A request on a kind.
#[derive(Debug)]
pub(crate) struct Call<'r> {
    pub(crate) verb: Verb,
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: &'r str,
    pub(crate) name: &'r str,
    pub(crate) subresource: &'r str,
    pub(crate) format: Format,
    pub(crate) content_type: &'r str,
    pub(crate) body: &'r Bytes,
    query: HashMap<Cow<'r, str>, Cow<'r, str>>,
    user_agent: &'r str,
}

impl Call<'_> {
    /// A query parameter; empty when it is missing.
    pub(crate) fn query(&self, key: &str) -> &str {
        self.query.get(key).map_or("", AsRef::as_ref)
    }

    pub(crate) fn is_set(&self, key: &str) -> bool {
        matches!(self.query(key), "true" | "1")
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.query(key).parse().ok()
    }

    /// Who is recorded as the writer: the `fieldManager` given, else the first word of the user agent.
    pub(crate) fn manager(&self) -> &str {
        match self.query("fieldManager") {
            "" => {
                let name = self.user_agent.split('/').next().unwrap_or_default();
                let end = name.char_indices().nth(128).map_or(name.len(), |(i, _)| i);
                &name[..end]
            }
            manager => manager,
        }
    }

    /// The body as an object; JSON, or YAML where it is said to be.
    pub(crate) fn object(&self) -> Result<Value, Failure> {
        decode(self.body, self.content_type)
    }
}

/// Reads JSON or YAML into an object.
pub(crate) fn decode(body: &[u8], content_type: &str) -> Result<Value, Failure> {
    let value: Value = if content_type.contains("yaml") && !body.trim_ascii_start().starts_with(b"{") {
        let text = std::str::from_utf8(body)
            .map_err(|e| Failure::bad_request(format!("error decoding YAML: {e}")))?;
        serde_saphyr::from_str(text).map_err(|e| Failure::bad_request(format!("error decoding YAML: {e}")))?
    } else if content_type.contains("protobuf") || content_type.contains("cbor") {
        return Err(Failure::unsupported_media_type(&[
            "application/json",
            "application/yaml",
        ]));
    } else {
        serde_json::from_slice(body)
            .map_err(|e| Failure::bad_request(format!("couldn't get version/kind; json parse error: {e}")))?
    };
    if value.is_object() {
        Ok(value)
    } else {
        Err(Failure::bad_request("the body is no object"))
    }
}

/// Reads a request.
///
/// # Errors
/// A path that is not served, or a method it does not take.
pub(crate) fn read<'r>(parts: &'r http::request::Parts, body: &'r Bytes) -> Result<Target<'r>, Failure> {
    let segments: Vec<&str> = parts.uri.path().split('/').filter(|s| !s.is_empty()).collect();
    let (group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Ok(Target::Plain(segments)),
    };
    if let [plural] = rest
        && let Some(review) = Review::by_path(group, version, plural)
    {
        let call = call(parts, body, crate::embedded::kinds::namespace(), "", "", "")?;
        return Ok(Target::Review(review, call));
    }
    let kind = |plural: &str| by_plural(group, version, plural);
    let (kind, namespace, name, subresource) = match rest {
        ["namespaces", namespace, plural, more @ ..] if kind(plural).is_some_and(|k| k.namespaced) => {
            let kind = kind(plural).ok_or_else(Failure::no_such_path)?;
            match more {
                [] => (kind, *namespace, "", ""),
                [name] => (kind, *namespace, *name, ""),
                [name, subresource] => (kind, *namespace, *name, *subresource),
                _ => return Err(Failure::no_such_path()),
            }
        }
        [plural, more @ ..] => {
            let kind = kind(plural).ok_or_else(Failure::no_such_path)?;
            match more {
                [] => (kind, "", "", ""),
                [name] if !kind.namespaced => (kind, "", *name, ""),
                [name, subresource] if !kind.namespaced => (kind, "", *name, *subresource),
                _ => return Err(Failure::no_such_path()),
            }
        }
        [] => return Err(Failure::no_such_path()),
    };
    let call = call(parts, body, kind, namespace, name, subresource)?;
    let reads = matches!(call.verb, Verb::List | Verb::Watch);
    if kind.namespaced && namespace.is_empty() && !reads {
        return Err(Failure::method_not_allowed());
    }
    if subresource == "status" && !kind.status {
        return Err(Failure::no_such_path());
    }
    Ok(Target::Objects(call))
}

fn call<'r>(
    parts: &'r http::request::Parts,
    body: &'r Bytes,
    kind: &'static Kind,
    namespace: &'r str,
    name: &'r str,
    subresource: &'r str,
) -> Result<Call<'r>, Failure> {
    let query: HashMap<_, _> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (unescape(key), unescape(value)))
        .collect();
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let content_type = header(CONTENT_TYPE);
    let watch = matches!(query.get("watch").map(AsRef::as_ref), Some("true" | "1"));
    let verb = match (&parts.method, name.is_empty()) {
        (&Method::GET, true) if watch => Verb::Watch,
        (&Method::GET, true) => Verb::List,
        (&Method::GET, false) => Verb::Get,
        (&Method::POST, true) => Verb::Create,
        (&Method::POST, false) if !subresource.is_empty() => Verb::Create,
        (&Method::PUT, false) => Verb::Update,
        (&Method::PATCH, false) if content_type.starts_with("application/apply-patch") => Verb::Apply,
        (&Method::PATCH, false) => Verb::Patch,
        (&Method::DELETE, true) => Verb::DeleteCollection,
        (&Method::DELETE, false) => Verb::Delete,
        _ => return Err(Failure::method_not_allowed()),
    };
    let format = format(header(ACCEPT));
    let user_agent = header(USER_AGENT);
    Ok(Call {
        verb,
        kind,
        namespace,
        name,
        subresource,
        format,
        content_type,
        body,
        query,
        user_agent,
    })
}

/// The first wanted form that can be given.
fn format(accept: &str) -> Format {
    for option in accept.split(',') {
        if option.contains("as=PartialObjectMetadata") {
            return Format::Metadata;
        }
        if option.contains("as=Table") && option.contains("v=v1;") | option.trim_end().ends_with("v=v1") {
            return Format::Table;
        }
        if option.contains("json") && !option.contains("as=") || option.contains("*/*") {
            return Format::Full;
        }
    }
    Format::Full
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let escaped = text.get(index + 1..index + 3).filter(|_| bytes[index] == b'%');
        match (
            bytes[index],
            escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()),
        ) {
            (_, Some(byte)) => {
                out.push(byte);
                index += 2;
            }
            (b'+', None) => out.push(b' '),
            (byte, None) => out.push(byte),
        }
        index += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_unescaped() {
        assert_eq!(unescape("a%3Db%2Cc+d%"), "a=b,c d%");
    }

    #[test]
    fn the_first_form_that_can_be_given_is_taken() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(format(kubectl), Format::Table);
        assert_eq!(
            format("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
            Format::Metadata
        );
        assert_eq!(
            format("application/vnd.kubernetes.protobuf, application/json"),
            Format::Full
        );
    }
}
