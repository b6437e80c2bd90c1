//! Administrators: they ask for things at random, sometimes the same thing at once, and sometimes never hear the answer.

use std::{future::Future, time::Duration};

use berth_control::{
    Registry, RegistryError,
    registry::{TenantChange, TokenSpec},
};
use berth_model::{ClusterName, Tenant, TenantId, TenantSpec, TierName, tier::SizeName};

use crate::{
    history::{Acknowledged, Event},
    world::World,
};

/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// Tenants there may be.
const NAMES: [&str; 8] = ["ada", "bel", "cyd", "dot", "eve", "fay", "gus", "hal"];
/// The label in which every operation leaves its mark.
pub const MARK: &str = "mark";

/// What an administrator got to know.
pub(crate) enum Heard<T> {
    Done(T),
    Refused(String),
    /// No answer: it may have been done, or may still be.
    Nothing,
}

/// One administrator at work until the world says stop.
pub async fn work(world: World, name: u64, stop: berth_runtime::CancellationToken) {
    let mut call = name * 1_000_000;
    while !stop.is_cancelled() {
        tokio::time::sleep(world.dice.millis(300, 12_000)).await;
        if stop.is_cancelled() {
            return;
        }
        call += 1;
        act(&world, call).await;
    }
}

async fn act(world: &World, call: u64) {
    let dice = &world.dice;
    let id = dice.pick(&NAMES).unwrap_or(NAMES[0]);
    match dice.below(100) {
        0..35 => create(world, call, id).await,
        35..60 => update(world, call, id).await,
        60..78 => delete(world, call, id).await,
        78..84 => cordon(world, call).await,
        84..88 => join(world, call).await,
        88..91 => remove(world, call).await,
        91..95 => rehearse(world, call, id).await,
        _ => release_breaker(world).await,
    }
}

/// Asks some hub; the question or the answer may be lost.
pub(crate) async fn ask<T, F>(world: &World, ask: impl FnOnce(Registry) -> F) -> Heard<T>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    let dice = &world.dice;
    let lossy = world.truth.trouble.load(std::sync::atomic::Ordering::Relaxed);
    // Mostly whoever leads; sometimes anybody, as a client that does not know does.
    let hub = match world.leader() {
        Some(hub) if !dice.percent(10) => Some(hub),
        _ => dice
            .pick(&world.hub_machines())
            .and_then(|machine| world.hub(&machine))
            .filter(|hub| !hub.gate.dead()),
    };
    let Some(hub) = hub else {
        return Heard::Refused("nobody there".into());
    };
    tokio::time::sleep(world.network.latency()).await;
    if lossy && dice.percent(3) {
        return Heard::Nothing;
    }
    // Elsewhere it is the store that refuses whoever does not lead, which is worth trying; a store that was put back may not.
    if world.rare.set_back.is_some()
        && let Some(why) = hub.refuses_changes()
    {
        return Heard::Refused(why);
    }
    hub.gate.pass_within(PATIENCE).await;
    let answer = tokio::time::timeout(PATIENCE, ask(hub.registry.clone())).await;
    if lossy && dice.percent(5) {
        return Heard::Nothing;
    }
    tokio::time::sleep(world.network.latency()).await;
    match answer {
        Ok(Ok(done)) if !hub.gate.dead() => Heard::Done(done),
        Ok(Err(RegistryError::Store(error))) => {
            if matches!(
                error,
                berth_store::StoreError::NotLeader | berth_store::StoreError::Full { .. }
            ) {
                Heard::Refused(error.to_string())
            } else {
                Heard::Nothing
            }
        }
        Ok(Err(error)) => Heard::Refused(error.to_string()),
        Ok(Ok(_)) | Err(_) => Heard::Nothing,
    }
}

fn asked(world: &World, call: u64, what: String) {
    world.history.note(Event::Asked { call, what });
}

fn answered(world: &World, call: u64, what: &'static str, heard: Heard<(Tenant, String)>) -> bool {
    let (done, why, known) = match heard {
        Heard::Done((tenant, mark)) => {
            let why = format!("{what} {} generation {}", tenant.id, tenant.generation);
            let done = Acknowledged {
                what,
                tenant: tenant.id,
                uid: tenant.uid,
                generation: tenant.generation,
                mark,
            };
            (Some(done), why, true)
        }
        Heard::Refused(why) => (None, why, true),
        Heard::Nothing => (None, "(no answer)".to_owned(), false),
    };
    world.history.note(Event::Answered { call, done, why });
    known
}

fn tier_for(world: &World, id: &str) -> Option<TierName> {
    // A name keeps to one isolation most of the time, so that all three are there.
    let tiers = ["free", "standard", "standard", "premium", "enterprise"];
    let at = if world.dice.percent(70) {
        usize::from(id.as_bytes()[0]) % tiers.len()
    } else {
        usize::try_from(world.dice.below(5)).unwrap_or(0)
    };
    TierName::new(tiers[at]).ok()
}

async fn create(world: &World, call: u64, id: &str) {
    let Some(tier) = tier_for(world, id) else { return };
    let mark = format!("m{call}");
    let mut spec = TenantSpec::of_tier(tier);
    spec.labels.insert(MARK.into(), mark.clone());
    if world.dice.percent(30) {
        spec.namespaces = vec!["extra".into()];
    }
    let request = if world.dice.percent(60) {
        mark.clone()
    } else {
        String::new()
    };
    asked(world, call, format!("create {id} of {}", spec.tier));
    // A client that hears nothing asks again, with the same request id.
    for _ in 0..3 {
        let (spec, request, mark) = (spec.clone(), request.clone(), mark.clone());
        let heard = ask(world, |registry| async move {
            let accepted = registry.create_tenant(id, spec, &request, false).await?;
            Ok((accepted.tenant, mark))
        })
        .await;
        if answered(world, call, "create", heard) || request_is_single(&world.dice) {
            return;
        }
    }
}

fn request_is_single(dice: &crate::chance::Dice) -> bool {
    dice.percent(40)
}

async fn update(world: &World, call: u64, id: &str) {
    let mark = format!("m{call}");
    let dice = &world.dice;
    let size = dice.pick(&[
        None,
        Some(SizeName::Micro),
        Some(SizeName::Small),
        Some(SizeName::Medium),
        Some(SizeName::Large),
    ]);
    let extra = dice.percent(50);
    let tier = dice.percent(15).then(|| tier_for(world, id)).flatten();
    let guarded = dice.percent(40);
    asked(world, call, format!("update {id}"));
    let (marked, key) = (mark.clone(), id.to_owned());
    let heard = ask(world, |registry| async move {
        let etag = if guarded {
            let known = TenantId::new(key.clone()).map_err(|_| RegistryError::NotFound {
                kind: "tenant",
                name: key.clone(),
            })?;
            Some(registry.tenant(&known).await?.revision)
        } else {
            None
        };
        let accepted = registry
            .update_tenant(TenantChange {
                id: key,
                change: |old: Option<&TenantSpec>| {
                    let mut spec = old.cloned().ok_or_else(|| RegistryError::Invalid(Vec::new()))?;
                    spec.labels.insert(MARK.into(), marked.clone());
                    spec.size = size.flatten();
                    spec.namespaces = if extra { vec!["extra".into()] } else { Vec::new() };
                    if let Some(tier) = &tier {
                        spec.tier = tier.clone();
                    }
                    Ok(spec)
                },
                etag,
                request_id: marked.clone(),
                validate_only: false,
                allow_missing: false,
            })
            .await?;
        Ok((accepted.tenant, marked))
    })
    .await;
    answered(world, call, "update", heard);
}

pub(crate) async fn delete(world: &World, call: u64, id: &str) {
    let Ok(id) = TenantId::new(id) else { return };
    asked(world, call, format!("delete {id}"));
    let heard = ask(world, |registry| async move {
        let tenant = registry.delete_tenant(&id, None, false).await?;
        Ok((tenant, String::new()))
    })
    .await;
    answered(world, call, "delete", heard);
}

/// Asks what would be: nothing may come of it.
async fn rehearse(world: &World, call: u64, id: &str) {
    let Some(tier) = tier_for(world, id) else { return };
    asked(world, call, format!("rehearse {id}"));
    let mut spec = TenantSpec::of_tier(tier);
    spec.labels.insert(MARK.into(), format!("rehearsed-{call}"));
    let heard = ask(world, |registry| async move {
        registry.create_tenant(id, spec, "", true).await
    })
    .await;
    let why = match heard {
        Heard::Done(_) => "would be".to_owned(),
        Heard::Refused(why) => why,
        Heard::Nothing => "(no answer)".to_owned(),
    };
    world.history.note(Event::Answered {
        call,
        done: None,
        why,
    });
}

fn some_cluster(world: &World) -> Option<ClusterName> {
    let shared: Vec<ClusterName> = world
        .sites()
        .into_iter()
        .filter(|(_, site)| site.cloud_name.is_none())
        .map(|(name, _)| name)
        .collect();
    world.dice.pick(&shared)
}

async fn cordon(world: &World, call: u64) {
    let Some(cluster) = some_cluster(world) else {
        return;
    };
    let cordoned = world.dice.percent(40);
    asked(world, call, format!("cordon {cluster}: {cordoned}"));
    let heard = ask(world, |registry| async move {
        registry.cordon_cluster(&cluster, cordoned).await
    })
    .await;
    let why = match heard {
        Heard::Done(_) => "done".to_owned(),
        Heard::Refused(why) => why,
        Heard::Nothing => "(no answer)".to_owned(),
    };
    world.history.note(Event::Answered {
        call,
        done: None,
        why,
    });
}

async fn join(world: &World, call: u64) {
    let shared = world
        .sites()
        .values()
        .filter(|site| site.cloud_name.is_none())
        .count();
    if shared >= 4 {
        return;
    }
    let Ok(cluster) = ClusterName::new(format!("eu-{}", world.dice.below(5))) else {
        return;
    };
    asked(world, call, format!("join {cluster}"));
    let why = enter(world, &cluster).await;
    world.history.note(Event::Answered {
        call,
        done: None,
        why,
    });
}

/// Makes a token for a cluster and brings the agent in with it.
pub async fn enter(world: &World, cluster: &ClusterName) -> String {
    let name = cluster.clone();
    let heard = ask(world, |registry| async move {
        let spec = TokenSpec {
            region: "eu-central-1".to_owned(),
            ..TokenSpec::new(name, Duration::from_secs(600))
        };
        match registry.create_token(spec.clone()).await {
            Err(RegistryError::Precondition {
                reason: "CLUSTER_JOINED",
                ..
            }) => {
                let rejoin = true;
                registry.create_token(TokenSpec { rejoin, ..spec }).await
            }
            made => made,
        }
    })
    .await;
    match heard {
        Heard::Done(made) => {
            let token = made.token.expose().to_string();
            match world.install(cluster, None, token).await {
                Ok(()) => "a token".to_owned(),
                Err(error) => error.to_string(),
            }
        }
        Heard::Refused(why) => why,
        Heard::Nothing => "(no answer)".to_owned(),
    }
}

async fn remove(world: &World, call: u64) {
    // What a fleet does without a cluster that its store has back is for people to decide.
    if world.rare.set_back.is_some() {
        return;
    }
    let Some(cluster) = some_cluster(world) else {
        return;
    };
    asked(world, call, format!("remove {cluster}"));
    let name = cluster.clone();
    let heard = ask(world, |registry| async move {
        registry.cordon_cluster(&name, true).await?;
        registry.delete_cluster(&name, None).await
    })
    .await;
    let why = match heard {
        Heard::Done(()) => {
            // Its machines go too, a while later.
            tokio::time::sleep(world.dice.millis(0, 20_000)).await;
            world.demolish(&cluster);
            "done".to_owned()
        }
        Heard::Refused(why) => why,
        Heard::Nothing => "(no answer)".to_owned(),
    };
    world.history.note(Event::Answered {
        call,
        done: None,
        why,
    });
}

/// Confirms that deletions may go on, everywhere.
pub async fn release_breaker(world: &World) {
    let Some(leader) = world.leader() else {
        return;
    };
    for cluster in world.sites().into_keys() {
        let name = cluster.clone();
        let heard = ask(
            world,
            |registry| async move { registry.release_breaker(&name).await },
        )
        .await;
        if matches!(heard, Heard::Done(()))
            && let Some(outbox) = leader.sessions.outbox(&cluster)
        {
            outbox.release_breaker();
        }
    }
}
