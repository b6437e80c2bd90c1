//! A cluster's mass-delete breaker at rest.

use berth_model::{
    Revision,
    breaker::{BreakerMemory, Gone, Released, Tripped},
};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::time;

/// The breaker's memory as bytes.
#[must_use]
pub fn encode_breaker(memory: &BreakerMemory) -> Vec<u8> {
    let gone = |gone: &Gone| proto::breaker_record::Gone {
        at: Some(time::to_proto(gone.at)),
        tenants: gone.tenants,
    };
    proto::BreakerRecord {
        gone: memory.gone.iter().map(gone).collect(),
        tripped: memory.tripped.map(|tripped| proto::breaker_record::Tripped {
            at: Some(time::to_proto(tripped.at)),
            went: tripped.went,
            allowed: tripped.allowed,
            held: tripped.held,
        }),
        released: memory.released.map(|released| proto::breaker_record::Released {
            at: Some(time::to_proto(released.at)),
            revision: released.revision.0,
        }),
    }
    .encode_to_vec()
}

/// Reads a breaker's memory.
///
/// # Errors
/// [`RecordError`].
pub fn decode_breaker(bytes: &[u8]) -> Result<BreakerMemory, RecordError> {
    let reading = Reading("breaker");
    let record: proto::BreakerRecord = reading.message(bytes)?;
    let gone = |gone: &proto::breaker_record::Gone| {
        Ok(Gone {
            at: reading.time("gone.at", gone.at.as_ref())?,
            tenants: gone.tenants,
        })
    };
    let tripped = |tripped: &proto::breaker_record::Tripped| {
        Ok(Tripped {
            at: reading.time("tripped.at", tripped.at.as_ref())?,
            went: tripped.went,
            allowed: tripped.allowed,
            held: tripped.held,
        })
    };
    let released = |released: &proto::breaker_record::Released| {
        Ok(Released {
            at: reading.time("released.at", released.at.as_ref())?,
            revision: Revision(released.revision),
        })
    };
    Ok(BreakerMemory {
        gone: record.gone.iter().map(gone).collect::<Result<_, RecordError>>()?,
        tripped: record.tripped.as_ref().map(tripped).transpose()?,
        released: record.released.as_ref().map(released).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_breakers_memory_survives(
            gone in proptest::collection::vec((testing::timestamp(), any::<u32>()), 0..20),
            tripped in proptest::option::of((testing::timestamp(), any::<u32>(), any::<u32>(), any::<u32>())),
            released in proptest::option::of((testing::timestamp(), any::<u64>())),
        ) {
            let memory = BreakerMemory {
                gone: gone.into_iter().map(|(at, tenants)| Gone { at, tenants }).collect(),
                tripped: tripped.map(|(at, went, allowed, held)| Tripped { at, went, allowed, held }),
                released: released.map(|(at, revision)| Released { at, revision: Revision(revision) }),
            };
            prop_assert_eq!(decode_breaker(&encode_breaker(&memory)).unwrap(), memory);
        }
    }
}
