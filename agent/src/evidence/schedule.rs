//! When each tenant is probed. Pure; times are of one monotonic clock.
//!
//! A tenant is probed when a generation of it was applied that was not probed yet, when the cluster's policies change, when
//! somebody asks, and at an interval. While tenants are being applied nobody is probed, for a while: what was bought goes first.
//! Whoever has no evidence of its generation yet goes before those whose evidence is only to be renewed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_model::{Generation, TenantId, Uid};

/// Probing waits no longer for tenants that are being applied.
const PATIENCE: Duration = Duration::from_secs(5);
/// A pass that did not come about is tried again after this, or after the interval where that is shorter.
const AGAIN: Duration = Duration::from_secs(15);
/// Policies change one after another; what they come to is looked at a moment later.
const SETTLE: Duration = Duration::from_millis(1_500);

/// What a report says of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is being applied.
    Applying,
    /// It is applied as of this generation.
    Applied(Uid, Generation),
    /// Applying it failed.
    Stuck,
    /// It goes.
    Leaving,
}

#[derive(Debug)]
struct Known {
    version: (Uid, Generation),
    /// Something newer is on its way in.
    applied: bool,
    /// This version was probed.
    probed: bool,
    due: Duration,
}

#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    known: BTreeMap<TenantId, Known>,
    applying: BTreeSet<TenantId>,
}

impl Schedule {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            known: BTreeMap::new(),
            applying: BTreeSet::new(),
        }
    }

    pub(super) fn see(&mut self, tenant: &TenantId, seen: Seen, now: Duration) {
        match seen {
            Seen::Applying => drop(self.applying.insert(tenant.clone())),
            _ => drop(self.applying.remove(tenant)),
        }
        match seen {
            Seen::Applied(uid, generation) => {
                let version = (uid, generation);
                let known = self.known.entry(tenant.clone()).or_insert_with(|| Known {
                    version: version.clone(),
                    applied: true,
                    probed: false,
                    due: now,
                });
                known.applied = true;
                if known.version != version {
                    known.version = version;
                    known.probed = false;
                    known.due = now;
                }
            }
            Seen::Applying | Seen::Stuck => {
                if let Some(known) = self.known.get_mut(tenant) {
                    known.applied = false;
                }
            }
            Seen::Leaving => drop(self.known.remove(tenant)),
        }
    }

    /// Somebody wants to know now.
    pub(super) fn ask(&mut self, tenant: &TenantId, now: Duration) {
        if let Some(known) = self.known.get_mut(tenant) {
            known.due = known.due.min(now);
        }
    }

    /// The walls of all may be others.
    pub(super) fn everyone(&mut self, now: Duration) {
        for known in self.known.values_mut() {
            known.due = known.due.min(now + SETTLE);
        }
    }

    /// Whose turn it is.
    pub(super) fn next(&self, now: Duration) -> Option<TenantId> {
        let patience = self.patience();
        let due = self
            .applied()
            .filter(|(_, known)| known.due.saturating_add(patience) <= now);
        let (tenant, _) = due.min_by_key(|(_, known)| (known.probed, known.due))?;
        Some(tenant.clone())
    }

    /// When to ask again.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        let first = self.applied().map(|(_, known)| known.due).min()?;
        Some(first.saturating_add(self.patience()))
    }

    fn patience(&self) -> Duration {
        if self.applying.is_empty() {
            Duration::ZERO
        } else {
            PATIENCE
        }
    }

    fn applied(&self) -> impl Iterator<Item = (&TenantId, &Known)> {
        self.known.iter().filter(|(_, known)| known.applied)
    }

    /// A pass ended; `jitter` is up to a fifth of the interval, so that tenants that came together do not stay together.
    pub(super) fn done(
        &mut self,
        tenant: &TenantId,
        outcome: Result<(), ()>,
        now: Duration,
        jitter: Duration,
    ) {
        if let Some(known) = self.known.get_mut(tenant) {
            let pause = match outcome {
                Ok(()) => {
                    known.probed = true;
                    self.interval.saturating_sub(self.interval / 10) + jitter
                }
                Err(()) => AGAIN.min(self.interval),
            };
            known.due = now + pause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(600);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn name(text: &str) -> TenantId {
        TenantId::new(text).unwrap()
    }

    fn applied(generation: u64) -> Seen {
        Seen::Applied(Uid::new("u").unwrap(), Generation(generation))
    }

    #[test]
    fn a_tenant_is_probed_once_it_is_applied_and_then_at_the_interval() {
        let mut schedule = Schedule::new(INTERVAL);
        assert_eq!((schedule.next(at(1)), schedule.wake_at()), (None, None));
        schedule.see(&name("a"), Seen::Applying, at(1));
        assert_eq!(schedule.next(at(2)), None);
        schedule.see(&name("a"), applied(1), at(2));
        assert_eq!(schedule.next(at(2)), Some(name("a")));
        schedule.done(&name("a"), Ok(()), at(3), at(60));
        assert_eq!(schedule.next(at(602)), None);
        assert_eq!(schedule.wake_at(), Some(at(603)));
        assert_eq!(schedule.next(at(603)), Some(name("a")));
    }

    #[test]
    fn another_generation_is_probed_at_once_and_the_same_is_not() {
        let mut schedule = Schedule::new(INTERVAL);
        schedule.see(&name("a"), applied(1), at(0));
        schedule.done(&name("a"), Ok(()), at(1), at(0));
        schedule.see(&name("a"), applied(1), at(2));
        assert_eq!(schedule.next(at(3)), None);
        schedule.see(&name("a"), Seen::Applying, at(4));
        assert_eq!(
            schedule.next(at(600)),
            None,
            "what is on its way in is not probed"
        );
        schedule.see(&name("a"), applied(2), at(601));
        assert_eq!(schedule.next(at(601)), Some(name("a")));
    }

    #[test]
    fn while_others_are_applied_probing_waits_but_not_for_ever() {
        let mut schedule = Schedule::new(INTERVAL);
        schedule.see(&name("b"), Seen::Applying, at(0));
        schedule.see(&name("a"), applied(1), at(0));
        assert_eq!((schedule.next(at(4)), schedule.wake_at()), (None, Some(PATIENCE)));
        assert_eq!(schedule.next(PATIENCE), Some(name("a")));
        schedule.see(&name("b"), Seen::Stuck, at(1));
        assert_eq!(
            schedule.next(at(1)),
            Some(name("a")),
            "who is stuck holds nobody up"
        );
    }

    #[test]
    fn who_has_no_evidence_yet_goes_before_those_whose_evidence_is_to_be_renewed() {
        let mut schedule = Schedule::new(INTERVAL);
        for tenant in ["a", "b"] {
            schedule.see(&name(tenant), applied(1), at(0));
            schedule.done(&name(tenant), Ok(()), at(1), at(0));
        }
        schedule.everyone(at(10));
        schedule.see(&name("new"), applied(1), at(20));
        assert_eq!(schedule.next(at(20)), Some(name("new")));
        schedule.done(&name("new"), Ok(()), at(21), at(0));
        schedule.see(&name("b"), applied(2), at(22));
        assert_eq!(
            schedule.next(at(22)),
            Some(name("b")),
            "another generation is new too"
        );
        schedule.done(&name("b"), Ok(()), at(23), at(0));
        assert_eq!(schedule.next(at(23)), Some(name("a")));
    }

    #[test]
    fn a_change_of_policies_and_a_question_bring_the_turn_forward() {
        let mut schedule = Schedule::new(INTERVAL);
        for tenant in ["a", "b"] {
            schedule.see(&name(tenant), applied(1), at(0));
            schedule.done(&name(tenant), Ok(()), at(1), at(0));
        }
        schedule.ask(&name("b"), at(5));
        assert_eq!(schedule.next(at(5)), Some(name("b")));
        schedule.done(&name("b"), Ok(()), at(6), at(0));
        schedule.everyone(at(10));
        assert_eq!(schedule.next(at(10)), None);
        assert!(schedule.next(at(12)).is_some());
        schedule.ask(&name("nobody"), at(12));
    }

    #[test]
    fn what_did_not_come_about_is_tried_again_soon_and_who_leaves_is_left_alone() {
        let mut schedule = Schedule::new(INTERVAL);
        schedule.see(&name("a"), applied(1), at(0));
        schedule.done(&name("a"), Err(()), at(1), at(0));
        assert_eq!(schedule.next(at(16)), Some(name("a")));
        schedule.see(&name("a"), Seen::Leaving, at(16));
        assert_eq!(schedule.next(at(10_000)), None);
    }
}
