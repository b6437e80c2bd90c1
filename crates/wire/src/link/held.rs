//! What an agent says it holds.

use berth_model::{Digest, Generation, TenantId, Uid};
use berth_proto::agent;

use super::{LinkError, digest, name};

/// An assignment that an agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// The assignment's generation.
    pub generation: Generation,
    /// The digest of its objects.
    pub digest: Digest,
}

/// One entry.
#[must_use]
pub fn held_to_proto(held: &Held) -> agent::Held {
    agent::Held {
        tenant: held.tenant.to_string(),
        tenant_uid: held.uid.to_string(),
        generation: held.generation.0,
        digest: held.digest.to_string(),
    }
}

/// Reads one entry.
///
/// # Errors
/// [`LinkError::Name`].
pub fn held_from_proto(held: &agent::Held) -> Result<Held, LinkError> {
    Ok(Held {
        tenant: name("Held", &held.tenant)?,
        uid: name("Held", &held.tenant_uid)?,
        generation: Generation(held.generation),
        digest: digest("Held", &held.digest)?,
    })
}

/// Everything held, in chunks of at most `per_chunk` entries (at least one), the last marked so. There is always a last one.
#[must_use]
pub fn held_chunks(held: &[Held], per_chunk: usize) -> Vec<agent::HeldChunk> {
    let mut chunks: Vec<agent::HeldChunk> = held
        .chunks(per_chunk.max(1))
        .map(|chunk| agent::HeldChunk {
            held: chunk.iter().map(held_to_proto).collect(),
            last: false,
        })
        .collect();
    match chunks.last_mut() {
        Some(last) => last.last = true,
        None => chunks.push(agent::HeldChunk {
            held: Vec::new(),
            last: true,
        }),
    }
    chunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn what_is_held_survives_in_chunks(
            held in proptest::collection::vec(testing::held(), 0..30),
            per_chunk in 0_usize..10,
        ) {
            let chunks = held_chunks(&held, per_chunk);
            let (last, others) = chunks.split_last().unwrap();
            prop_assert!(last.last && others.iter().all(|chunk| !chunk.last));
            let back: Result<Vec<Held>, _> =
                chunks.iter().flat_map(|chunk| &chunk.held).map(held_from_proto).collect();
            prop_assert_eq!(back, Ok(held));
        }
    }
}
