//! Infrastructure made for a tenant, at rest.

use berth_model::{Infra, Uid};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};

/// What is known of the infrastructure made for a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfraRecord {
    /// Which tenant.
    pub tenant_uid: Uid,
    /// Part of names and idempotency tokens; raised before something failed is made anew.
    pub attempt: u32,
    /// As last observed.
    pub observed: Infra,
    /// The agent's manifest was applied into the tenant's cluster.
    pub bootstrapped: bool,
}

/// The infrastructure as bytes.
///
/// # Errors
/// [`RecordError::Json`], which the model cannot cause.
pub fn encode_infra(record: &InfraRecord) -> Result<Vec<u8>, RecordError> {
    let observed_json = serde_json::to_string(&record.observed).map_err(|source| RecordError::Json {
        record: "infra",
        source,
    })?;
    Ok(proto::InfraRecord {
        tenant_uid: record.tenant_uid.to_string(),
        attempt: record.attempt,
        observed_json,
        bootstrapped: record.bootstrapped,
    }
    .encode_to_vec())
}

/// Reads the infrastructure.
///
/// # Errors
/// [`RecordError`].
pub fn decode_infra(bytes: &[u8]) -> Result<InfraRecord, RecordError> {
    let reading = Reading("infra");
    let record: proto::InfraRecord = reading.message(bytes)?;
    Ok(InfraRecord {
        tenant_uid: reading.name(&record.tenant_uid)?,
        attempt: record.attempt,
        observed: serde_json::from_str(&record.observed_json).map_err(|source| RecordError::Json {
            record: "infra",
            source,
        })?,
        bootstrapped: record.bootstrapped,
    })
}

#[cfg(test)]
mod tests {
    use berth_model::{
        NodePoolInfra, Observed,
        infra::{ClusterInfra, InfraPhase, Trouble, TroubleClass},
    };

    use super::*;

    #[test]
    fn every_kind_of_knowledge_survives() {
        let cluster = ClusterInfra {
            phase: InfraPhase::Active,
            cloud_name: "berth-acme".into(),
            endpoint: "https://eks".into(),
            ca_pem: "pem".into(),
            kubernetes_version: "1.33".into(),
            waiting_for: String::new(),
        };
        let pool = NodePoolInfra {
            phase: InfraPhase::Creating,
            cloud_name: "pool-acme".into(),
            desired_nodes: 3,
        };
        let trouble = Trouble {
            class: TroubleClass::Operator,
            code: "ResourceLimitExceeded".into(),
            message: "no more clusters".into(),
            attempts: 4,
        };
        for observed in [
            Infra::default(),
            Infra {
                cluster: Some(Observed::Known(cluster)),
                pool: None,
                trouble: None,
            },
            Infra {
                cluster: Some(Observed::Unknown),
                pool: Some(Observed::Absent),
                trouble: Some(trouble),
            },
            Infra {
                cluster: None,
                pool: Some(Observed::Known(pool)),
                trouble: None,
            },
        ] {
            let record = InfraRecord {
                tenant_uid: Uid::new("u-1").unwrap(),
                attempt: 2,
                observed,
                bootstrapped: true,
            };
            assert_eq!(decode_infra(&encode_infra(&record).unwrap()).unwrap(), record);
        }
    }
}
