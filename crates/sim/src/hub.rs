//! One hub process: stands for election, leads with the real loop and the real sessions, and starts over when it loses the lease.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_control::{Board, Fleet, Parts, Registry, Sessions, keys};
use berth_hub::grpc::agent::Ends;
use berth_model::{ClusterName, FleetId, Term};
use berth_plan::view::Settings;
use berth_proto::agent::{Goodbye, LinkRequest, LinkResponse, link_response};
use berth_runtime::{CancellationToken, Clock};
use berth_store::{Candidate, Election as _, Leadership, Store, StoreError, Txn};
use berth_wire::record::{FleetRecord, decode_fleet, encode_fleet};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{clock::NodeClock, election::Stand, gate::Gate, history::Event, store::Reached, world::World};

/// What a hub is while it leads.
#[derive(Clone)]
pub struct Leading {
    /// In which term.
    pub term: Term,
    /// What sessions need.
    pub ends: Ends,
    /// What it shows.
    pub board: Board,
    /// Its lease; none when there is but one hub.
    pub leadership: Option<Arc<Leadership>>,
}

/// A hub process from its start to its end. Copies are the same process.
#[derive(Clone)]
pub struct Hub {
    /// Its machine.
    pub machine: String,
    /// The process: machine and number.
    pub name: String,
    /// Between it and everything.
    pub gate: Gate,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// The API it serves.
    pub registry: Registry,
    leading: Arc<Mutex<Option<Leading>>>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// The fleet's name in every simulation.
const FLEET: &str = "fleet-sim";

impl Hub {
    /// Starts a process on `machine`.
    pub fn start(world: &World, machine: &str, name: String, reached: Reached, clock: NodeClock) -> Self {
        let store: Arc<dyn Store> = Arc::new(reached.clone());
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let hub = Self {
            machine: machine.to_owned(),
            name,
            gate: reached.gate.clone(),
            registry: Registry::new(store.clone(), clock.clone()),
            clock,
            leading: Arc::default(),
            task: Arc::default(),
        };
        world.history.note(Event::Started {
            process: hub.name.clone(),
        });
        let (world, running) = (world.clone(), hub.clone());
        let task = tokio::spawn(async move {
            let ended = running.run(&world, store, reached).await;
            running.lead(None);
            // It exits; whoever runs it starts another.
            let why = ended.map_or_else(|error| format!("{error:#}"), |()| "done".to_owned());
            world.exited(&running, &why);
        });
        *hub.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        hub
    }

    fn state(&self) -> MutexGuard<'_, Option<Leading>> {
        self.leading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lead(&self, leading: Option<Leading>) {
        *self.state() = leading;
    }

    /// What it is, if it leads and knows that it does.
    #[must_use]
    pub fn leading(&self) -> Option<Leading> {
        self.state()
            .clone()
            .filter(|leading| leading.leadership.as_ref().is_none_or(|held| held.holds()))
    }

    /// Ends what still runs of a process that was killed.
    pub fn bury(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    async fn run(&self, world: &World, store: Arc<dyn Store>, reached: Reached) -> anyhow::Result<()> {
        let Some(lease) = world.truth.lease.clone() else {
            let term = self.first_term(store.as_ref()).await?;
            return self.act(world, store, term, None).await;
        };
        let stand = Stand {
            reached,
            lease,
            leader: tokio::sync::watch::Sender::new(None),
        };
        let candidate = Candidate {
            id: self.name.clone(),
            api_url: format!("https://{}:1", self.machine),
            agent_url: format!("https://{}:2", self.machine),
        };
        loop {
            let leadership = Arc::new(stand.campaign(&candidate).await?);
            match self.next_term(store.as_ref()).await {
                Ok(term) => self.act(world, store.clone(), term, Some(leadership)).await?,
                // Lost before it began.
                Err(StoreError::NotLeader | StoreError::Unavailable { .. } | StoreError::Conflict { .. }) => {
                }
                Err(error) => return Err(error.into()),
            }
            // A lost lease is not fought over at once.
            self.clock.sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    /// One hub alone is always the same leader.
    async fn first_term(&self, store: &dyn Store) -> Result<Term, StoreError> {
        if store.get(&keys::fleet()).await?.is_none() {
            let record = FleetRecord {
                fleet: fleet()?,
                term: Term(1),
            };
            let txn = Txn::new()
                .if_absent(keys::fleet())
                .put(keys::fleet(), encode_fleet(&record));
            match store.txn(txn).await {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Term(1))
    }

    /// Each leader raises the term before it acts.
    async fn next_term(&self, store: &dyn Store) -> Result<Term, StoreError> {
        let key = keys::fleet();
        let invalid = |problem: String| StoreError::Invalid { problem };
        let (txn, last) = match store.get(&key).await? {
            Some(entry) => {
                let record = decode_fleet(&entry.value).map_err(|error| invalid(error.to_string()))?;
                (Txn::new().if_revision(key.clone(), entry.revision), record.term)
            }
            None => (Txn::new().if_absent(key.clone()), Term(0)),
        };
        let record = FleetRecord {
            fleet: fleet()?,
            term: Term(last.0 + 1),
        };
        store.txn(txn.put(key, encode_fleet(&record))).await?;
        Ok(record.term)
    }

    /// Leads until the lease is lost.
    async fn act(
        &self,
        world: &World,
        store: Arc<dyn Store>,
        term: Term,
        leadership: Option<Arc<Leadership>>,
    ) -> anyhow::Result<()> {
        let sessions = Sessions::new(self.clock.clone());
        let board = Board::default();
        let (fleet, _handle) = Fleet::start(Parts {
            store: store.clone(),
            provisioner: Arc::new(world.cloud.reached(world, &self.gate)),
            bootstrapper: Arc::new(world.bootstrapper(&self.registry, &self.gate)),
            sessions: sessions.clone(),
            board: board.clone(),
            clock: self.clock.clone(),
            settings: Settings {
                cloud: true,
                default_region: "eu-central-1".into(),
                ..Settings::default()
            },
            fleet: fleet()?,
            term,
        })
        .await?;
        world.history.note(Event::Leads {
            hub: self.name.clone(),
            term,
        });
        self.lead(Some(Leading {
            term,
            ends: Ends {
                registry: self.registry.clone(),
                sessions: sessions.clone(),
                clock: self.clock.clone(),
                store,
                term,
            },
            board,
            leadership: leadership.clone(),
        }));
        let lost = async {
            match &leadership {
                Some(leadership) => leadership.lost().await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            () = lost => Ok(()),
            ended = fleet.run(CancellationToken::new()) => ended,
        };
        self.lead(None);
        sessions.goodbye_all("NotLeader", "another hub leads");
        Ok(ended?)
    }

    /// An agent that has proved its key opens a session.
    ///
    /// # Errors
    /// As the real hub refuses.
    pub async fn accept(
        &self,
        world: &World,
        cluster: ClusterName,
        key: String,
        incoming: mpsc::Receiver<Result<LinkRequest, Status>>,
    ) -> Result<mpsc::Receiver<Result<LinkResponse, Status>>, Status> {
        self.gate.pass().await;
        if let Some(leading) = self.leading() {
            return leading
                .ends
                .begin(cluster, key, ReceiverStream::new(incoming))
                .await;
        }
        let leader = world
            .truth
            .lease
            .as_ref()
            .and_then(crate::election::Lease::holder)
            .map(|leader| leader.agent_url);
        let goodbye = Goodbye {
            reason: "NotLeader".into(),
            message: "another hub leads".into(),
            leader: leader.unwrap_or_default(),
            ..Goodbye::default()
        };
        let (say, said) = mpsc::channel(1);
        let message = Some(link_response::Message::Goodbye(goodbye));
        // The other half is here.
        drop(say.send(Ok(LinkResponse { message })).await);
        Ok(said)
    }
}

fn fleet() -> Result<FleetId, StoreError> {
    FleetId::new(FLEET).map_err(|error| StoreError::Invalid {
        problem: error.to_string(),
    })
}
