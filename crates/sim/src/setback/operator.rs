//! The operator of a fleet whose store was put back.

use std::{collections::BTreeMap, time::Duration};

use berth_control::{RegistryError, registry::TokenSpec};
use berth_hub::command::CommandError;
use berth_model::{ClusterName, ClusterPurpose, Placement};
use berth_store::StoreError;
use tokio::time::Instant;

use crate::{
    admin::{self, Heard},
    chance::Dice,
    history::Event,
    hub::Hub,
    world::World,
};

/// An agent that is away for longer does not come back by itself.
const AWAY: Duration = Duration::from_secs(120);
/// A cluster whose agent is silent is waited for so long before command is taken without it.
const SILENCE: Duration = Duration::from_secs(90);
/// Their questions have numbers of their own.
const CALLS: u64 = 900_000_000;

/// Looks now and then, and does what only a person may, as long as the world lasts.
pub async fn operate(world: World, seed: u64) {
    let mut operator = Operator {
        dice: Dice::named(seed, "the operator of a store that was put back"),
        world,
        calls: CALLS,
        waiting_since: None,
        away_since: BTreeMap::new(),
    };
    loop {
        tokio::time::sleep(operator.dice.millis(3_000, 30_000)).await;
        operator.look().await;
    }
}

struct Operator {
    dice: Dice,
    world: World,
    calls: u64,
    /// Since when a hub waits for leave.
    waiting_since: Option<Instant>,
    away_since: BTreeMap<ClusterName, Instant>,
}

impl Operator {
    fn asks(&mut self, what: String) -> u64 {
        self.calls += 1;
        let call = self.calls;
        self.world.history.note(Event::Asked { call, what });
        call
    }

    fn hears(&self, call: u64, why: String) {
        self.world.history.note(Event::Answered {
            call,
            done: None,
            why,
        });
    }

    async fn look(&mut self) {
        let Some(hub) = self.world.leader() else { return };
        if hub.refuses_changes().is_some() || self.is_behind(&hub).await {
            self.take_command(&hub).await;
            return;
        }
        self.waiting_since = None;
        self.bring_in(&hub).await;
        self.delete_again(&hub).await;
    }

    /// Whether a hub that acts is told by agents that they hold something newer.
    async fn is_behind(&self, hub: &Hub) -> bool {
        let Some(leading) = hub.leading() else {
            return false;
        };
        let difference = tokio::time::timeout(AWAY, leading.fleet.difference()).await;
        matches!(difference, Ok(Some(difference)) if difference.is_ahead())
    }

    async fn take_command(&mut self, hub: &Hub) {
        let began = *self.waiting_since.get_or_insert_with(Instant::now);
        let Some(leading) = hub.leading() else { return };
        let difference = tokio::time::timeout(AWAY, leading.fleet.difference()).await;
        let Ok(Some(difference)) = difference else { return };
        if !difference.silent.is_empty() && began.elapsed() < SILENCE {
            return;
        }
        let kinds: Vec<&str> = difference
            .tenants
            .iter()
            .map(|differs| differs.kind.as_str())
            .collect();
        let call = self.asks(format!(
            "{} takes command; {kinds:?} differ, {} silent",
            hub.name,
            difference.silent.len()
        ));
        let taken = tokio::time::timeout(AWAY, hub.take_command()).await;
        let why = match taken {
            Ok(Ok(term)) => format!("term {term}"),
            Ok(Err(CommandError::Store(StoreError::NotLeader))) => "it does not lead".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "(no answer)".to_owned(),
        };
        self.hears(call, why);
    }

    /// Lets clusters join that are there and that the hub refuses.
    async fn bring_in(&mut self, hub: &Hub) {
        for (cluster, site) in self.world.sites() {
            if hub.sessions.is_connected(&cluster) {
                self.away_since.remove(&cluster);
                continue;
            }
            let since = *self
                .away_since
                .entry(cluster.clone())
                .or_insert_with(Instant::now);
            if since.elapsed() < AWAY {
                continue;
            }
            // A hub that died meanwhile does not answer.
            let Ok(known) = tokio::time::timeout(AWAY, hub.registry.identity(&cluster)).await else {
                return;
            };
            let known = match known {
                // Its agent is known, and only away.
                Ok(known)
                    if site.joined && known.cluster.joined_at.is_some() && known.key_sha256 == site.key =>
                {
                    continue;
                }
                Ok(known) => Some(known.cluster),
                Err(RegistryError::NotFound { .. }) => None,
                Err(_) => continue,
            };
            self.away_since.remove(&cluster);
            let call = self.asks(format!("{cluster} joins again"));
            let why = match known {
                None if site.cloud_name.is_some() => "nobody has it any more".to_owned(),
                Some(known) if matches!(known.purpose, ClusterPurpose::Dedicated { .. }) => {
                    self.let_in(&cluster, site.cloud_name.clone()).await
                }
                _ => {
                    self.world.forget_identity(&cluster);
                    admin::enter(&self.world, &cluster).await
                }
            };
            self.hears(call, why);
        }
    }

    /// A cluster that was made for a tenant.
    async fn let_in(&self, cluster: &ClusterName, cloud_name: Option<String>) -> String {
        let name = cluster.clone();
        let made = admin::ask(&self.world, |registry| async move {
            let spec = TokenSpec::new(name, Duration::from_secs(600));
            registry.create_token(spec).await
        })
        .await;
        match made {
            Heard::Done(made) => {
                self.world.forget_identity(cluster);
                let token = made.token.expose().to_string();
                match self.world.install(cluster, cloud_name, token).await {
                    Ok(()) => "a token".to_owned(),
                    Err(error) => error.to_string(),
                }
            }
            Heard::Refused(why) => why,
            Heard::Nothing => "(no answer)".to_owned(),
        }
    }

    /// Who was gone and has come back with the store goes again: always with a cluster that is not there any more, else by chance.
    async fn delete_again(&mut self, hub: &Hub) {
        let sites = self.world.sites();
        for (id, uid) in self.world.forgotten.came_back() {
            let Some(shown) = hub
                .board
                .get(&id)
                .filter(|shown| shown.tenant.uid.as_str() == uid)
            else {
                continue;
            };
            let lost = match &shown.placement {
                Some(Placement::Cluster { cluster }) => !sites.contains_key(cluster),
                _ => false,
            };
            let going = shown.tenant.deleting_since.is_some();
            if !lost || going {
                self.world.forgotten.seen_to(&id);
            }
            if !going && (lost || self.dice.percent(50)) {
                self.calls += 1;
                admin::delete(&self.world, self.calls, id.as_str()).await;
            }
        }
    }
}
