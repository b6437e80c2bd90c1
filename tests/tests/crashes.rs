//! The crash matrix within the bounds of a test: every point of a namespace tenant's life, and some of a node-pool tenant's.
//! `cargo xtask chaos crashes` makes all trials.

use berth_fake::control_plane::{Binaries, EtcdCluster, EtcdClusterOptions};
use berth_tests::corruption::corrupt;
use berth_tests::crashes::{Door, Ground, Outcome, Scenario, Stage, Victim};
use berth_tests::disk::{Disk, Luck};
use rand::Rng as _;

/// How many points of a scenario that takes long are tried.
const SAMPLE: usize = 6;

/// How many of a beginning's.
const BEGINNINGS: usize = 8;

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

fn fine(name: &str, seed: u64, outcome: &Outcome) {
    println!("{name}: {outcome}");
    assert!(
        outcome.failures.is_empty(),
        "seed {seed}\n{}",
        outcome.failures.join("\n\n")
    );
    assert!(!outcome.died.is_empty(), "nobody has died: {outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_dies_at_whatever_step_of_its_first_start_is_whole_when_it_is_started_again() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut ground = Ground::new(None).unwrap();
    let most = Some(BEGINNINGS);
    let killed = ground.matrix(None, most, seed, "founding").await.unwrap();
    fine("founding", seed, &killed);
    if Disk::is_possible() {
        for (name, luck) in [
            ("power-lost", Luck::None),
            ("power-lost-names-kept", Luck::Names),
            ("power-lost-some-kept", Luck::Some(seed)),
        ] {
            let lost = ground.matrix(Some(luck), most, seed, name).await.unwrap();
            fine(name, seed, &lost);
        }
    }
    let options = EtcdClusterOptions {
        members: 1,
        ..EtcdClusterOptions::default()
    };
    let etcd = EtcdCluster::start(&Binaries::find().unwrap(), &options)
        .await
        .unwrap();
    let mut ground = Ground::new(Some(&etcd)).unwrap();
    let killed = ground.matrix(None, most, seed, "founding-on-etcd").await.unwrap();
    fine("founding-on-etcd", seed, &killed);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_at_whatever_step_of_joining_the_cluster_joins_once_by_its_one_token() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut door = Door::start().await.unwrap();
    for (victim, name) in [(Victim::Hub, "joining-hub"), (Victim::Agent, "joining-agent")] {
        let outcome = door.matrix(victim, Some(BEGINNINGS), seed, name).await.unwrap();
        fine(name, seed, &outcome);
    }
    door.stop().await;
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
