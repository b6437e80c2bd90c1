//! Clusters and the agents in them: how they come, join, end and go.

use std::time::Duration;

use berth_apply::ledger::MemoryLedger;
use berth_control::registry::Joining;
use berth_model::ClusterName;

use super::{Site, World};
use crate::{agent::Agent, clock::Skew, history::Event, member::Member};

impl World {
    /// Starts the agent of a cluster that has joined and runs none.
    pub fn start_agent(&self, cluster: &ClusterName) {
        let site = {
            let mut sites = self.sites_mut();
            let Some(site) = sites.get_mut(cluster) else {
                return;
            };
            if !site.joined || site.agent.as_ref().is_some_and(|agent| !agent.gate.dead()) {
                return;
            }
            site.started += 1;
            site.clone()
        };
        let agent = Agent::start(self, &site, format!("{cluster}#{}", site.started));
        if let Some(site) = self.sites_mut().get_mut(cluster) {
            site.agent = Some(agent);
        }
    }

    /// Starts another agent beside `older`, which is to go.
    pub fn add_agent(&self, cluster: &ClusterName, older: &Agent) {
        if let Some(site) = self.sites_mut().get_mut(cluster)
            && let Some(agent) = site.agent.take_if(|agent| agent.name == older.name)
        {
            site.older.push(agent);
        }
        self.start_agent(cluster);
    }

    /// Kills one agent process, whichever it is.
    pub fn end_agent(&self, agent: &Agent) {
        if agent.gate.dead() {
            return;
        }
        self.history.note(Event::Fault(format!("kill {}", agent.name)));
        agent.gate.kill(false);
        let agent = agent.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            agent.bury();
        });
    }

    /// An agent process ended by itself: whoever runs it starts another, unless one is there.
    pub fn agent_ended(&self, cluster: &ClusterName, process: &str, why: &str) {
        let found = self.sites().get(cluster).and_then(|site| {
            let all = site.agent.iter().chain(&site.older);
            all.clone().find(|agent| agent.name == process).cloned()
        });
        let Some(agent) = found.filter(|agent| !agent.gate.dead()) else {
            return;
        };
        self.history.note(Event::Fault(format!("{process} exits: {why}")));
        agent.gate.kill(false);
        let (world, cluster) = (self.clone(), cluster.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.start_agent(&cluster);
        });
    }

    /// Kills the agent of a cluster.
    pub fn kill_agent(&self, cluster: &ClusterName, silently: bool) {
        let agent = self.sites_mut().get(cluster).and_then(|site| site.agent.clone());
        let Some(agent) = agent.filter(|agent| !agent.gate.dead()) else {
            return;
        };
        self.history.note(Event::Fault(format!("kill {}", agent.name)));
        agent.gate.kill(silently);
        if !silently {
            self.network.break_off(Some(cluster.as_str()));
        }
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            agent.bury();
        });
    }

    /// Brings an agent with a join token into a cluster, making the cluster's API when there is none yet.
    ///
    /// # Errors
    /// The cluster's API does not start.
    pub async fn install(
        &self,
        cluster: &ClusterName,
        cloud_name: Option<String>,
        token: String,
    ) -> anyhow::Result<()> {
        let known = self
            .sites_mut()
            .get(cluster)
            .is_some_and(|site| site.cloud_name == cloud_name);
        if !known {
            self.demolish(cluster);
            let member = Member::new(cluster.clone(), self.history.clone(), self.dice.clone()).await?;
            let site = Site {
                member,
                skew: Skew::default(),
                key: format!("key-{}", self.dice.below(u64::MAX)),
                ledger: MemoryLedger::default(),
                ledger_in_cluster: self.shape.ledger_in_cluster,
                cloud_name,
                joined: false,
                agent: None,
                older: Vec::new(),
                started: 0,
                tokens: 0,
            };
            self.sites_mut().insert(cluster.clone(), site);
        }
        let mine = {
            let mut sites = self.sites_mut();
            let Some(site) = sites.get_mut(cluster) else {
                return Ok(());
            };
            site.tokens += 1;
            site.tokens
        };
        let (world, cluster) = (self.clone(), cluster.clone());
        tokio::spawn(async move { world.join(&cluster, &token, mine).await });
        Ok(())
    }

    /// Tries to join until it works, the token is refused, or another one came.
    async fn join(&self, cluster: &ClusterName, token: &str, mine: u64) {
        loop {
            tokio::time::sleep(self.dice.millis(100, 3000)).await;
            let Some(site) = self.sites().get(cluster).cloned() else {
                return;
            };
            if site.joined {
                self.start_agent(cluster);
                return;
            }
            if site.tokens != mine {
                return;
            }
            let machines = self.hub_machines();
            let hub = self
                .dice
                .pick(&machines)
                .filter(|machine| {
                    self.network.reaches(cluster.as_str(), machine)
                        && self.network.reaches(machine, cluster.as_str())
                })
                .and_then(|machine| self.hub(&machine))
                .filter(|hub| !hub.gate.dead() && hub.refuses_changes().is_none());
            let Some(hub) = hub else { continue };
            let Ok(uid) = site.member.uid().await else {
                continue;
            };
            let joining = Joining {
                token,
                key_sha256: &site.key,
                kubernetes_uid: &uid,
                remote: None,
            };
            let asked = tokio::time::timeout(Duration::from_secs(10), hub.registry.redeem(joining)).await;
            match asked {
                Ok(Ok(_)) => {
                    self.history.note(Event::Fault(format!("{cluster} has joined")));
                    if let Some(site) = self.sites_mut().get_mut(cluster) {
                        site.joined = true;
                    }
                }
                Ok(Err(berth_control::RegistryError::Refused { .. })) => return,
                _ => {}
            }
        }
    }

    /// Somebody takes away what the agent of a cluster knows of itself, so that it joins with the next token it gets.
    pub fn forget_identity(&self, cluster: &ClusterName) {
        self.kill_agent(cluster, false);
        if let Some(site) = self.sites_mut().get_mut(cluster) {
            site.joined = false;
        }
    }

    /// The cluster is gone, with everything in it.
    pub fn demolish(&self, cluster: &ClusterName) {
        self.kill_agent(cluster, false);
        let older = self.sites().get(cluster).map(|site| site.older.clone());
        older.iter().flatten().for_each(|agent| self.end_agent(agent));
        if self.sites_mut().remove(cluster).is_some() {
            self.history
                .note(Event::Fault(format!("cluster {cluster} is gone")));
        }
    }

    /// Clusters go when the cloud has none of their name any more.
    pub fn follow_cloud(&self) {
        let there = self.cloud.simulated.clusters();
        let gone: Vec<ClusterName> = self
            .sites_mut()
            .iter()
            .filter(|(_, site)| site.cloud_name.as_ref().is_some_and(|name| !there.contains(name)))
            .map(|(name, _)| name.clone())
            .collect();
        for cluster in gone {
            self.demolish(&cluster);
        }
    }

    /// The nodes of a pool come or go.
    pub async fn nodes(&self, cluster: &ClusterName, pool: &str, there: bool) {
        let Some(site) = self.sites().get(cluster).cloned() else {
            return;
        };
        let done = if there {
            let mut done = Ok(());
            for node in 0..2 {
                done = done.and(site.member.node(&format!("{pool}-{node}"), Some(pool)).await);
            }
            done
        } else {
            site.member.remove_pool(pool).await
        };
        if let Err(error) = done {
            self.history
                .note(Event::Fault(format!("nodes of {pool}: {error}")));
        }
    }
}
