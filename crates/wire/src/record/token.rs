//! A join token at rest: only the hash of its secret.

use std::collections::BTreeMap;

use berth_model::{ClusterName, Timestamp, Uid, network::Cidr};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::time;

/// What is kept of a join token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinTokenRecord {
    /// SHA-256 of the secret, hexadecimal.
    pub secret_sha256: String,
    /// The cluster whose identity it gives.
    pub cluster: ClusterName,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// SHA-256 of the public key it was used for; empty before. The same key may ask again when the answer was lost.
    pub used_by_key_sha256: String,
    /// Labels the cluster gets.
    pub labels: BTreeMap<String, String>,
    /// Region of the cluster.
    pub region: String,
    /// Name in the cloud.
    pub cloud_name: String,
    /// The uid of the tenant whose own cluster it is for; none for a shared cluster.
    pub dedicated_to: Option<Uid>,
    /// When it was made; none in records of older hubs.
    pub created_at: Option<Timestamp>,
    /// From where it may be used; nothing is everywhere.
    pub from: Vec<Cidr>,
    /// The uid of the cluster that it gives a new identity; none for a cluster that joins for the first time.
    pub rejoin: Option<Uid>,
    /// The cluster takes no tenants until it is accepted.
    pub require_accept: bool,
    /// Pins of the authorities that whoever joins by it was told of.
    pub ca_pins: Vec<String>,
}

/// The token as bytes.
#[must_use]
pub fn encode_join_token(record: &JoinTokenRecord) -> Vec<u8> {
    proto::JoinTokenRecord {
        secret_sha256: record.secret_sha256.clone(),
        cluster: record.cluster.to_string(),
        expires_at: Some(time::to_proto(record.expires_at)),
        used_at: record.used_at.map(time::to_proto),
        used_by_key_sha256: record.used_by_key_sha256.clone(),
        labels: record.labels.clone(),
        region: record.region.clone(),
        cloud_name: record.cloud_name.clone(),
        dedicated_to_uid: record
            .dedicated_to
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        created_at: record.created_at.map(time::to_proto),
        source_cidrs: record.from.iter().map(ToString::to_string).collect(),
        rejoin_uid: record
            .rejoin
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        require_accept: record.require_accept,
        ca_pins: record.ca_pins.clone(),
    }
    .encode_to_vec()
}

/// Reads a token.
///
/// # Errors
/// [`RecordError`].
pub fn decode_join_token(bytes: &[u8]) -> Result<JoinTokenRecord, RecordError> {
    let reading = Reading("join token");
    let record: proto::JoinTokenRecord = reading.message(bytes)?;
    let uid = |text: &str| match text {
        "" => Ok(None),
        uid => reading.name(uid).map(Some),
    };
    // One range that cannot be read must not open the token to everywhere.
    let from: Option<Vec<Cidr>> = record
        .source_cidrs
        .iter()
        .map(|range| range.parse().ok())
        .collect();
    Ok(JoinTokenRecord {
        secret_sha256: record.secret_sha256,
        cluster: reading.name(&record.cluster)?,
        expires_at: reading.time("expires_at", record.expires_at.as_ref())?,
        used_at: reading.optional_time("used_at", record.used_at.as_ref())?,
        used_by_key_sha256: record.used_by_key_sha256,
        labels: record.labels,
        region: record.region,
        cloud_name: record.cloud_name,
        dedicated_to: uid(&record.dedicated_to_uid)?,
        created_at: reading.optional_time("created_at", record.created_at.as_ref())?,
        from: from.ok_or_else(|| reading.missing("source_cidrs"))?,
        rejoin: uid(&record.rejoin_uid)?,
        require_accept: record.require_accept,
        ca_pins: record.ca_pins,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_token_survives(
            expires_at in testing::timestamp(),
            used_at in proptest::option::of(testing::timestamp()),
            labels in testing::labels(),
            dedicated in any::<bool>(),
        ) {
            let record = JoinTokenRecord {
                secret_sha256: "00".repeat(32),
                cluster: ClusterName::new("eu-1").unwrap(),
                expires_at,
                used_at,
                used_by_key_sha256: String::new(),
                labels,
                region: "eu-central-1".into(),
                cloud_name: "prod-eu".into(),
                dedicated_to: dedicated.then(|| Uid::new("uid-1").unwrap()),
                created_at: used_at,
                from: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
                rejoin: (!dedicated).then(|| Uid::new("uid-2").unwrap()),
                require_accept: dedicated,
                ca_pins: vec!["sha256:00".into()],
            };
            prop_assert_eq!(decode_join_token(&encode_join_token(&record)).unwrap(), record);
        }
    }
}
