//! A tenant at rest.

use berth_model::{Revision, Tenant};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{
    api::{self, tenant_spec_from_proto},
    names,
};

/// A tenant and the requests that made it what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRecord {
    /// The tenant.
    pub tenant: Tenant,
    /// The request that created it and the one that last changed it, for AIP-155.
    pub request_ids: Vec<String>,
}

/// The tenant as bytes. Its revision is not among them.
#[must_use]
pub fn encode_tenant(record: &TenantRecord) -> Vec<u8> {
    let mut tenant = api::tenant_record(&record.tenant);
    tenant.etag.clear();
    proto::TenantRecord {
        tenant: Some(tenant),
        request_ids: record.request_ids.clone(),
    }
    .encode_to_vec()
}

/// Reads a tenant that was last written at `revision`.
///
/// # Errors
/// [`RecordError`].
pub fn decode_tenant(bytes: &[u8], revision: Revision) -> Result<TenantRecord, RecordError> {
    let reading = Reading("tenant");
    let record: proto::TenantRecord = reading.message(bytes)?;
    let tenant = record.tenant.ok_or_else(|| reading.missing("tenant"))?;
    let spec = tenant.spec.as_ref().ok_or_else(|| reading.missing("spec"))?;
    Ok(TenantRecord {
        tenant: Tenant {
            id: reading.resource(names::parse_tenant("name", &tenant.name))?,
            uid: reading.name(&tenant.uid)?,
            generation: api::generation(tenant.generation),
            revision,
            created_at: reading.time("create_time", tenant.create_time.as_ref())?,
            deleting_since: reading.optional_time("delete_time", tenant.delete_time.as_ref())?,
            spec: reading.spec(tenant_spec_from_proto(spec))?,
        },
        request_ids: record.request_ids,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_tenant_survives(tenant in testing::tenant(), request_ids in proptest::collection::vec("[a-z]{1,8}", 0..3)) {
            let record = TenantRecord { tenant, request_ids };
            let back = decode_tenant(&encode_tenant(&record), record.tenant.revision).unwrap();
            prop_assert_eq!(back, record);
        }
    }
}
