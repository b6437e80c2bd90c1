//! Reading: single objects, lists in pages, and the opening of watches.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::{Value, json};

use super::answer::Answer;
use super::request::{Call, Format};
use super::selector::Selector;
use super::{Api, table};
use crate::embedded::failure::Failure;
use crate::embedded::store::{Name, Stored};
use crate::embedded::watch::{self, Start, Wanted};

pub(super) fn get(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    let store = api.store();
    let name = Name::new(call.namespace, call.name);
    let stored = store
        .get(call.kind, &name)
        .ok_or_else(|| Failure::not_found(call.kind, call.name))?;
    Ok(match call.format {
        Format::Full => Answer::json(200, stored.json.clone()),
        Format::Metadata => Answer::json(200, metadata_only(stored)),
        Format::Table => {
            let objects = [stored.value()];
            Answer::ok(&table::table(call.kind, &objects, &json!({}), true))
        }
    })
}

/// An object's metadata alone.
pub(crate) fn metadata_only(stored: &Stored) -> Bytes {
    let mut value = stored.value();
    let metadata = value.get_mut("metadata").map(Value::take).unwrap_or_default();
    let partial =
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
    Bytes::from(partial.to_string())
}

pub(super) fn list(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    let selector = Selector::read(
        call.kind,
        call.query("labelSelector"),
        call.query("fieldSelector"),
    )?;
    let store = api.store();
    let mut revision = store.revision();
    let asked = call.number("resourceVersion").unwrap_or(0);
    if asked > revision {
        let mut failure = Failure::unnamed(
            504,
            format!("Too large resource version: {asked}, current: {revision}"),
        );
        failure.reason = "Timeout";
        return Err(failure.with_causes(&[crate::embedded::failure::Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".into(),
            field: String::new(),
        }]));
    }
    let after = match call.query("continue") {
        "" => None,
        token => {
            let (of, name) = read_token(token)
                .ok_or_else(|| Failure::bad_request("continue key is not valid: it cannot be read"))?;
            revision = of;
            Some(name)
        }
    };
    let limit = usize::try_from(call.number("limit").unwrap_or(0)).unwrap_or(usize::MAX);
    let mut items: Vec<&Arc<Stored>> = Vec::new();
    let mut rest = 0;
    let narrowed = selector
        .name()
        .filter(|_| !call.namespace.is_empty() || !call.kind.namespaced);
    if let Some(name) = narrowed {
        let found = store.get(call.kind, &Name::new(call.namespace, name));
        items.extend(found.filter(|stored| selector.matches(stored)));
    } else {
        for stored in store
            .list(call.kind, call.namespace, after)
            .filter(|s| selector.matches(s))
        {
            if limit > 0 && items.len() >= limit {
                rest += 1;
            } else {
                items.push(stored);
            }
        }
    }
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if rest > 0
        && let Some(last) = items.last()
    {
        metadata["continue"] = token(revision, &last.name).into();
        metadata["remainingItemCount"] = rest.into();
    }
    if call.format == Format::Table {
        let objects: Vec<Value> = items.iter().map(|s| s.value()).collect();
        return Ok(Answer::ok(&table::table(call.kind, &objects, &metadata, true)));
    }
    let partial = call.format == Format::Metadata;
    let (kind, version) = if partial {
        ("PartialObjectMetadata".to_owned(), "meta.k8s.io/v1".to_owned())
    } else {
        (call.kind.kind.to_owned(), call.kind.api_version())
    };
    let head =
        format!("{{\"kind\":\"{kind}List\",\"apiVersion\":\"{version}\",\"metadata\":{metadata},\"items\":[");
    let size = items.iter().map(|s| s.json.len() + 1).sum::<usize>() + head.len() + 2;
    let mut out = BytesMut::with_capacity(size);
    out.put_slice(head.as_bytes());
    for (index, stored) in items.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        if partial {
            out.put(metadata_only(stored));
        } else {
            out.put_slice(&stored.json);
        }
    }
    out.put_slice(b"]}");
    Ok(Answer::json(200, out.freeze()))
}

fn token(revision: u64, name: &Name) -> String {
    URL_SAFE_NO_PAD.encode(json!([revision, name.namespace, name.name]).to_string())
}

fn read_token(token: &str) -> Option<(u64, Name)> {
    let (revision, namespace, name): (u64, String, String) =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    Some((revision, Name { namespace, name }))
}

pub(super) fn watch(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    let selector = Selector::read(
        call.kind,
        call.query("labelSelector"),
        call.query("fieldSelector"),
    )?;
    let initial = call.is_set("sendInitialEvents");
    let start = match call.query("resourceVersion") {
        _ if initial => Start::Initial,
        "" | "0" => Start::Everything,
        text => Start::After(
            text.parse()
                .map_err(|_| Failure::bad_request(format!("invalid resource version \"{text}\"")))?,
        ),
    };
    let wanted = Wanted {
        kind: call.kind,
        namespace: call.namespace.to_owned(),
        selector,
        format: call.format,
        bookmarks: call.is_set("allowWatchBookmarks"),
        timeout: call.number("timeoutSeconds").filter(|seconds| *seconds > 0),
        start,
    };
    Ok(Answer::stream(watch::open(api, wanted)))
}
