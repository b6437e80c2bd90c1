//! An API key at rest: only the hash of its secret.

use berth_model::Timestamp;
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::time;

/// What is kept of a machine account and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRecord {
    /// SHA-256 of the secret, hexadecimal.
    pub secret_sha256: String,
    /// Tells it from an earlier one of the same name.
    pub uid: String,
    /// What it is for.
    pub description: String,
    /// Who made it, as a subject.
    pub creator: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
}

/// The account as bytes.
#[must_use]
pub fn encode_api_key(record: &ApiKeyRecord) -> Vec<u8> {
    proto::ApiKeyRecord {
        secret_sha256: record.secret_sha256.clone(),
        uid: record.uid.clone(),
        description: record.description.clone(),
        creator: record.creator.clone(),
        created_at: Some(time::to_proto(record.created_at)),
        expires_at: Some(time::to_proto(record.expires_at)),
        last_used_at: record.last_used_at.map(time::to_proto),
    }
    .encode_to_vec()
}

/// Reads an account.
///
/// # Errors
/// [`RecordError`].
pub fn decode_api_key(bytes: &[u8]) -> Result<ApiKeyRecord, RecordError> {
    let reading = Reading("API key");
    let record: proto::ApiKeyRecord = reading.message(bytes)?;
    Ok(ApiKeyRecord {
        secret_sha256: record.secret_sha256,
        uid: record.uid,
        description: record.description,
        creator: record.creator,
        created_at: reading.time("created_at", record.created_at.as_ref())?,
        expires_at: reading.time("expires_at", record.expires_at.as_ref())?,
        last_used_at: reading.optional_time("last_used_at", record.last_used_at.as_ref())?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn an_api_key_survives(
            created_at in testing::timestamp(),
            expires_at in testing::timestamp(),
            last_used_at in proptest::option::of(testing::timestamp()),
            description in "[a-z ]{0,20}",
        ) {
            let record = ApiKeyRecord {
                secret_sha256: "00".repeat(32),
                uid: "u1".into(),
                description,
                creator: "certificate:admin".into(),
                created_at,
                expires_at,
                last_used_at,
            };
            prop_assert_eq!(decode_api_key(&encode_api_key(&record)).unwrap(), record);
        }
    }
}
