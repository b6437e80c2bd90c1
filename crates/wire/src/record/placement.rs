//! Where a tenant was decided to be, at rest.

use berth_model::{AcceptedGaps, Capacity, Generation, Placement, Timestamp, Uid};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{
    api::{
        capacity_from_proto, capacity_to_proto, gaps_from_proto, gaps_to_proto, placement_from_proto,
        placement_to_proto,
    },
    time,
};

/// The hub's decision where a tenant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementRecord {
    /// Which tenant.
    pub tenant_uid: Uid,
    /// Where.
    pub placement: Placement,
    /// What is reserved there.
    pub reserved: Capacity,
    /// The tenant's generation it was decided for.
    pub generation: Generation,
    /// When.
    pub decided_at: Timestamp,
    /// One line of why.
    pub reason: String,
    /// Namespaces reserved there.
    pub namespaces: u32,
    /// Walls that the cluster could not hold.
    pub accepted_gaps: AcceptedGaps,
}

/// The decision as bytes.
#[must_use]
pub fn encode_placement(record: &PlacementRecord) -> Vec<u8> {
    proto::PlacementRecord {
        tenant_uid: record.tenant_uid.to_string(),
        placement: Some(placement_to_proto(&record.placement)),
        reserved: Some(capacity_to_proto(&record.reserved)),
        generation: record.generation.0,
        decided_at: Some(time::to_proto(record.decided_at)),
        reason: record.reason.clone(),
        namespaces: record.namespaces,
        accepted_gaps: gaps_to_proto(&record.accepted_gaps),
    }
    .encode_to_vec()
}

/// Reads a decision.
///
/// # Errors
/// [`RecordError`].
pub fn decode_placement(bytes: &[u8]) -> Result<PlacementRecord, RecordError> {
    let reading = Reading("placement");
    let record: proto::PlacementRecord = reading.message(bytes)?;
    let placement = record
        .placement
        .as_ref()
        .ok_or_else(|| reading.missing("placement"))?;
    let reserved = record
        .reserved
        .as_ref()
        .ok_or_else(|| reading.missing("reserved"))?;
    Ok(PlacementRecord {
        tenant_uid: reading.name(&record.tenant_uid)?,
        placement: reading.spec(placement_from_proto(placement))?,
        reserved: capacity_from_proto(reserved),
        generation: Generation(record.generation),
        decided_at: reading.time("decided_at", record.decided_at.as_ref())?,
        reason: record.reason,
        namespaces: record.namespaces,
        accepted_gaps: gaps_from_proto(&record.accepted_gaps),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_decision_survives(
            placement in testing::placement(),
            reserved in testing::capacity(),
            generation in any::<u64>(),
            decided_at in testing::timestamp(),
        ) {
            let record = PlacementRecord {
                tenant_uid: Uid::new("u-1").unwrap(),
                placement,
                reserved,
                generation: Generation(generation),
                decided_at,
                reason: "most room".into(),
                namespaces: 2,
                accepted_gaps: [(berth_model::Gap::NetworkPolicy, "demo".to_owned())].into(),
            };
            prop_assert_eq!(decode_placement(&encode_placement(&record)).unwrap(), record);
        }
    }
}
