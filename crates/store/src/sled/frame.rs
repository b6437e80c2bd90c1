//! How a value lies in sled: magic, schema, checksum, length, revisions, bytes. The checksum covers the key too, so a value
//! that turns up under another name is found out.

use berth_model::Revision;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{index::Slot, key::Key};

/// The schema this version writes; it reads no newer one. 2 added the chain of commits; 1 is read and brought up to date on opening.
pub(crate) const SCHEMA: u16 = 2;

const MAGIC: &[u8; 4] = b"BRTH";
/// Magic, schema, two bytes for later, checksum, length, revision, created.
const HEADER: usize = 4 + 2 + 2 + 4 + 4 + 8 + 8;

/// Why bytes are no frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadFrame {
    Newer(u16),
    Damaged(&'static str),
}

pub(super) fn encode(key: &[u8], slot: &Slot) -> Bytes {
    let mut body = BytesMut::with_capacity(HEADER + slot.value.len());
    body.put_slice(MAGIC);
    body.put_u16(SCHEMA);
    body.put_u16(0);
    body.put_u32(0);
    // A value has at most 16 KiB: a longer one is cut off here and found out by its checksum.
    body.put_u32(u32::try_from(slot.value.len()).unwrap_or(u32::MAX));
    body.put_u64(slot.revision.0);
    body.put_u64(slot.created.0);
    body.put_slice(&slot.value);
    let sum = checksum(key, &body);
    body[8..12].copy_from_slice(&sum.to_be_bytes());
    body.freeze()
}

pub(super) fn decode(key: &[u8], frame: &[u8]) -> Result<Slot, BadFrame> {
    if frame.len() < HEADER || !frame.starts_with(MAGIC) {
        return Err(BadFrame::Damaged("is no frame"));
    }
    let mut rest = &frame[4..];
    let schema = rest.get_u16();
    if schema > SCHEMA {
        return Err(BadFrame::Newer(schema));
    }
    rest.advance(2);
    let sum = rest.get_u32();
    let len = rest.get_u32();
    let (revision, created) = (Revision(rest.get_u64()), Revision(rest.get_u64()));
    if usize::try_from(len) != Ok(rest.len()) {
        return Err(BadFrame::Damaged("has another length than it says"));
    }
    if sum != checksum(key, frame) {
        return Err(BadFrame::Damaged("fails its checksum"));
    }
    Ok(Slot {
        value: Bytes::copy_from_slice(rest),
        revision,
        created,
    })
}

/// Over the key and the frame with its checksum left out.
fn checksum(key: &[u8], frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&frame[..8]);
    hasher.update(&frame[12..]);
    hasher.finalize()
}

/// What an entry adds to the digest of all entries: 128 bits of BLAKE3 over its key and its frame.
pub(super) fn fingerprint(key: &Key, slot: &Slot) -> u128 {
    let key = key.as_str().as_bytes();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(&slot.revision.0.to_be_bytes());
    hasher.update(&slot.created.0.to_be_bytes());
    hasher.update(&slot.value);
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slot(value: Vec<u8>) -> Slot {
        Slot {
            value: value.into(),
            revision: Revision(7),
            created: Revision(3),
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read_back(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let slot = slot(value);
            prop_assert_eq!(decode(b"k", &encode(b"k", &slot)), Ok(slot));
        }

        #[test]
        fn a_changed_byte_is_found_out(value in proptest::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), with in 1_u8..) {
            let mut frame = encode(b"k", &slot(value)).to_vec();
            let at = at.index(frame.len());
            frame[at] ^= with;
            prop_assert!(decode(b"k", &frame).is_err());
        }

        #[test]
        fn no_bytes_panic(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(decode(b"k", &frame).is_err());
        }
    }

    #[test]
    fn a_value_under_another_key_and_one_of_a_newer_schema_are_refused() {
        let frame = encode(b"k", &slot(b"v".to_vec()));
        assert_eq!(decode(b"j", &frame), Err(BadFrame::Damaged("fails its checksum")));
        let mut newer = frame.to_vec();
        newer[5] = 3;
        assert_eq!(decode(b"k", &newer), Err(BadFrame::Newer(3)));
    }
}
