//! Evidence of a tenant's isolation at rest: what its agent signed, and by which certificate that is verified.

use berth_model::{ClusterName, Timestamp, Uid};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{evidence::Sealed, time};

/// What is kept of a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// Whose.
    pub tenant_uid: Uid,
    /// Whose agent signed.
    pub cluster: ClusterName,
    /// What it signed.
    pub sealed: Sealed,
    /// The certificate of the key that signed, PEM.
    pub certificate_pem: String,
    /// When the pass began, by the hub's clock.
    pub probed_at: Timestamp,
}

/// The record as bytes.
#[must_use]
pub fn encode_evidence(record: &EvidenceRecord) -> Vec<u8> {
    proto::EvidenceRecord {
        tenant_uid: record.tenant_uid.to_string(),
        cluster: record.cluster.to_string(),
        statement_zstd: record.sealed.statement_zstd.clone(),
        signature: record.sealed.signature.clone(),
        certificate_pem: record.certificate_pem.clone(),
        probed_at: Some(time::to_proto(record.probed_at)),
    }
    .encode_to_vec()
}

/// Reads the record; the statement in it is not looked into.
///
/// # Errors
/// [`RecordError`].
pub fn decode_evidence(bytes: &[u8]) -> Result<EvidenceRecord, RecordError> {
    let reading = Reading("evidence");
    let record: proto::EvidenceRecord = reading.message(bytes)?;
    Ok(EvidenceRecord {
        tenant_uid: reading.name(&record.tenant_uid)?,
        cluster: reading.name(&record.cluster)?,
        probed_at: reading.time("probed_at", record.probed_at.as_ref())?,
        sealed: Sealed {
            statement_zstd: record.statement_zstd,
            signature: record.signature,
        },
        certificate_pem: record.certificate_pem,
    })
}
