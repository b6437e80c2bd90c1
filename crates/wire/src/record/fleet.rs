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
    /// The leader's epoch: raised whenever another hub takes the lead, never by a restart of the same one.
    pub term: Term,
    /// The term in which an operator last let a hub take command; 0 when never.
    pub command_term: Term,
    /// Pin of the fleet's certificate authority, which is itself not in the store; empty in records of older hubs.
    pub ca_pin: String,
}

/// The fleet as bytes.
#[must_use]
pub fn encode_fleet(record: &FleetRecord) -> Vec<u8> {
    proto::FleetRecord {
        fleet_id: record.fleet.to_string(),
        term: record.term.0,
        command_term: record.command_term.0,
        ca_pin: record.ca_pin.clone(),
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
        command_term: Term(record.command_term),
        ca_pin: record.ca_pin,
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
            command_term: Term(3),
            ca_pin: "sha256:00".into(),
        };
        assert_eq!(decode_fleet(&encode_fleet(&record)).unwrap(), record);
    }
}
