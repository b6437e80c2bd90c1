//! What a store is: whose fleet, and which term.

use berth_model::{FleetId, Term, Timestamp};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::time;

/// What the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetRecord {
    /// The fleet's id.
    pub fleet: FleetId,
    /// The leader's epoch: raised whenever another hub takes the lead, never by a restart of the same one.
    pub term: Term,
    /// The term in which an operator last let a hub take command; 0 when never.
    pub command_term: Term,
    /// When that was; none when never.
    pub commanded_at: Option<Timestamp>,
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
        commanded_at: record.commanded_at.map(time::to_proto),
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
        commanded_at: match &record.commanded_at {
            Some(at) => Some(reading.time("commanded_at", Some(at))?),
            None => None,
        },
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
            commanded_at: Some(Timestamp::from_second(7).unwrap()),
            ca_pin: "sha256:00".into(),
        };
        assert_eq!(decode_fleet(&encode_fleet(&record)).unwrap(), record);
    }
}
