//! Rendered objects, kept under their digest in parts small enough for the store, so that a restart re-sends exactly what was decided.

use berth_model::Digest;
use berth_store::{Key, Page, Store, StoreError};
use bytes::Bytes;

use crate::keys;

/// The keys and values that hold `compressed` under `digest`.
pub(crate) fn parts(digest: &Digest, compressed: &[u8]) -> Vec<(Key, Bytes)> {
    compressed
        .chunks(keys::PART_BYTES)
        .enumerate()
        .map(|(part, bytes)| (keys::object_part(digest, part), Bytes::copy_from_slice(bytes)))
        .collect()
}

/// The keys that hold what is under `prefix`.
pub(crate) async fn keys_under(store: &dyn Store, prefix: &str) -> Result<Vec<Key>, StoreError> {
    Ok(store
        .list(prefix, Page::first())
        .await?
        .entries
        .into_iter()
        .map(|entry| entry.key)
        .collect())
}

/// What is under `digest`, compressed; none when it is not there.
///
/// # Errors
/// As the store answers.
pub async fn load(store: &dyn Store, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
    joined(store, &keys::object_parts(digest)).await
}

/// The parts under `prefix`, joined; none when there are none.
pub(crate) async fn joined(store: &dyn Store, prefix: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let parts = store.list(prefix, Page::first()).await?.entries;
    if parts.is_empty() {
        return Ok(None);
    }
    Ok(Some(
        parts.iter().flat_map(|part| part.value.iter().copied()).collect(),
    ))
}
