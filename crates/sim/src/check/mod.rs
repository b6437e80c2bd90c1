//! The invariants S1 to S8, each in a file of its own, judged by what happened and by what is there at the end.

mod acting;
mod commands;
mod deletes;
mod end;
pub mod freshness;
mod places;
mod quiet;
mod records;
mod setback;

use std::time::Duration;

use crate::history::Event;
pub use end::{End, unsettled};
pub use places::lie_of;

/// An invariant that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `S1` to `S8`.
    pub rule: &'static str,
    /// When, since the start.
    pub at: Duration,
    /// What, for people.
    pub what: String,
}

impl Finding {
    pub(crate) const fn new(rule: &'static str, at: Duration, what: String) -> Self {
        Self { rule, at, what }
    }
}

/// Things that happened, with when.
pub type Events = [(Duration, Event)];

/// Everything that is wrong with a run.
#[must_use]
pub fn all(events: &Events, end: &End, rest_began: Duration) -> Vec<Finding> {
    let mut findings = records::lost(events);
    findings.extend(commands::two_leaders(events));
    findings.extend(commands::older_terms(events));
    findings.extend(acting::without_the_lease(events));
    findings.extend(places::two_sides(events));
    findings.extend(places::twice_made(events));
    findings.extend(places::trespass(events));
    findings.extend(deletes::unexplained(events));
    findings.extend(setback::commanded(events));
    findings.extend(setback::second_sides(events));
    findings.extend(setback::changed(events));
    findings.extend(setback::too_low(events));
    findings.extend(freshness::too_fresh(events));
    findings.extend(quiet::not_settled(end, rest_began));
    findings.extend(quiet::orphans(events, end, rest_began));
    if end.settled.is_none() {
        findings.extend(quiet::moved(end, rest_began));
        findings.extend(quiet::not_quiet(events, rest_began));
    }
    findings.sort_by_key(|finding| finding.at);
    findings
}
