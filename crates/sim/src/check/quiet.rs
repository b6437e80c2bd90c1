//! S8: when nothing goes wrong any more, what is desired is observed, and then nothing is written. S3: nothing is left over.

use std::time::Duration;

use super::{Events, Finding, end::End, places};
use crate::history::Event;

/// What did not settle.
pub(super) fn not_settled(end: &End, at: Duration) -> Vec<Finding> {
    end.settled
        .iter()
        .map(|open| Finding::new("S8", at, format!("the fleet does not settle: {open}")))
        .collect()
}

/// What is in the cloud for nobody.
pub(super) fn orphans(events: &Events, end: &End, at: Duration) -> Vec<Finding> {
    let forgotten = places::forgotten_in_cloud(events);
    end.cloud
        .iter()
        .filter(|(name, uid)| !end.uids.contains(uid) && !forgotten.contains_key(name))
        .map(|(name, uid)| Finding::new("S3", at, format!("{name} is left over (uid {uid})")))
        .collect()
}

/// Whether clusters hold at the end of the rest what they held when it began.
pub(super) fn moved(end: &End, at: Duration) -> Option<Finding> {
    let last = end.last.as_ref()?;
    (*last != end.tenants).then(|| {
        let what = format!(
            "clusters changed while nothing happened: {:?} became {last:?}",
            end.tenants
        );
        Finding::new("S8", at, what)
    })
}

/// What was written while nothing happened.
pub(super) fn not_quiet(events: &Events, since: Duration) -> Vec<Finding> {
    events
        .iter()
        .filter(|(at, _)| *at > since)
        .filter_map(|(at, event)| match event {
            Event::Wrote { .. } | Event::Kube { .. } | Event::Cloud { .. } => Some(Finding::new(
                "S8",
                *at,
                format!("written though nothing happens: {event}"),
            )),
            _ => None,
        })
        .collect()
}
