//! The objects of an assignment as bytes: one canonical JSON line each, zstd around them, SHA-256 of the lines as their digest.
//!
//! Canonical means keys in order and no white space, so equal objects are equal bytes. The digest is of the lines, never of
//! the compressed form, which may differ between versions of zstd.

use std::io::Read as _;

use berth_model::{Digest, InvalidId, Object};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Level that is quick to make; the objects of a tenant shrink to a tenth with it.
const LEVEL: i32 = 3;

/// Why bytes are no objects.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// A line is not an object.
    #[error("read object {line} of an assignment")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An object cannot be written.
    #[error("write an object of an assignment")]
    Write(#[source] serde_json::Error),
    /// Not zstd, or cut short.
    #[error("decompress the objects of an assignment")]
    Decompress(#[source] std::io::Error),
    /// zstd itself fails.
    #[error("compress the objects of an assignment")]
    Compress(#[source] std::io::Error),
    /// More than the reader takes.
    #[error("the objects of an assignment are larger than {limit} bytes")]
    TooLarge {
        /// How much it takes.
        limit: usize,
    },
    /// The digest is not one.
    #[error(transparent)]
    Digest(#[from] InvalidId),
}

/// One canonical JSON line per object.
///
/// # Errors
/// [`ObjectsError::Write`], which the model's objects cannot cause.
pub fn encode_objects(objects: &[Object]) -> Result<Vec<u8>, ObjectsError> {
    let mut lines = Vec::with_capacity(objects.len() * 512);
    for object in objects {
        // Through `Value`: its maps are ordered by key, while a struct writes its fields as declared.
        let value = serde_json::to_value(object).map_err(ObjectsError::Write)?;
        serde_json::to_writer(&mut lines, &value).map_err(ObjectsError::Write)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The objects of [`encode_objects`].
///
/// # Errors
/// [`ObjectsError::Line`].
pub fn decode_objects(lines: &[u8]) -> Result<Vec<Object>, ObjectsError> {
    lines
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            serde_json::from_slice(line).map_err(|source| ObjectsError::Line { line: at + 1, source })
        })
        .collect()
}

/// Manifests (of a bundle) as one canonical JSON line each.
///
/// # Errors
/// [`ObjectsError::Write`], which JSON values cannot cause.
pub fn encode_manifests(manifests: &[Value]) -> Result<Vec<u8>, ObjectsError> {
    let mut lines = Vec::with_capacity(manifests.len() * 512);
    for manifest in manifests {
        serde_json::to_writer(&mut lines, manifest).map_err(ObjectsError::Write)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The manifests of [`encode_manifests`].
///
/// # Errors
/// [`ObjectsError::Line`].
pub fn decode_manifests(lines: &[u8]) -> Result<Vec<Value>, ObjectsError> {
    lines
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            serde_json::from_slice(line).map_err(|source| ObjectsError::Line { line: at + 1, source })
        })
        .collect()
}

/// SHA-256 of `content`.
///
/// # Errors
/// None in practice: a SHA-256 is always 64 hexadecimal digits.
pub fn digest(content: &[u8]) -> Result<Digest, InvalidId> {
    Digest::new(hex::encode(Sha256::digest(content)))
}

/// `content` in zstd.
///
/// # Errors
/// [`ObjectsError::Compress`] when zstd has no memory.
pub fn compress(content: &[u8]) -> Result<Vec<u8>, ObjectsError> {
    zstd::bulk::compress(content, LEVEL).map_err(ObjectsError::Compress)
}

/// What is in `compressed`, when it is at most `limit` bytes. No more memory than that is ever taken, whatever it claims.
///
/// # Errors
/// [`ObjectsError::Decompress`] and [`ObjectsError::TooLarge`].
pub fn decompress(compressed: &[u8], limit: usize) -> Result<Vec<u8>, ObjectsError> {
    let decoder = zstd::stream::read::Decoder::new(compressed).map_err(ObjectsError::Decompress)?;
    let mut content = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .take(most)
        .read_to_end(&mut content)
        .map_err(ObjectsError::Decompress)?;
    if content.len() > limit {
        Err(ObjectsError::TooLarge { limit })
    } else {
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use berth_model::assignment::{AppliedAs, ApplyPhase};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn namespace(name: &str) -> Object {
        Object {
            phase: ApplyPhase::Namespace,
            applied_as: AppliedAs::Agent,
            manifest: json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}),
        }
    }

    #[test]
    fn objects_are_lines_with_their_keys_in_order() {
        let lines = encode_objects(&[namespace("t-a"), namespace("t-b")]).unwrap();
        insta::assert_snapshot!(String::from_utf8(lines.clone()).unwrap(), @r#"
        {"appliedAs":"agent","manifest":{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"t-a"}},"phase":"namespace"}
        {"appliedAs":"agent","manifest":{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"t-b"}},"phase":"namespace"}
        "#);
        assert_eq!(
            decode_objects(&lines).unwrap(),
            [namespace("t-a"), namespace("t-b")]
        );
    }

    #[test]
    fn what_is_larger_than_the_limit_is_refused_before_it_takes_memory() {
        let bomb = compress(&vec![0_u8; 64 << 20]).unwrap();
        assert!(bomb.len() < 64 << 10);
        assert!(
            matches!(decompress(&bomb, 1 << 20), Err(ObjectsError::TooLarge { limit }) if limit == 1 << 20)
        );
    }

    #[test]
    fn a_broken_line_is_named() {
        assert!(matches!(
            decode_objects(b"\n{}\n"),
            Err(ObjectsError::Line { line: 2, .. })
        ));
    }

    #[test]
    fn content_cut_short_is_no_content() {
        let whole = compress(&encode_objects(&[namespace("t-a")]).unwrap()).unwrap();
        assert!(decompress(&whole[..whole.len() - 3], 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn content_survives(content in proptest::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert_eq!(decompress(&compress(&content).unwrap(), content.len()).unwrap(), content);
        }

        #[test]
        fn no_bytes_panic(content in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = decompress(&content, 1 << 16);
            let _ = decode_objects(&content);
        }
    }
}
