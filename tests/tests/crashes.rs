//! The crash matrix within the bounds of a test: every point of a namespace tenant's life, and some of a node-pool tenant's.
//! `cargo xtask chaos crashes` makes all trials.

use berth_tests::corruption::corrupt;
use berth_tests::crashes::{Scenario, Stage, Victim};
use rand::Rng as _;

/// How many points of a scenario that takes long are tried.
const SAMPLE: usize = 6;

/// How many damaged stores.
const DAMAGES: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_at_whatever_step_nothing_is_lost_done_twice_or_left_behind() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut stage = Stage::start().await.unwrap();
    for (victim, scenario, most) in [
        (Victim::Hub, Scenario::Namespace, None),
        (Victim::Agent, Scenario::Namespace, Some(SAMPLE)),
        (Victim::Hub, Scenario::NodePool, Some(SAMPLE)),
    ] {
        let outcome = stage.matrix(victim, scenario, most, seed).await.unwrap();
        println!("{victim}, {scenario}: {outcome}");
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
