//! The crash matrix within the bounds of a test: every point of a namespace tenant's life, and some of a node-pool tenant's.
//! `cargo xtask chaos crashes` makes all trials.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use berth_tests::corruption::corrupt;
use berth_tests::crashes::{Outcome, Scenario, Stage, Trial, Victim};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// How many points of a scenario that takes long are tried.
const SAMPLE: usize = 8;

/// How many damaged stores.
const DAMAGES: usize = 25;

async fn matrix(
    stage: &mut Stage,
    victim: Victim,
    scenario: Scenario,
    sample: Option<(usize, u64)>,
) -> Outcome {
    let points = stage.enumerate(victim, scenario).await.unwrap();
    let mut numbers: Vec<u64> = points.iter().map(|point| point.number).collect();
    if let Some((most, seed)) = sample {
        numbers.shuffle(&mut StdRng::seed_from_u64(seed));
        numbers.truncate(most);
    }
    let mut outcome = Outcome {
        points: points.len(),
        ..Outcome::default()
    };
    for point in numbers {
        let trial = Trial {
            victim,
            scenario,
            point,
        };
        let result = stage.attempt(trial).await;
        outcome.take(trial, result);
    }
    println!("{victim}, {scenario}: {outcome}");
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_at_whatever_step_nothing_is_lost_done_twice_or_left_behind() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut stage = Stage::start().await.unwrap();
    for (victim, scenario, sample) in [
        (Victim::Hub, Scenario::Namespace, None),
        (Victim::Agent, Scenario::Namespace, Some((SAMPLE, seed))),
        (Victim::Hub, Scenario::NodePool, Some((SAMPLE, seed))),
    ] {
        let outcome = matrix(&mut stage, victim, scenario, sample).await;
        assert!(
            outcome.failures.is_empty(),
            "seed {seed}\n{}",
            outcome.failures.join("\n\n")
        );
        assert!(!outcome.died.is_empty(), "nobody has died: {outcome}");
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_on_a_damaged_store_says_how_to_repair_it_or_has_everything() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let tally = corrupt(seed, DAMAGES).await.unwrap();
    println!("{tally}");
    assert!(tally.silent.is_empty(), "seed {seed}: {:#?}", tally.silent);
    assert!(tally.wrong.is_empty(), "seed {seed}: {:#?}", tally.wrong);
    assert!(tally.refused > 0, "seed {seed}: nothing was refused: {tally}");
}
