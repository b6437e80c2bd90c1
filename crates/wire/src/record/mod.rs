//! Records at rest to and from the model: what the hub's store holds under each key.
//!
//! Keys and shelves are the store's business (`berth-control`); here are only the bytes. Revisions and etags are never part of
//! a record: the store knows them, and decoding takes them from there.

mod assignment;
mod binding;
mod breaker;
mod bundle;
mod cluster;
mod evidence;
mod fleet;
mod infra;
mod organisation;
mod placement;
mod restore;
mod status;
mod tenant;
mod tier;
mod token;

pub use assignment::{AssignmentRecord, decode_assignment, encode_assignment};
pub use binding::{decode_role_binding, encode_role_binding};
pub use breaker::{decode_breaker, encode_breaker};
pub use bundle::{decode_bundle, encode_bundle};
pub use cluster::{ClusterRecord, decode_cluster, encode_cluster};
pub use evidence::{EvidenceRecord, decode_evidence, encode_evidence};
pub use fleet::{FleetRecord, decode_fleet, encode_fleet};
pub use infra::{InfraRecord, decode_infra, encode_infra};
pub use organisation::{decode_organisation, encode_organisation};
pub use placement::{PlacementRecord, decode_placement, encode_placement};
pub use restore::{RestoreRecord, decode_restore, encode_restore};
pub use status::{StatusRecord, decode_status, encode_status};
pub use tenant::{TenantRecord, decode_tenant, encode_tenant};
pub use tier::{decode_tier, encode_tier};
pub use token::{JoinTokenRecord, decode_join_token, encode_join_token};

use std::str::FromStr;

use berth_model::{InvalidId, Timestamp, Violation};
use prost::Message;

use crate::time;

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not protobuf of that kind.
    #[error("decode {record} record")]
    Protobuf {
        /// Which record.
        record: &'static str,
        /// What is wrong.
        source: prost::DecodeError,
    },
    /// A name in it is none.
    #[error("decode {record} record")]
    Name {
        /// Which record.
        record: &'static str,
        /// What is wrong.
        source: InvalidId,
    },
    /// A part of it that is always there is not, or cannot be read.
    #[error("decode {record} record: {field} is missing or unreadable")]
    Field {
        /// Which record.
        record: &'static str,
        /// Which part.
        field: &'static str,
    },
    /// Its spec is not well formed.
    #[error("decode {record} record: {}", shown(violations))]
    Spec {
        /// Which record.
        record: &'static str,
        /// What is wrong.
        violations: Vec<Violation>,
    },
    /// The JSON in it cannot be read.
    #[error("decode {record} record")]
    Json {
        /// Which record.
        record: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
}

fn shown(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Reads protobuf of one kind, with the record's name for errors.
struct Reading(&'static str);

impl Reading {
    fn message<M: Message + Default>(&self, bytes: &[u8]) -> Result<M, RecordError> {
        M::decode(bytes).map_err(|source| RecordError::Protobuf {
            record: self.0,
            source,
        })
    }

    fn name<T: FromStr<Err = InvalidId>>(&self, text: &str) -> Result<T, RecordError> {
        text.parse().map_err(|source| self.invalid(source))
    }

    fn invalid(&self, source: InvalidId) -> RecordError {
        RecordError::Name {
            record: self.0,
            source,
        }
    }

    fn missing(&self, field: &'static str) -> RecordError {
        RecordError::Field {
            record: self.0,
            field,
        }
    }

    fn time(
        &self,
        field: &'static str,
        at: Option<&prost_types::Timestamp>,
    ) -> Result<Timestamp, RecordError> {
        at.and_then(time::from_proto).ok_or_else(|| self.missing(field))
    }

    fn optional_time(
        &self,
        field: &'static str,
        at: Option<&prost_types::Timestamp>,
    ) -> Result<Option<Timestamp>, RecordError> {
        at.map(|at| self.time(field, Some(at))).transpose()
    }

    fn spec<T>(&self, spec: Result<T, Vec<Violation>>) -> Result<T, RecordError> {
        spec.map_err(|violations| RecordError::Spec {
            record: self.0,
            violations,
        })
    }

    fn resource<T>(&self, name: Result<T, Violation>) -> Result<T, RecordError> {
        self.spec(name.map_err(|violation| vec![violation]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use berth_model::Revision;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_tenant(&bytes, Revision(1));
            let _ = decode_tier(&bytes, Revision(1));
            let _ = decode_organisation(&bytes, Revision(1));
            let _ = decode_role_binding(&bytes, Revision(1));
            let _ = decode_bundle(&bytes, Revision(1));
            let _ = decode_cluster(&bytes, Revision(1));
            let _ = decode_placement(&bytes);
            let _ = decode_assignment(&bytes);
            let _ = decode_infra(&bytes);
            let _ = decode_status(&bytes);
            let _ = decode_join_token(&bytes);
            let _ = decode_fleet(&bytes);
            let _ = decode_restore(&bytes);
            let _ = decode_evidence(&bytes);
        }
    }

    #[test]
    fn an_error_names_the_record_and_what_is_missing_in_it() {
        let error = decode_placement(&[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "decode placement record: placement is missing or unreadable"
        );
    }
}
