//! One hub process: the real room that campaigns, leads and follows, with the real loop and the real sessions in it.

use std::sync::{Arc, Mutex, PoisonError};

use berth_control::{Board, Registry, Sessions};
use berth_hub::{
    command::{self, CommandError},
    gate::may_change,
    grpc::agent::{Ends, Following, Shown},
    home::Home,
    lead::{Lead, Leader, Leading},
};
use berth_model::{ClusterName, Term};
use berth_plan::view::Settings;
use berth_proto::agent::{LinkRequest, LinkResponse};
use berth_runtime::{CancellationToken, Clock};
use berth_store::{Candidate, Election, SoleCandidate, Store};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{clock::NodeClock, election::Stand, gate::Gate, history::Event, store::Reached, world::World};

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
    /// The agents it talks with.
    pub sessions: Sessions,
    /// What it shows.
    pub board: Board,
    /// The store as it reaches it.
    pub store: Arc<dyn Store>,
    home: Arc<Home>,
    lead: Lead,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Hub {
    /// Starts a process on `machine`.
    pub fn start(world: &World, machine: &str, name: String, reached: Reached, clock: NodeClock) -> Self {
        let gate = reached.gate.clone();
        let store: Arc<dyn Store> = Arc::new(reached.clone());
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let candidate = Candidate {
            id: name.clone(),
            api_url: format!("https://{machine}:1"),
            agent_url: format!("https://{machine}:2"),
        };
        let shared = world.truth.lease.clone();
        let election: Arc<dyn Election> = match &shared {
            Some(lease) => Arc::new(Stand::new(reached, lease.clone())),
            None => Arc::new(SoleCandidate::new()),
        };
        let registry = Registry::new(store.clone(), clock.clone());
        let sessions = Sessions::new(clock.clone());
        let board = Board::default();
        let lead = Lead::new(candidate, election.leader());
        let home = Home::over(store.clone(), election, world.authority.clone(), shared.is_some());
        let home = Arc::new(home);
        let leader = Leader {
            lead: lead.clone(),
            home: home.clone(),
            provisioner: Arc::new(world.cloud.reached(world, &gate)),
            bootstrapper: Arc::new(world.bootstrapper(&registry, &gate)),
            recorder: Arc::new(berth_control::seams::NoRecorder),
            sessions: sessions.clone(),
            board: board.clone(),
            clock: clock.clone(),
            settings: Settings {
                cloud: true,
                default_region: "eu-central-1".into(),
                accept_gaps: [
                    (berth_model::Gap::NetworkPolicy, "test".into()),
                    (berth_model::Gap::AdmissionPolicy, "test".into()),
                ]
                .into(),
                ..Settings::default()
            },
            backing: None,
        };
        // No agent is welcome before it leads.
        sessions.follow("");
        let hub = Self {
            machine: machine.to_owned(),
            name,
            gate,
            clock,
            registry,
            sessions,
            board,
            store,
            home,
            lead,
            task: Arc::default(),
        };
        world.history.note(Event::Started {
            process: hub.name.clone(),
        });
        let (world, running) = (world.clone(), hub.clone());
        let task = tokio::spawn(async move {
            let ended = leader
                .run(CancellationToken::new(), CancellationToken::new())
                .await;
            let why = ended.map_or_else(|error| chain(&error), |()| "done".to_owned());
            // It exits; whoever runs it starts another.
            world.exited(&running, &why);
        });
        *hub.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        hub
    }

    /// The period of leading under way.
    #[must_use]
    pub fn leading(&self) -> Option<Arc<Leading>> {
        self.lead.leading()
    }

    /// Lets it take command.
    ///
    /// # Errors
    /// As the real hub refuses; also when it does not lead.
    pub async fn take_command(&self) -> Result<Term, CommandError> {
        self.gate.pass().await;
        let leading = self.leading().ok_or(CommandError::NotLeading)?;
        let taken = command::take(&self.home, &self.sessions, &leading, self.clock.now()).await;
        self.gate.pass().await;
        taken
    }

    /// Why it takes no changes; none when it does.
    #[must_use]
    pub fn refuses_changes(&self) -> Option<String> {
        let Some(leading) = self.leading() else {
            return Some("it does not lead".into());
        };
        let refused = may_change(&leading.fleet.standing()).err()?;
        Some(refused.message().to_owned())
    }

    /// Ends what still runs of a process that was killed.
    pub fn bury(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// An agent that has proved its key opens a session; `opened` is called when it has, with a hub that leads.
    ///
    /// # Errors
    /// As the real hub refuses.
    pub async fn accept(
        &self,
        cluster: ClusterName,
        key: String,
        incoming: mpsc::Receiver<Result<LinkRequest, Status>>,
        opened: impl FnOnce() + Send,
    ) -> Result<mpsc::Receiver<Result<LinkResponse, Status>>, Status> {
        self.gate.pass().await;
        if let Some(leading) = self.leading() {
            let ends = Ends {
                registry: self.registry.clone(),
                sessions: self.sessions.clone(),
                clock: self.clock.clone(),
                store: self.store.clone(),
                term: leading.term,
            };
            // Below TLS there is no certificate: nothing that is signed is believed here.
            let shown = Shown {
                cluster,
                uid: None,
                key_sha256: key,
                certificate: Arc::default(),
                issuer_pin: String::new(),
            };
            let begun = ends.begin(shown, ReceiverStream::new(incoming)).await?;
            opened();
            return Ok(begun);
        }
        let following = Following {
            lead: self.lead.clone(),
            clock: self.clock.clone(),
            ending: CancellationToken::new(),
        };
        Ok(following.begin(ReceiverStream::new(incoming)))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
