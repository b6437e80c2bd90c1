//! A tenant's conditions with their transition times, at rest.

use berth_model::{Conditions, Generation, Uid};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::api::{conditions_from_proto, conditions_to_proto};

/// The conditions of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRecord {
    /// Which tenant.
    pub tenant_uid: Uid,
    /// With their transition times.
    pub conditions: Conditions,
    /// The generation they speak of.
    pub observed_generation: Generation,
}

/// The conditions as bytes.
#[must_use]
pub fn encode_status(record: &StatusRecord) -> Vec<u8> {
    proto::StatusRecord {
        tenant_uid: record.tenant_uid.to_string(),
        conditions: conditions_to_proto(&record.conditions),
        observed_generation: record.observed_generation.0,
    }
    .encode_to_vec()
}

/// Reads the conditions. One that is not known here was written by a newer hub and is left out.
///
/// # Errors
/// [`RecordError`].
pub fn decode_status(bytes: &[u8]) -> Result<StatusRecord, RecordError> {
    let reading = Reading("status");
    let record: proto::StatusRecord = reading.message(bytes)?;
    Ok(StatusRecord {
        tenant_uid: reading.name(&record.tenant_uid)?,
        conditions: conditions_from_proto(&record.conditions),
        observed_generation: Generation(record.observed_generation),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn conditions_survive(conditions in testing::conditions(), generation in 0_u64..1_000_000) {
            let record = StatusRecord {
                tenant_uid: Uid::new("u-1").unwrap(),
                conditions,
                observed_generation: Generation(generation),
            };
            prop_assert_eq!(decode_status(&encode_status(&record)).unwrap(), record);
        }
    }
}
