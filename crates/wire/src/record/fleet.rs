//! What a store is: whose fleet, and which term.

use berth_model::{FleetId, Term};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};

/// What the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRecord {
    /// The fleet's id.
    pub fleet: FleetId,
    /// The leader's epoch: raised by every start of a hub that acts.
    pub term: Term,
}

/// The fleet as bytes.
#[must_use]
pub fn encode_fleet(record: &FleetRecord) -> Vec<u8> {
    proto::FleetRecord {
        fleet_id: record.fleet.to_string(),
        term: record.term.0,
    }
    .encode_to_vec()
}

/// Reads the fleet.
///
/// # Errors
/// [`RecordError`].
pub fn decode_fleet(bytes: &[u8]) -> Result<FleetRecord, RecordError> {
    let reading = Reading("fleet");
    let record: proto::FleetRecord = reading.message(bytes)?;
    Ok(FleetRecord {
        fleet: reading.name(&record.fleet_id)?,
        term: Term(record.term),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_survives() {
        let record = FleetRecord {
            fleet: FleetId::new("f-1").unwrap(),
            term: Term(12),
        };
        assert_eq!(decode_fleet(&encode_fleet(&record)).unwrap(), record);
    }
}
