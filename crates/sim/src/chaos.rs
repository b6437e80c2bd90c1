//! What goes wrong: one thing after another at random, several at once, each mended after a while.

use std::time::Duration;

use berth_provision::{Failure, Trouble, TroubleClass, simulated::SimulatedFault};
use berth_runtime::CancellationToken;

use crate::{
    history::Event,
    member::{Ill, LONGEST_ILLNESS},
    twins,
    world::World,
};

/// Breaks things until `stop`; what is broken then mends by itself within two minutes, or by [`mend_all`].
pub async fn rage(world: World, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::time::sleep(world.dice.millis(500, 15_000)).await;
        if stop.is_cancelled() {
            return;
        }
        once(&world).await;
    }
}

fn note(world: &World, what: String) {
    world.history.note(Event::Fault(what));
}

/// Does something after a while.
fn later(world: &World, after: Duration, mend: impl FnOnce(&World) + Send + 'static) {
    let world = world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        if !world.is_over() {
            mend(&world);
        }
    });
}

async fn once(world: &World) {
    let dice = &world.dice;
    let clusters: Vec<_> = world.sites().into_keys().collect();
    let machines = world.hub_machines();
    let Some(machine) = dice.pick(&machines) else {
        return;
    };
    let cluster = dice.pick(&clusters);
    let while_ = dice.millis(500, 60_000);
    match (dice.below(100), cluster) {
        (0..14, _) => {
            world.kill_hub(&machine, dice.percent(40));
            later(world, dice.millis(0, 25_000), move |world| {
                world.start_hub(&machine)
            });
        }
        (14..22, _) => {
            let Some(hub) = world.hub(&machine).filter(|hub| !hub.gate.dead()) else {
                return;
            };
            note(world, format!("pause {} for {while_:?}", hub.name));
            hub.gate.pause();
            later(world, while_, move |_| hub.gate.resume());
        }
        (22..34, Some(cluster)) => {
            world.kill_agent(&cluster, dice.percent(40));
            later(world, dice.millis(0, 60_000), move |world| {
                world.start_agent(&cluster)
            });
        }
        (34..39, Some(cluster)) => {
            let Some(agent) = world.sites().get(&cluster).and_then(|site| site.agent.clone()) else {
                return;
            };
            note(world, format!("pause {} for {while_:?}", agent.name));
            agent.gate.pause();
            later(world, while_, move |_| agent.gate.resume());
        }
        (39..53, Some(cluster)) => {
            let cluster = cluster.to_string();
            let which = dice.below(3);
            note(
                world,
                format!("part {cluster} and {machine} ({which}) for {while_:?}"),
            );
            if which != 1 {
                world.network.block(&cluster, &machine, true);
            }
            if which != 0 {
                world.network.block(&machine, &cluster, true);
            }
            later(world, while_, move |world| {
                world.network.block(&cluster, &machine, false);
                world.network.block(&machine, &cluster, false);
            });
        }
        (53..60, _) if world.truth.lease.is_some() => {
            let Some(road) = world.road(&machine) else { return };
            note(world, format!("part {machine} and the store for {while_:?}"));
            road.block(true);
            later(world, while_, move |_| road.block(false));
        }
        (60..70, Some(cluster)) => {
            let Some(site) = world.sites().get(&cluster).cloned() else {
                return;
            };
            let ill = dice
                .pick(&[Ill::Hangs, Ill::Refuses, Ill::Throttles])
                .unwrap_or(Ill::Hangs);
            let while_ = while_.min(LONGEST_ILLNESS);
            note(world, format!("the API of {cluster} {ill:?} for {while_:?}"));
            site.member.set_ill(Some(ill));
            later(world, while_, move |_| site.member.set_ill(None));
        }
        (70..78, cluster) => {
            let skew = if dice.percent(50) {
                world.skew(&machine)
            } else {
                cluster.and_then(|cluster| world.sites().get(&cluster).map(|site| site.skew.clone()))
            };
            let by = i64::try_from(dice.below(240_000)).unwrap_or(0) - 120_000;
            note(
                world,
                format!("a clock is wrong by {by} ms (of {machine} or an agent)"),
            );
            if let Some(skew) = skew {
                skew.set(by);
            }
        }
        (78..86, _) => cloud(world),
        (86..90, _) => {
            note(world, format!("links are slow for {while_:?}"));
            world.network.set_slowness(20);
            later(world, while_, |world| world.network.set_slowness(1));
        }
        (90..94, Some(cluster)) => vandalise(world, &cluster).await,
        (94..97, _) => {
            note(world, "every connection breaks".into());
            world.network.break_off(None);
        }
        (_, _) => swizzle(world).await,
    }
}

fn cloud(world: &World) {
    let dice = &world.dice;
    let fault = match dice.below(3) {
        0 => SimulatedFault::Refuse(Failure::new(
            TroubleClass::Retry,
            "ThrottlingException",
            "too many requests",
        )),
        1 => SimulatedFault::LoseAnswer,
        _ => SimulatedFault::Break(Trouble {
            class: TroubleClass::Replace,
            code: "CreateFailed".into(),
            message: "could not be made".into(),
            attempts: 1,
        }),
    };
    note(world, format!("the cloud: {fault:?}"));
    world.cloud.simulated.inject(fault);
}

/// Somebody deletes an object of a tenant behind the agent's back.
async fn vandalise(world: &World, cluster: &berth_model::ClusterName) {
    let Some(site) = world.sites().get(cluster).cloned() else {
        return;
    };
    let namespaces: Vec<String> = site
        .member
        .tenants()
        .await
        .unwrap_or_default()
        .into_keys()
        .collect();
    let Some(namespace) = world.dice.pick(&namespaces) else {
        return;
    };
    let path = format!("/api/v1/namespaces/{namespace}/limitranges/berth");
    let said = site.member.vandalise(&path).await.unwrap_or(0);
    note(world, format!("somebody deletes {path} of {cluster}: {said}"));
}

/// Everything is stopped one after another in some order, and started again in another.
async fn swizzle(world: &World) {
    note(world, "swizzle".into());
    let mut parts: Vec<(bool, String)> = world
        .hub_machines()
        .into_iter()
        .map(|machine| (true, machine))
        .collect();
    parts.extend(
        world
            .sites()
            .into_keys()
            .map(|cluster| (false, cluster.to_string())),
    );
    let order = |world: &World, mut parts: Vec<(bool, String)>| {
        let mut shuffled = Vec::with_capacity(parts.len());
        while !parts.is_empty() {
            let at = usize::try_from(world.dice.below(u64::try_from(parts.len()).unwrap_or(1))).unwrap_or(0);
            shuffled.push(parts.swap_remove(at));
        }
        shuffled
    };
    for (is_hub, name) in order(world, parts.clone()) {
        if is_hub {
            world.kill_hub(&name, false);
        } else if let Ok(cluster) = berth_model::ClusterName::new(name) {
            world.kill_agent(&cluster, false);
        }
        tokio::time::sleep(world.dice.millis(0, 2000)).await;
    }
    for (is_hub, name) in order(world, parts) {
        tokio::time::sleep(world.dice.millis(0, 2000)).await;
        if is_hub {
            world.start_hub(&name);
        } else if let Ok(cluster) = berth_model::ClusterName::new(name) {
            world.start_agent(&cluster);
        }
    }
}

/// Everything that is broken is mended, and everything that is stopped goes on.
pub fn mend_all(world: &World) {
    world
        .truth
        .trouble
        .store(false, std::sync::atomic::Ordering::Relaxed);
    world.network.heal();
    for machine in world.hub_machines() {
        if let Some(road) = world.road(&machine) {
            road.block(false);
        }
        if let Some(hub) = world.hub(&machine) {
            hub.gate.resume();
        }
        world.start_hub(&machine);
    }
    for (cluster, site) in world.sites() {
        site.member.set_ill(None);
        if let Some(agent) = &site.agent {
            twins::come_back(agent);
        }
        site.older.iter().for_each(twins::come_back);
        world.start_agent(&cluster);
    }
    // Whatever a connection lost stays lost until it is made again.
    world.network.break_off(None);
}
