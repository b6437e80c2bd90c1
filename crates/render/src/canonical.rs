//! The one way to write objects down: JSON lines with sorted keys and no blanks, so that equal content has an equal digest.

use berth_model::{Digest, Object};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Why bytes are no objects.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the encoded objects cannot be read")]
pub struct DecodeError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

/// Writes objects down, one line each, in their order.
#[must_use]
pub fn encode(objects: &[Object]) -> Vec<u8> {
    let mut out = String::new();
    for object in objects {
        out.push_str("{\"appliedAs\":");
        write(&serde_json::json!(object.applied_as), &mut out);
        out.push_str(",\"manifest\":");
        write(&object.manifest, &mut out);
        out.push_str(",\"phase\":");
        write(&serde_json::json!(object.phase), &mut out);
        out.push_str("}\n");
    }
    out.into_bytes()
}

/// Reads them back.
///
/// # Errors
/// [`DecodeError`] names the line that is no object.
pub fn decode(bytes: &[u8]) -> Result<Vec<Object>, DecodeError> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| serde_json::from_slice(line).map_err(|source| DecodeError { line: at + 1, source }))
        .collect()
}

/// The digest of encoded objects: SHA-256 over the bytes.
#[must_use]
#[expect(clippy::expect_used, reason = "SHA-256 always has 64 hexadecimal digits")]
pub fn digest(encoded: &[u8]) -> Digest {
    Digest::new(hex::encode(Sha256::digest(encoded))).expect("64 lower-case hexadecimal digits")
}

/// Sorts keys itself: whether `serde_json` does depends on features that another crate of a build may switch on.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_model::assignment::{AppliedAs, ApplyPhase};
    use proptest::prelude::*;
    use serde_json::json;

    fn object(manifest: Value) -> Object {
        Object {
            phase: ApplyPhase::Workload,
            applied_as: AppliedAs::Deployer,
            manifest,
        }
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let line = encode(&[object(
            json!({"z": {"b": 1, "a": [{"d": null, "c": "\n"}]}, "y": true}),
        )]);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"appliedAs\":\"deployer\",\"manifest\":{\"y\":true,\"z\":{\"a\":[{\"c\":\"\\n\",\"d\":null}],\"b\":1}},\"phase\":\"workload\"}\n"
        );
    }

    #[test]
    fn a_line_that_is_no_object_is_named() {
        let mut bytes = encode(&[object(json!({}))]);
        bytes.extend_from_slice(b"{\"phase\":\"lunch\"}\n");
        assert_eq!(decode(&bytes).unwrap_err().line, 2);
    }

    fn json_values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("JSON has no others", |f| f.is_finite())
                .prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(manifests in proptest::collection::vec(json_values(), 0..4)) {
            let objects: Vec<_> = manifests.into_iter().map(object).collect();
            let bytes = encode(&objects);
            let decoded = decode(&bytes).unwrap();
            prop_assert_eq!(&decoded, &objects);
            prop_assert_eq!(encode(&decoded), bytes);
        }
    }
}
