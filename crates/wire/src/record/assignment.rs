//! What a tenant's cluster was told, at rest.

use berth_model::{ClusterName, Digest, Generation, Term, Uid};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};

/// What a tenant's cluster was told. The objects are kept apart, under their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentRecord {
    /// Which tenant.
    pub tenant_uid: Uid,
    /// Where.
    pub cluster: ClusterName,
    /// Its own counter.
    pub generation: Generation,
    /// Of the objects.
    pub digest: Digest,
    /// The leader that decided.
    pub term: Term,
    /// The tenant's generation it was rendered for.
    pub tenant_generation: Generation,
    /// It is being taken away.
    pub withdrawing: bool,
    /// The agent said that nothing of it is left.
    pub withdrawn: bool,
}

/// The assignment as bytes.
#[must_use]
pub fn encode_assignment(record: &AssignmentRecord) -> Vec<u8> {
    proto::AssignmentRecord {
        tenant_uid: record.tenant_uid.to_string(),
        cluster: record.cluster.to_string(),
        generation: record.generation.0,
        digest: record.digest.to_string(),
        term: record.term.0,
        tenant_generation: record.tenant_generation.0,
        withdrawing: record.withdrawing,
        withdrawn: record.withdrawn,
    }
    .encode_to_vec()
}

/// Reads an assignment.
///
/// # Errors
/// [`RecordError`].
pub fn decode_assignment(bytes: &[u8]) -> Result<AssignmentRecord, RecordError> {
    let reading = Reading("assignment");
    let record: proto::AssignmentRecord = reading.message(bytes)?;
    Ok(AssignmentRecord {
        tenant_uid: reading.name(&record.tenant_uid)?,
        cluster: reading.name(&record.cluster)?,
        generation: Generation(record.generation),
        digest: Digest::new(record.digest).map_err(|source| reading.invalid(source))?,
        term: Term(record.term),
        tenant_generation: Generation(record.tenant_generation),
        withdrawing: record.withdrawing,
        withdrawn: record.withdrawn,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn an_assignment_survives(
            held in testing::held(),
            term in any::<u64>(),
            tenant_generation in any::<u64>(),
            withdrawing in any::<bool>(),
            withdrawn in any::<bool>(),
        ) {
            let record = AssignmentRecord {
                tenant_uid: held.uid,
                cluster: ClusterName::new("eu-1").unwrap(),
                generation: held.generation,
                digest: held.digest,
                term: Term(term),
                tenant_generation: Generation(tenant_generation),
                withdrawing,
                withdrawn,
            };
            prop_assert_eq!(decode_assignment(&encode_assignment(&record)).unwrap(), record);
        }
    }
}
