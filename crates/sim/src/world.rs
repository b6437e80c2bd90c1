//! Everything there is in one run, and the ways to start, stop and reach it.

mod sites;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth_apply::ledger::MemoryLedger;
use berth_control::Registry;
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
