//! Everything there is in one run, and the ways to start, stop and reach it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth_apply::ledger::MemoryLedger;
use berth_control::{Registry, registry::Joining};
use berth_identity::Authority;
use berth_model::ClusterName;
use berth_runtime::simulation;
use http::Uri;

use crate::{
    agent::Agent,
    chance::Dice,
    clock::{NodeClock, Skew},
    cloud::{Brings, Cloud},
    election::Lease,
    gate::Gate,
    history::{Event, History},
    hub::Hub,
    member::Member,
    network::Network,
    setback::{self, Forgotten},
    store::{Reached, Road, Truth},
};

/// What is different from run to run, drawn from the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many hubs.
    pub hubs: u64,
    /// How many shared clusters there are at first.
    pub clusters: u64,
    /// Single messages are lost, doubled and reordered while there are faults.
    pub harsh: bool,
    /// The agent of the first cluster tells lies of other clusters' tenants.
    pub liar: bool,
    /// Agents remember in their clusters instead of beside them.
    pub ledger_in_cluster: bool,
}

impl Shape {
    /// Of this run.
    #[must_use]
    pub fn draw(dice: &Dice) -> Self {
        let several = dice.percent(60);
        Self {
            hubs: if several { 2 + dice.below(2) } else { 1 },
            clusters: 1 + dice.below(3),
            harsh: dice.percent(30),
            liar: dice.percent(40),
            ledger_in_cluster: dice.percent(40),
        }
    }
}

/// What only some runs have, drawn apart so that the others stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rare {
    /// The store is put back to an earlier state.
    pub set_back: Option<setback::Kind>,
    /// There may be two agents in one cluster at once.
    pub twins: bool,
}

impl Rare {
    /// Of the run of this seed.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let dice = Dice::named(seed, "put back");
        let kinds = [setback::Kind::Restored, setback::Kind::Copied];
        Self {
            set_back: if dice.percent(20) { dice.pick(&kinds) } else { None },
            twins: Dice::named(seed, "agents in twos").percent(20),
        }
    }
}

/// Everything. Copies are the same world.
#[derive(Clone)]
pub struct World {
    /// What happened.
    pub history: History,
    /// Chance.
    pub dice: Dice,
    /// Between agents and hubs.
    pub network: Network,
    /// The store.
    pub truth: Truth,
    /// The cloud.
    pub cloud: Cloud,
    /// What is different in this run.
    pub shape: Shape,
    /// What only some runs have.
    pub rare: Rare,
    /// What clusters have that the store was made to forget.
    pub forgotten: Forgotten,
    /// The fleet's certificate authority, which nobody below TLS asks for anything.
    pub authority: Arc<Authority>,
    machines: Arc<Mutex<BTreeMap<String, Machine>>>,
    sites: Arc<Mutex<BTreeMap<ClusterName, Site>>>,
    /// Dead processes wait to be started by whoever killed them.
    pub over: Arc<AtomicBool>,
    /// Nobody may stand on the store.
    closed: Arc<AtomicBool>,
}

/// One authority serves every run of this program: making one takes longer than some runs.
fn authority() -> anyhow::Result<Arc<Authority>> {
    static MADE: OnceLock<Arc<Authority>> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made.clone());
    }
    let dir = tempfile::tempdir()?;
    let made = Arc::new(Authority::load_or_create(dir.path(), simulation::BEGINNING)?);
    Ok(MADE.get_or_init(|| made).clone())
}

/// A machine that runs hubs, one process at a time.
struct Machine {
    skew: Skew,
    road: Road,
    process: Option<Hub>,
    started: u64,
}

/// A cluster with what outlives its agent's processes.
#[derive(Clone)]
pub struct Site {
    /// The cluster.
    pub member: Member,
    /// How wrong its machines' clocks are.
    pub skew: Skew,
    /// The key its agent joins with.
    pub key: String,
    /// What its agent remembers, unless that is in the cluster.
    pub ledger: MemoryLedger,
    /// Where its agent remembers.
    pub ledger_in_cluster: bool,
    /// Its name in the cloud, when Berth made it.
    pub cloud_name: Option<String>,
    /// It has joined: its agent has a certificate.
    pub joined: bool,
    /// Its agent; the newer one where there are two.
    pub agent: Option<Agent>,
    /// Others that may still be there.
    pub older: Vec<Agent>,
    started: u64,
    /// Which token its agent tries to join with; an older try gives up.
    tokens: u64,
}

impl World {
    /// Before anything has started.
    ///
    /// # Errors
    /// As the store.
    pub async fn new(seed: u64, trace: bool) -> anyhow::Result<Self> {
        let dice = Dice::new(seed);
        let shape = Shape::draw(&dice);
        let history = History::new(trace);
        let rare = Rare::draw(seed);
        history.note(Event::Fault(format!("seed {seed}: {shape:?} {rare:?}")));
        let lease = (shape.hubs > 1).then(Lease::default);
        let truth = Truth::new(history.clone(), dice.clone(), lease).await?;
        let machines = (1..=shape.hubs)
            .map(|hub| {
                let machine = Machine {
                    skew: Skew::default(),
                    road: Road::default(),
                    process: None,
                    started: 0,
                };
                (format!("hub-{hub}"), machine)
            })
            .collect();
        Ok(Self {
            history,
            network: Network::new(dice.clone()),
            dice,
            truth,
            cloud: Cloud::default(),
            shape,
            rare,
            forgotten: Forgotten::default(),
            authority: authority()?,
            machines: Arc::new(Mutex::new(machines)),
            sites: Arc::default(),
            over: Arc::default(),
            closed: Arc::default(),
        })
    }

    fn machines(&self) -> MutexGuard<'_, BTreeMap<String, Machine>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sites_mut(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Site>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machines that run hubs.
    #[must_use]
    pub fn hub_machines(&self) -> Vec<String> {
        self.machines().keys().cloned().collect()
    }

    /// Where agents dial.
    #[must_use]
    pub fn hub_uris(&self) -> Vec<Uri> {
        self.machines()
            .keys()
            .filter_map(|machine| format!("https://{machine}:2").parse().ok())
            .collect()
    }

    /// The process on a machine.
    #[must_use]
    pub fn hub(&self, machine: &str) -> Option<Hub> {
        self.machines().get(machine)?.process.clone()
    }

    /// The way from a machine to the store.
    #[must_use]
    pub fn road(&self, machine: &str) -> Option<Road> {
        Some(self.machines().get(machine)?.road.clone())
    }

    /// How wrong a machine's clock is.
    #[must_use]
    pub fn skew(&self, machine: &str) -> Option<Skew> {
        Some(self.machines().get(machine)?.skew.clone())
    }

    /// Who leads, with what it knows.
    #[must_use]
    pub fn leader(&self) -> Option<Hub> {
        let hubs: Vec<Hub> = self
            .machines()
            .values()
            .filter_map(|machine| machine.process.clone())
            .collect();
        hubs.into_iter()
            .filter(|hub| !hub.gate.dead() && !hub.gate.paused())
            .find(|hub| hub.leading().is_some())
    }

    /// The clusters there are.
    #[must_use]
    pub fn sites(&self) -> BTreeMap<ClusterName, Site> {
        self.sites_mut().clone()
    }

    /// Whether nobody may stand on the store from now on.
    pub fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    /// Starts a process on a machine that runs none.
    pub fn start_hub(&self, machine: &str) {
        if self.closed.load(Ordering::Relaxed) {
            return;
        }
        let (name, reached, clock) = {
            let mut machines = self.machines();
            let Some(found) = machines.get_mut(machine) else {
                return;
            };
            if found.process.as_ref().is_some_and(|hub| !hub.gate.dead()) {
                return;
            }
            found.started += 1;
            let gate = Gate::new();
            let name = format!("{machine}#{}", found.started);
            let reached = Reached {
                truth: self.truth.clone(),
                gate: gate.clone(),
                road: found.road.clone(),
                hub: name.clone(),
                epoch: Arc::default(),
            };
            (name, reached, NodeClock::new(found.skew.clone(), gate))
        };
        let hub = Hub::start(self, machine, name, reached, clock);
        if let Some(found) = self.machines().get_mut(machine) {
            found.process = Some(hub);
        }
    }

    /// Kills the process on a machine.
    pub fn kill_hub(&self, machine: &str, silently: bool) {
        let Some(hub) = self.hub(machine).filter(|hub| !hub.gate.dead()) else {
            return;
        };
        self.history.note(Event::Fault(format!("kill {}", hub.name)));
        hub.gate.kill(silently);
        if !silently {
            self.network.break_off(Some(machine));
        }
        tokio::spawn(async move {
            // What was on its way arrives, or not, before.
            tokio::time::sleep(Duration::from_secs(2)).await;
            hub.bury();
        });
    }

    /// A process ended by itself: whoever runs it starts another.
    pub fn exited(&self, hub: &Hub, why: &str) {
        if hub.gate.dead() {
            return;
        }
        self.history
            .note(Event::Fault(format!("{} exits: {why}", hub.name)));
        hub.gate.kill(false);
        self.network.break_off(Some(&hub.machine));
        let (world, machine) = (self.clone(), hub.machine.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.start_hub(&machine);
        });
    }

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

    /// Who brings agents into clusters for one hub process.
    #[must_use]
    pub fn bootstrapper(&self, registry: &Registry, gate: &Gate) -> Brings {
        Brings {
            world: self.clone(),
            registry: registry.clone(),
            gate: gate.clone(),
        }
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}
