//! Whether a history can have been.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester};

use super::model::Tenant;
use super::record::{Answer, Call, Event, History, Op, Seen};
use super::watch;

/// Steps of the search for one tenant's order. A history of a hundred calls takes some hundreds when nothing is wrong.
const STEPS: u64 = 200_000;
/// After so many tenants without an order the others are not looked at: they would say nothing new.
const ENOUGH: usize = 3;
/// Threads of calls without an answer, after all clients: they are tried last.
const LOST: usize = 1 << 20;

/// Something that cannot have been.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// No order of the calls explains the answers.
    #[error(
        "no order of the calls on tenant {tenant} explains the answers up to the last of these:\n{}",
        Shown(calls)
    )]
    NotLinearizable {
        /// The tenant.
        tenant: String,
        /// Up to the first answer that cannot be explained.
        calls: Vec<Call>,
    },
    /// The search was given up.
    #[error("the calls on tenant {tenant} ({calls}, {lost} without an answer) allow too many orders to try")]
    Undecided {
        /// The tenant.
        tenant: String,
        /// How many calls.
        calls: usize,
        /// How many of them without an answer.
        lost: usize,
    },
    /// Two answers or events show one generation differently.
    #[error("tenant {tenant} was shown as {one:?} and as {other:?}")]
    TwoStates {
        /// The tenant.
        tenant: String,
        /// Once.
        one: Seen,
        /// And once.
        other: Seen,
    },
    /// A stream showed an older state after a newer one.
    #[error("watcher {watcher} saw tenant {tenant} as {before:?}, and then as {after:?}")]
    WentBack {
        /// Who saw it.
        watcher: usize,
        /// The tenant.
        tenant: String,
        /// First.
        before: Seen,
        /// Then.
        after: Seen,
    },
    /// A stream showed a tenant that it had said is gone.
    #[error("watcher {watcher} saw that tenant {tenant} is gone, and then as {seen:?}")]
    Resurrected {
        /// Who saw it.
        watcher: usize,
        /// The tenant.
        tenant: String,
        /// Then.
        seen: Seen,
    },
    /// A stream showed the same again outside of a snapshot.
    #[error("watcher {watcher} saw tenant {tenant} twice as {seen:?}, outside of a snapshot")]
    Repeated {
        /// Who saw it.
        watcher: usize,
        /// The tenant.
        tenant: String,
        /// Twice.
        seen: Seen,
    },
    /// A stream never came to what there is.
    #[error("watcher {watcher} saw tenant {tenant} last as {shown:?}, and it is {is:?}")]
    Missed {
        /// Who saw it.
        watcher: usize,
        /// The tenant.
        tenant: String,
        /// In the stream; none when it is not there.
        shown: Option<Seen>,
        /// In truth; none when it is not there.
        is: Option<Seen>,
    },
}

/// How much was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls.
    pub calls: usize,
    /// Of them without an answer.
    pub lost: usize,
    /// Of these, writes: they may have happened or not.
    pub open: usize,
    /// Tenants.
    pub tenants: usize,
    /// Calls on the tenant that had most.
    pub longest: usize,
    /// Steps of the longest search for an order.
    pub steps: u64,
    /// Events of watch streams.
    pub events: usize,
    /// How often a stream was opened.
    pub opened: usize,
    /// How often with the resume token of another hub.
    pub carried: usize,
}

/// The first fault of each kind, for people.
#[must_use]
pub fn told(faults: &[Fault]) -> String {
    let mut kinds = Vec::new();
    let mut told = format!("{} faults, the first of each kind:", faults.len());
    for fault in faults {
        let kind = std::mem::discriminant(fault);
        if !kinds.contains(&kind) {
            kinds.push(kind);
            told.push_str(&format!("\n{fault}"));
        }
    }
    told
}

/// Checks everything.
///
/// # Errors
/// Every fault that was found; of a tenant whose calls have no order, the shortest history that has none.
pub fn check(history: &History) -> Result<Report, Vec<Fault>> {
    within(STEPS, history)
}

/// [`check`] with so many steps for each tenant.
fn within(steps: u64, history: &History) -> Result<Report, Vec<Fault>> {
    let mut faults = two_states(history);
    let mut report = Report::default();
    let mut tenants: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for call in &history.calls {
        // A question whose answer was lost has neither an effect nor an answer.
        if call.op != Op::Get || call.ended.is_some() {
            tenants.entry(&call.tenant).or_default().push(call);
        }
        report.calls += 1;
        report.lost += usize::from(call.ended.is_none());
        report.open += usize::from(call.ended.is_none() && call.op != Op::Get);
    }
    report.tenants = tenants.len();
    let mut without_order = 0;
    for (tenant, calls) in tenants {
        report.longest = report.longest.max(calls.len());
        if without_order < ENOUGH
            && let Some(fault) = tenant_fault(steps, tenant, &calls, &mut report.steps)
        {
            without_order += 1;
            faults.push(fault);
        }
    }
    for (watcher, events) in history.watches.iter().enumerate() {
        report.events += events.len();
        let opened: Vec<(usize, bool)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Opened { hub, resuming } => Some((*hub, *resuming)),
                _ => None,
            })
            .collect();
        report.opened += opened.len();
        report.carried += opened
            .windows(2)
            .filter(|pair| pair[1].1 && pair[0].0 != pair[1].0)
            .count();
        faults.extend(watch::faults(watcher, events, &history.last));
    }
    if faults.is_empty() {
        Ok(report)
    } else {
        Err(faults)
    }
}

fn tenant_fault(steps: u64, tenant: &str, calls: &[&Call], longest: &mut u64) -> Option<Fault> {
    let undecided = || Fault::Undecided {
        tenant: tenant.to_owned(),
        calls: calls.len(),
        lost: calls.iter().filter(|call| call.ended.is_none()).count(),
    };
    let (found, taken) = linearizable(steps, calls, u64::MAX);
    *longest = taken.max(*longest);
    match found {
        None => return Some(undecided()),
        Some(true) => return None,
        Some(false) => {}
    }
    // What has no order has none with more calls either: the first moment without one is found by halving.
    let mut moments: Vec<u64> = calls
        .iter()
        .filter_map(|call| Some(call.ended.as_ref()?.0))
        .collect();
    moments.sort_unstable();
    // What cannot be decided soon counts as none: the place shown is then a little early.
    let soon = steps / 10;
    let first = moments.partition_point(|moment| linearizable(soon, calls, *moment).0 == Some(true));
    let until = moments.get(first).copied().unwrap_or(u64::MAX);
    Some(Fault::NotLinearizable {
        tenant: tenant.to_owned(),
        calls: calls
            .iter()
            .filter(|call| call.begun <= until)
            .map(|call| as_of(call, until))
            .collect(),
    })
}

/// The call as it was known at `moment`.
fn as_of(call: &Call, moment: u64) -> Call {
    Call {
        ended: call.ended.filter(|(ended, _)| *ended <= moment),
        ..call.clone()
    }
}

/// Whether the calls have an order, by what was known at `moment`, and the steps it took to find out; none when it takes too many.
fn linearizable(most: u64, calls: &[&Call], moment: u64) -> (Option<bool>, u64) {
    enum Step {
        Begin((usize, Op)),
        End(Option<Answer>),
    }
    let mut steps: Vec<(u64, usize, Step)> = Vec::new();
    let mut answers = 0;
    for (number, call) in calls.iter().enumerate() {
        if call.begun > moment {
            continue;
        }
        // A client goes on after a lost answer, so such a call is a thread of its own.
        let thread = match call.ended.filter(|(ended, _)| *ended <= moment) {
            Some((ended, answer)) => {
                steps.push((ended, call.client, Step::End(Some(answer))));
                answers += 1;
                call.client
            }
            None => {
                steps.push((u64::MAX, LOST + number, Step::End(None)));
                LOST + number
            }
        };
        steps.push((call.begun, thread, Step::Begin((number, call.op))));
    }
    steps.sort_by_key(|(moment, ..)| *moment);
    let tenant = Tenant::absent(most, answers);
    let mut tester = LinearizabilityTester::new(tenant.clone());
    for (_, thread, step) in steps {
        let taken = match step {
            Step::Begin(op) => tester.on_invoke(thread, op).map(drop),
            Step::End(answer) => tester.on_return(thread, answer).map(drop),
        };
        if taken.is_err() {
            // A client with two calls at once: nothing that a recorder writes.
            return (Some(false), 0);
        }
    }
    let found = catch_unwind(AssertUnwindSafe(|| tester.is_consistent())).ok();
    (found, most - tenant.left())
}

/// One generation of a tenant has one content, whoever shows it.
fn two_states(history: &History) -> Vec<Fault> {
    let answers = history.calls.iter().filter_map(|call| match call.ended {
        Some((_, Answer::Is(seen))) => Some((&call.tenant, seen)),
        _ => None,
    });
    let events = history.watches.iter().flatten().filter_map(|event| match event {
        Event::Upserted { tenant, seen, .. } => Some((tenant, *seen)),
        _ => None,
    });
    let mut first = BTreeMap::new();
    let mut faults = Vec::new();
    for (tenant, seen) in answers.chain(events) {
        let one = *first.entry((tenant, seen.uid, seen.generation)).or_insert(seen);
        if one != seen {
            faults.push(Fault::TwoStates {
                tenant: tenant.clone(),
                one,
                other: seen,
            });
        }
    }
    faults
}

struct Shown<'a>(&'a [Call]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for call in self.0 {
            write!(f, "  {:>6} client {}: {:?} -> ", call.begun, call.client, call.op)?;
            match call.ended {
                Some((ended, answer)) => writeln!(f, "{answer:?} at {ended}")?,
                None => writeln!(f, "no answer")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
