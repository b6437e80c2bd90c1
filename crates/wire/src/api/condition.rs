//! Conditions as `metav1.Condition` has them.

use berth_model::{Condition, Conditions, Timestamp, Truth};
use berth_proto::v1;

use super::tenant::{signed, unsigned};
use crate::{time, words};

/// One condition.
#[must_use]
pub fn condition_to_proto(condition: &Condition) -> v1::Condition {
    v1::Condition {
        r#type: condition.kind.as_str().into(),
        status: condition.status.as_str().into(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: Some(time::to_proto(condition.since)),
        observed_generation: signed(condition.observed_generation),
    }
}

/// A condition of something other than a tenant, whose kinds the model does not list (a cluster's `Connected`).
#[must_use]
pub fn plain_condition(
    kind: &str,
    status: Truth,
    reason: &str,
    message: &str,
    since: Timestamp,
) -> v1::Condition {
    v1::Condition {
        r#type: kind.into(),
        status: status.as_str().into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: Some(time::to_proto(since)),
        observed_generation: 0,
    }
}

/// All conditions, in order of kind.
#[must_use]
pub fn conditions_to_proto(conditions: &Conditions) -> Vec<v1::Condition> {
    conditions.iter().map(condition_to_proto).collect()
}

/// Reads a condition; none when its kind or status is not known here (a newer hub may have more).
#[must_use]
pub fn condition_from_proto(condition: &v1::Condition) -> Option<Condition> {
    Some(Condition {
        kind: words::condition_kind(&condition.r#type)?,
        status: words::find(&words::TRUTHS, &condition.status)?,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        since: time::from_proto(condition.last_transition_time.as_ref()?)?,
        observed_generation: unsigned(condition.observed_generation),
    })
}

/// Reads conditions, leaving out those that are not known here.
#[must_use]
pub fn conditions_from_proto(conditions: &[v1::Condition]) -> Conditions {
    conditions.iter().filter_map(condition_from_proto).collect()
}
