//! Join tokens without their secret.

use berth_proto::v1;

use crate::{names, record::JoinTokenRecord, time};

/// The token `id` as the API shows it: whose it is and until when, never its secret.
#[must_use]
pub fn join_token_to_proto(id: &str, token: &JoinTokenRecord) -> v1::JoinToken {
    v1::JoinToken {
        name: names::join_token(id),
        cluster: token.cluster.to_string(),
        expire_time: Some(time::to_proto(token.expires_at)),
        labels: token.labels.clone(),
        source_cidrs: token.from.iter().map(ToString::to_string).collect(),
        rejoin: token.rejoin.is_some(),
        require_accept: token.require_accept,
    }
}
