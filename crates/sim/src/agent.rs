//! One agent process: the real engine and the real session, over a played network and a played cluster.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_agent::{
    Cluster,
    testing::{Alone, Dial, DialError, Me, keep_linked},
};
use berth_apply::{Engine, EngineTask, ledger::KubeLedger, ledger::Ledger};
use berth_control::Sessions;
use berth_model::{ClusterName, Term};
use berth_proto::agent::{LinkRequest, LinkResponse, link_request, link_response};
use berth_runtime::{CancellationToken, Clock};
use http::Uri;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    clock::NodeClock,
    gate::Gate,
    history::{Event, Said},
    hub::Hub,
    ledger,
    network::Way,
    store::Road,
    world::{Site, World},
};

/// An agent process from its start to its end. Copies are the same process.
#[derive(Clone)]
pub struct Agent {
    /// The process: cluster and number.
    pub name: String,
    /// Between it and everything.
    pub gate: Gate,
    /// The way to the API server of its cluster.
    pub road: Road,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Agent {
    /// Starts a process in the cluster of `site`.
    pub fn start(world: &World, site: &Site, name: String) -> Self {
        let gate = Gate::new();
        let road = Road::default();
        let clock: Arc<dyn Clock> = Arc::new(NodeClock::new(site.skew.clone(), gate.clone()));
        let client = site.member.client(&name, &gate, &road);
        world.history.note(Event::Started {
            process: name.clone(),
        });
        let me = {
            let (member, instance, clock) = (site.member.clone(), name.clone(), clock.clone());
            move |client: kube::Client| Me {
                name: member.name().clone(),
                instance,
                cluster: Cluster {
                    client,
                    api_url: format!("https://{}.invalid", member.name()),
                    api_ca_pem: String::new(),
                },
                clock,
            }
        };
        let dial = Dialler {
            world: world.clone(),
            cluster: site.member.name().clone(),
            key: site.key.clone(),
            agent: name.clone(),
            gate: gate.clone(),
        };
        let hubs = world.hub_uris();
        let stop = CancellationToken::new();
        let task = if world.rare.twins {
            // Where two may be, one acts at a time.
            let alone = Alone::new(client.clone(), name.clone(), clock.clone());
            let acting = alone.client(client.clone());
            let ledger: Arc<dyn Ledger> = Arc::new(kept_in(acting.clone()));
            let (world, shutdown) = (world.clone(), stop.clone());
            let (cluster, process) = (site.member.name().clone(), name.clone());
            tokio::spawn(async move {
                let act = || {
                    let (engine, work) = engine(acting, ledger, clock);
                    (work, keep_linked(engine, me(client), hubs, dial))
                };
                let ended = alone.act(&shutdown, act).await;
                let why = ended.map_or_else(|error| error.to_string(), |()| "it was asked to".into());
                world.agent_ended(&cluster, &process, &why);
            })
        } else {
            let ledger: Arc<dyn Ledger> = if site.ledger_in_cluster {
                Arc::new(kept_in(client.clone()))
            } else {
                Arc::new(ledger::Reached {
                    kept: site.ledger.clone(),
                    gate: gate.clone(),
                    cluster: site.member.name().clone(),
                    dice: world.dice.clone(),
                    history: world.history.clone(),
                })
            };
            let (engine, work) = engine(client.clone(), ledger, clock);
            let running = tokio::spawn(work.run(stop.clone()));
            tokio::spawn(async move {
                let ended = keep_linked(engine, me(client), hubs, dial).await;
                tracing::warn!(?ended, "an agent ended");
                running.abort();
            })
        };
        Self {
            name,
            gate,
            road,
            stop,
            task: Arc::new(Mutex::new(Some(task))),
        }
    }

    /// Asks it to end, as whoever runs it does; it gives up its Lease.
    pub fn ask_to_end(&self) {
        self.stop.cancel();
    }

    /// Ends what still runs of a process that was killed.
    pub fn bury(&self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// A ledger in the cluster itself.
fn kept_in(client: kube::Client) -> KubeLedger {
    KubeLedger::new(client, berth_model::label::AGENT_NAMESPACE.to_owned())
}

fn engine(client: kube::Client, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> (Engine, EngineTask) {
    Engine::new(berth_apply::Options {
        clock,
        ledger,
        ..berth_apply::Options::new(client)
    })
}

/// Dials hubs over the played network.
struct Dialler {
    world: World,
    cluster: ClusterName,
    key: String,
    agent: String,
    gate: Gate,
}

/// A connection that was made.
struct Line {
    world: World,
    cluster: ClusterName,
    key: String,
    agent: String,
    gate: Gate,
    hub: Hub,
}

/// Nobody waits longer for a connection.
const CONNECT: Duration = Duration::from_secs(10);

impl Dial for Dialler {
    type Line = Line;
    type Heard = ReceiverStream<Result<LinkResponse, Status>>;

    fn dial(&self, hub: &Uri) -> impl Future<Output = Result<Line, DialError>> + Send {
        let machine = hub.host().unwrap_or_default().to_owned();
        async move {
            self.gate.pass().await;
            let network = &self.world.network;
            let here = self.cluster.as_str();
            if !network.reaches(here, &machine) || !network.reaches(&machine, here) {
                tokio::time::sleep(CONNECT).await;
                self.gate.pass().await;
                return Err(DialError::Away("no answer".into()));
            }
            tokio::time::sleep(network.latency()).await;
            let hub = self.world.hub(&machine).filter(|hub| !hub.gate.dead());
            tokio::time::sleep(network.latency()).await;
            self.gate.pass().await;
            let hub = hub.ok_or_else(|| DialError::Away("connection refused".into()))?;
            Ok(Line {
                world: self.world.clone(),
                cluster: self.cluster.clone(),
                key: self.key.clone(),
                agent: self.agent.clone(),
                gate: self.gate.clone(),
                hub,
            })
        }
    }

    async fn open(line: Line, said: mpsc::Receiver<LinkRequest>) -> Result<Self::Heard, Status> {
        let Line {
            world,
            cluster,
            key,
            agent,
            gate,
            hub,
        } = line;
        let connection = world.network.connect(cluster.as_str(), &hub.machine);
        let up = Way {
            from: cluster.to_string(),
            to: hub.machine.clone(),
            speaker: gate.clone(),
            hearer: hub.gate.clone(),
        };
        let down = Way {
            from: hub.machine.clone(),
            to: cluster.to_string(),
            speaker: hub.gate.clone(),
            hearer: gate.clone(),
        };
        let id = connection.id;
        let said = if world.shape.liar && cluster.as_str() == "eu-0" {
            crate::liar::tell(&world, &cluster, said)
        } else {
            said
        };
        let said_hello = Arc::new(Mutex::new((Term(0), None)));
        let heard_by_hub = {
            let (history, cluster, agent) = (world.history.clone(), cluster.clone(), agent.clone());
            let said_hello = said_hello.clone();
            world.network.carry(&connection, &up, said, move |message| {
                if let Some(link_request::Message::Hello(hello)) = &message.message {
                    let told = hello.told.as_ref().map(berth_wire::link::store_point_from_proto);
                    let mut said = said_hello.lock().unwrap_or_else(PoisonError::into_inner);
                    *said = (Term(hello.highest_term), told);
                }
                if let Some(link_request::Message::Ack(ack)) = &message.message {
                    history.note(Event::Accepted {
                        agent: agent.clone(),
                        cluster: cluster.clone(),
                        connection: id,
                        nonce: ack.nonce,
                    });
                }
            })
        };
        let (answer, answered) = oneshot::channel();
        tokio::spawn({
            let (hub, cluster, history) = (hub.clone(), cluster.clone(), world.history.clone());
            async move {
                let opened = {
                    let (hub, sessions, cluster) = (hub.name.clone(), hub.sessions.clone(), cluster.clone());
                    move || {
                        let incarnation = sessions.point(&cluster).map(|point| point.incarnation);
                        let (term, told) = *said_hello.lock().unwrap_or_else(PoisonError::into_inner);
                        history.note(Event::Linked {
                            hub,
                            agent,
                            cluster,
                            connection: id,
                            term,
                            told,
                            incarnation: incarnation.unwrap_or_default(),
                        });
                    }
                };
                // A caller that went away needs no answer.
                drop(answer.send(hub.accept(cluster, key, heard_by_hub, opened).await));
            }
        });
        let said_by_hub = answered
            .await
            .map_err(|_| Status::unavailable("the hub is gone"))?;
        gate.pass().await;
        let (history, process, sessions) = (world.history.clone(), hub.name.clone(), hub.sessions.clone());
        let others = world.clone();
        let (say, to_carry) = mpsc::channel(64);
        let mut said_by_hub = said_by_hub?;
        tokio::spawn(async move {
            while let Some(Ok(message)) = said_by_hub.recv().await {
                if say.send(message).await.is_err() {
                    return;
                }
            }
        });
        let parts = AtomicU64::new(0);
        let heard = world.network.carry(&connection, &down, to_carry, move |message| {
            if let Some(said) = command(message, &parts) {
                let held_by = others
                    .sites()
                    .into_keys()
                    .filter(|other| *other != cluster && holds(&sessions, other, &said))
                    .collect();
                history.note(Event::Commanded {
                    hub: process.clone(),
                    connection: id,
                    cluster: cluster.clone(),
                    said,
                    held_by,
                });
            }
        });
        Ok(ReceiverStream::new(heard))
    }
}

/// Whether the agent of a cluster has told that it holds the tenant of a command.
fn holds(sessions: &Sessions, cluster: &ClusterName, said: &Said) -> bool {
    let session = sessions.view(cluster);
    session.is_some_and(|session| {
        let held = session.held.get(&said.tenant);
        held.is_some_and(|(uid, ..)| uid.as_str() == said.uid)
    })
}

/// The command in a message; of one in parts, only the first part counts.
fn command(message: &LinkResponse, last: &AtomicU64) -> Option<Said> {
    use link_response::Message as M;
    let said = match message.message.as_ref()? {
        M::Assign(assign) if last.swap(assign.nonce, Ordering::Relaxed) != assign.nonce => Said {
            what: "assign",
            tenant: assign.tenant.parse().ok()?,
            uid: assign.tenant_uid.clone(),
            generation: assign.generation,
            term: Term(assign.term),
            nonce: assign.nonce,
        },
        M::Keep(keep) => Said {
            what: "keep",
            tenant: keep.tenant.parse().ok()?,
            uid: keep.tenant_uid.clone(),
            generation: keep.generation,
            term: Term(keep.term),
            nonce: keep.nonce,
        },
        M::Withdraw(withdraw) => Said {
            what: "withdraw",
            tenant: withdraw.tenant.parse().ok()?,
            uid: withdraw.tenant_uid.clone(),
            generation: 0,
            term: Term(withdraw.term),
            nonce: withdraw.nonce,
        },
        _ => return None,
    };
    Some(said)
}
