//! A cluster at rest.

use berth_model::{Cluster, ClusterPurpose, Revision, cluster::Revocation};
use berth_proto::{record as proto, v1};
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{
    api::{self, facts_from_proto, facts_to_proto, gaps_from_proto},
    names, time,
};

/// A cluster and the key that may speak for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRecord {
    /// The cluster.
    pub cluster: Cluster,
    /// SHA-256 of the public key of the only certificate that may speak for it, hexadecimal; empty before its agent joined.
    pub certificate_key_sha256: String,
}

/// The cluster as bytes. Its revision is not among them.
#[must_use]
pub fn encode_cluster(record: &ClusterRecord) -> Vec<u8> {
    let mut cluster = api::cluster_record(&record.cluster);
    cluster.etag.clear();
    cluster.status = record.cluster.facts.as_ref().map(|facts| v1::ClusterStatus {
        facts: Some(facts_to_proto(facts)),
        ..Default::default()
    });
    proto::ClusterRecord {
        cluster: Some(cluster),
        dedicated_to_uid: match &record.cluster.purpose {
            ClusterPurpose::Shared => String::new(),
            ClusterPurpose::Dedicated { uid, .. } => uid.to_string(),
        },
        joined_at: record.cluster.joined_at.map(time::to_proto),
        certificate_key_sha256: record.certificate_key_sha256.clone(),
        kubernetes_uid: record.cluster.kubernetes_uid.clone(),
    }
    .encode_to_vec()
}

/// Reads a cluster that was last written at `revision`.
///
/// # Errors
/// [`RecordError`].
pub fn decode_cluster(bytes: &[u8], revision: Revision) -> Result<ClusterRecord, RecordError> {
    let reading = Reading("cluster");
    let record: proto::ClusterRecord = reading.message(bytes)?;
    let cluster = record.cluster.ok_or_else(|| reading.missing("cluster"))?;
    let purpose = if cluster.dedicated_to.is_empty() {
        ClusterPurpose::Shared
    } else {
        ClusterPurpose::Dedicated {
            tenant: reading.name(&cluster.dedicated_to)?,
            uid: reading.name(&record.dedicated_to_uid)?,
        }
    };
    Ok(ClusterRecord {
        cluster: Cluster {
            name: reading.resource(names::parse_cluster("name", &cluster.name))?,
            uid: reading.name(&cluster.uid)?,
            revision,
            created_at: reading.time("create_time", cluster.create_time.as_ref())?,
            labels: cluster.labels,
            cordoned: cluster.cordoned,
            purpose,
            region: cluster.region,
            cloud_name: cluster.cloud_name,
            facts: cluster
                .status
                .and_then(|status| status.facts)
                .as_ref()
                .map(facts_from_proto),
            accepted_gaps: gaps_from_proto(&cluster.accepted_gaps),
            joined_at: reading.optional_time("joined_at", record.joined_at.as_ref())?,
            kubernetes_uid: record.kubernetes_uid,
            awaiting_acceptance: cluster.awaiting_acceptance,
            revoked: reading
                .optional_time("revoke_time", cluster.revoke_time.as_ref())?
                .map(|at| Revocation {
                    at,
                    reason: cluster.revoke_reason,
                }),
        },
        certificate_key_sha256: record.certificate_key_sha256,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_cluster_survives(cluster in testing::cluster(), key in "[0-9a-f]{0,64}") {
            let record = ClusterRecord { cluster, certificate_key_sha256: key };
            let back = decode_cluster(&encode_cluster(&record), record.cluster.revision).unwrap();
            prop_assert_eq!(back, record);
        }
    }
}
