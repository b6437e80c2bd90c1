//! That a store came out of a backup, and which.

use berth_model::{Revision, Timestamp};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::time;

/// A restored store that nobody has confirmed yet. While it is there, a hub only observes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreRecord {
    /// The backup, as it was named.
    pub source: String,
    /// When it was restored.
    pub restored_at: Timestamp,
    /// The revision the backup had come to.
    pub revision: Revision,
    /// When the backup had come there.
    pub snapshot_at: Timestamp,
    /// Not everything is there yet: no hub may start.
    pub unfinished: bool,
}

/// The mark as bytes.
#[must_use]
pub fn encode_restore(record: &RestoreRecord) -> Vec<u8> {
    proto::RestoreRecord {
        source: record.source.clone(),
        restored_at: Some(time::to_proto(record.restored_at)),
        revision: record.revision.0,
        snapshot_at: Some(time::to_proto(record.snapshot_at)),
        unfinished: record.unfinished,
    }
    .encode_to_vec()
}

/// Reads the mark.
///
/// # Errors
/// [`RecordError`]. That the mark is there counts, whatever it says: a store with one that cannot be read was restored too.
pub fn decode_restore(bytes: &[u8]) -> Result<RestoreRecord, RecordError> {
    let reading = Reading("restore");
    let record: proto::RestoreRecord = reading.message(bytes)?;
    Ok(RestoreRecord {
        restored_at: reading.time("restored_at", record.restored_at.as_ref())?,
        revision: Revision(record.revision),
        snapshot_at: reading.time("snapshot_at", record.snapshot_at.as_ref())?,
        source: record.source,
        unfinished: record.unfinished,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives() {
        let record = RestoreRecord {
            source: "s3://backups/berth".into(),
            restored_at: Timestamp::from_second(1_800_000_100).unwrap(),
            revision: Revision(12),
            snapshot_at: Timestamp::from_second(1_800_000_000).unwrap(),
            unfinished: true,
        };
        assert_eq!(decode_restore(&encode_restore(&record)).unwrap(), record);
    }
}
