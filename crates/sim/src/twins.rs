//! Two agents in one cluster at once: a rolling update that starts the next before the last has ended, and one that was cut off from
//! its cluster or stopped, whose place another took, and that comes back.

use std::time::Duration;

use berth_runtime::CancellationToken;

use crate::{agent::Agent, chance::Dice, history::Event, world::World};

/// How long one that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(30);

/// Lets it happen now and then until `stop`.
pub async fn play(world: World, seed: u64, stop: CancellationToken) {
    let dice = Dice::named(seed, "agents in twos");
    while !stop.is_cancelled() {
        tokio::time::sleep(dice.millis(5_000, 45_000)).await;
        if !stop.is_cancelled() {
            once(&world, &dice).await;
        }
    }
}

async fn once(world: &World, dice: &Dice) {
    let clusters: Vec<_> = world.sites().into_keys().collect();
    let Some(cluster) = dice.pick(&clusters) else {
        return;
    };
    let Some(older) = world.sites().get(&cluster).and_then(|site| site.agent.clone()) else {
        return;
    };
    if older.gate.dead() {
        return;
    }
    let how = dice.below(4);
    let away = dice.millis(1_000, 60_000);
    let told = match how {
        0 => "another is started beside",
        1 => "another is started for one that is cut off from its cluster:",
        2 => "another is started for one that is stopped:",
        _ => "another is started, and then killed is",
    };
    world
        .history
        .note(Event::Fault(format!("{told} {}, for {away:?}", older.name)));
    match how {
        1 => older.road.block(true),
        2 => older.gate.pause(),
        _ => {}
    }
    tokio::time::sleep(dice.millis(0, 15_000)).await;
    world.add_agent(&cluster, &older);
    let (world, dice) = (world.clone(), dice.clone());
    tokio::spawn(async move {
        tokio::time::sleep(away).await;
        come_back(&older);
        if how == 3 {
            world.end_agent(&older);
        } else {
            // The new one is ready, or nobody waits for that any longer: the old one is asked to end.
            tokio::time::sleep(dice.millis(0, 30_000)).await;
            older.ask_to_end();
            // As Kubernetes has it.
            tokio::time::sleep(GRACE).await;
            world.end_agent(&older);
        }
    });
}

/// Whatever kept it from its cluster is over.
pub fn come_back(agent: &Agent) {
    agent.road.block(false);
    agent.gate.resume();
}
