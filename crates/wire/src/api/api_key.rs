//! API keys without their secret.

use berth_proto::v1;

use crate::{names, record::ApiKeyRecord, time};

/// The machine account `name` as the API shows it.
#[must_use]
pub fn api_key_to_proto(name: &str, record: &ApiKeyRecord) -> v1::ApiKey {
    v1::ApiKey {
        name: names::api_key(name),
        uid: record.uid.clone(),
        description: record.description.clone(),
        creator: record.creator.clone(),
        create_time: Some(time::to_proto(record.created_at)),
        expire_time: Some(time::to_proto(record.expires_at)),
        last_use_time: record.last_used_at.map(time::to_proto),
    }
}
