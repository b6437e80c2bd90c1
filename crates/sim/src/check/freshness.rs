//! S7: nothing is shown fresher than its evidence, and what is too old is not shown as known.

use std::time::Duration;

use super::{Events, Finding};
use crate::history::{Event, Shown};

/// Evidence older than this reads Unknown.
const LIFETIME: Duration = Duration::from_secs(12);
/// Clocks are read, and the loop looks once a second.
const SLACK: Duration = Duration::from_secs(3);

/// A loop that waits for its store, or whose clock was just set, looks again within this.
const NOTICED: Duration = Duration::from_secs(6);

/// Whether a status claims more than is known. However long a heartbeat was on its way, what it answers says how old it is at most.
#[must_use]
pub fn suspicious(shown: &Shown) -> bool {
    let (Some(claimed), Some(truly)) = (shown.claimed_age, shown.true_age) else {
        return false;
    };
    let claims_too_much = claimed + SLACK < truly;
    let known = shown.health != "Unknown";
    known && (claims_too_much || truly > LIFETIME + SLACK)
}

/// Statuses that claim more than is known.
pub(super) fn too_fresh(events: &Events) -> Vec<Finding> {
    events
        .iter()
        .filter_map(|(at, event)| match event {
            Event::Shown(shown) if suspicious(shown) && shown.suspicious_for > NOTICED => Some(Finding::new(
                "S7",
                *at,
                format!(
                    "{} shows tenant {} {} with evidence {:?} old, which is {:?} old",
                    shown.hub,
                    shown.tenant,
                    shown.health,
                    shown.claimed_age.unwrap_or_default(),
                    shown.true_age.unwrap_or_default()
                ),
            )),
            _ => None,
        })
        .collect()
}
