//! Fleets by seed: what continuous integration runs. Thousands more: `cargo xtask sim --seeds N`.

#![expect(clippy::panic, reason = "a test says what is wrong by panicking")]

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_sim::{Outcome, Plan, run};

/// How many fleets live through trouble in every build.
const SEEDS: u64 = 200;

/// Seeds that found something, with what it was, as they were drawn then; each bug has a test of its own beside what was mended.
const FOUND: &[(u64, &str)] = &[
    (
        142,
        "an assignment that came after the withdrawal it was said before stayed in its cluster for ever",
    ),
    (
        13,
        "a hub whose clock was set back showed old evidence as fresh until its clock had caught up",
    ),
    (
        22,
        "an agent whose clock was set back said that its API server had answered just now",
    ),
    (
        2,
        "an engine's watches woke in a random order, so that one seed was several histories",
    ),
];

fn short(seed: u64) -> Plan {
    Plan {
        trouble: Duration::from_secs(150),
        rest: Duration::from_secs(120),
        ..Plan::of(seed)
    }
}

/// Runs these on as many threads as there are cores here usually, and tells of all that went wrong.
fn run_all(plans: &[Plan]) -> Vec<Outcome> {
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                    let Some(plan) = plans.get(at) else { return };
                    let outcome = run(*plan)
                        .unwrap_or_else(|error| panic!("seed {} cannot be run: {error:#}", plan.seed));
                    outcomes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn fine(plans: &[Plan]) {
    let mut wrong = String::new();
    for outcome in run_all(plans) {
        for finding in outcome.findings.iter().take(3) {
            wrong.push_str(&format!(
                "seed {}: {} {}\n",
                outcome.seed, finding.rule, finding.what
            ));
        }
        if !outcome.findings.is_empty() {
            let plan = plans.iter().find(|plan| plan.seed == outcome.seed);
            let plan = plan.copied().unwrap_or_else(|| Plan::of(outcome.seed));
            wrong.push_str(&format!(
                "replay: cargo xtask sim --from {} --trouble {} --rest {} --trace\n",
                plan.seed,
                plan.trouble.as_secs(),
                plan.rest.as_secs()
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_fleet_keeps_the_invariants_whatever_breaks_and_comes_to_rest() {
    let plans: Vec<Plan> = (1..=SEEDS).map(short).collect();
    fine(&plans);
}

#[test]
fn what_a_seed_once_found_stays_mended() {
    let plans: Vec<Plan> = FOUND.iter().map(|(seed, _)| short(*seed)).collect();
    fine(&plans);
}

#[test]
fn a_seed_is_one_history() {
    let plans: Vec<Plan> = (1..=8).flat_map(|seed| [short(seed), short(seed)]).collect();
    let mut outcomes = run_all(&plans);
    outcomes.sort_by_key(|outcome| outcome.seed);
    for pair in outcomes.chunks(2) {
        let [first, second] = pair else { continue };
        assert_eq!(
            (first.events, first.fingerprint),
            (second.events, second.fingerprint),
            "seed {} went two ways",
            first.seed
        );
    }
    let different: std::collections::BTreeSet<u64> =
        outcomes.iter().map(|outcome| outcome.fingerprint).collect();
    assert_eq!(different.len(), 8, "another seed is another history");
}
