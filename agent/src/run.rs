//! Builds the agent from its parts, in the order in which they need each other, and ends it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use berth_apply::{BreakerLimits, Engine, EngineTask, ledger::KubeLedger};
use berth_model::ClusterName;
use berth_runtime::{
    clock::{Clock, SystemClock},
    memory,
    metrics::Metrics,
    ops,
    readiness::{Readiness, ReadinessGuard},
    retry::{Backoff, Policy},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use crate::{
    acting,
    cluster::Cluster,
    error::Error,
    evidence::{Desk, Prober, follow_the_cluster},
    facts::Facts,
    identity::{self, Joining, keeper::Keeper, renew::keep_renewed, secret::IdentitySecret},
    lease::ActingLease,
    link::{Dial, Driver, Hubs, Memory, Tls, stay_connected},
    options::Options,
};

/// Starting is tried again while the API server is away.
const START: Policy = Policy::new(Duration::from_millis(200), Duration::from_secs(10));
/// The engine finishes what it has begun, at most for this long.
const ENGINE_GRACE: Duration = Duration::from_secs(5);

/// Runs the agent until `shutdown` fires.
///
/// # Errors
/// What keeps it from running at all; what passes (hub or API server away) is waited for.
pub async fn run(options: Options, shutdown: CancellationToken) -> Result<(), Error> {
    let cluster = Cluster::connect(options.kubeconfig.as_deref()).await?;
    run_in(cluster, options, shutdown).await
}

/// Runs the agent in a cluster that is reached already; the kubeconfig of `options` is not read.
///
/// # Errors
/// As [`run`].
pub async fn run_in(cluster: Cluster, options: Options, shutdown: CancellationToken) -> Result<(), Error> {
    // Logging is the process's, which may hold several agents, so its two options stay unused here.
    let Options {
        hub,
        token_file,
        ca_pin,
        kubeconfig: _,
        namespace,
        api_url,
        withdraw_limit,
        withdraw_percent,
        withdraw_window,
        evidence_interval,
        ops_listen,
        instance,
        log_format: _,
        log: _,
    } = options;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let readiness = Readiness::new();
    let linked = readiness.guard("link");
    let ops = Ops::start(ops_listen, readiness).await?;
    let agent = Agent {
        cluster: Cluster {
            api_url: api_url.unwrap_or(cluster.api_url.clone()),
            ..cluster
        },
        hubs: Hubs::new(hub),
        joining: Joining {
            token_file,
            pins: ca_pin,
        },
        namespace,
        breaker: BreakerLimits {
            tenants: withdraw_limit,
            percent: withdraw_percent,
            window: Duration::from_secs(withdraw_window),
        },
        evidence_interval: Duration::from_secs(evidence_interval),
        instance: instance.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        clock,
    };
    // The whole agent is one future: on the heap, or it would be on the stack of whoever runs several.
    let ended = Box::pin(agent.act_alone(&shutdown, linked)).await;
    ops.stop().await;
    ended
}

struct Agent {
    cluster: Cluster,
    hubs: Hubs,
    joining: Joining,
    namespace: String,
    breaker: BreakerLimits,
    evidence_interval: Duration,
    instance: String,
    clock: Arc<dyn Clock>,
}

impl Agent {
    /// Waits to be the only one, acts, and makes room for the next.
    async fn act_alone(&self, shutdown: &CancellationToken, linked: ReadinessGuard) -> Result<(), Error> {
        let client = self.cluster.client.clone();
        let lease = ActingLease::new(client, &self.namespace, self.instance.clone(), self.clock.clone());
        alone(&lease, &*self.clock, shutdown, self.act(&lease, shutdown, linked)).await
    }

    async fn act(
        &self,
        lease: &ActingLease,
        shutdown: &CancellationToken,
        linked: ReadinessGuard,
    ) -> Result<(), Error> {
        let secret = IdentitySecret::new(self.cluster.client.clone(), &self.namespace);
        let obtain = || {
            identity::obtain(
                &self.cluster,
                &secret,
                &self.hubs,
                &self.joining,
                &*self.clock,
                shutdown,
            )
        };
        let Some(identity) = shutdown
            .run_until_cancelled(patiently(&*self.clock, obtain))
            .await
        else {
            return Ok(());
        };
        let keeper = Keeper::new(identity?, secret.clone());
        let name = keeper.current().cluster.clone();
        tracing::info!(cluster = %name, version = crate::VERSION, "agent started");

        let client = acting::client(self.cluster.client.clone(), lease.acting());
        let options = berth_apply::Options {
            clock: self.clock.clone(),
            ledger: Arc::new(KubeLedger::new(client.clone(), self.namespace.clone())),
            agent_namespace: self.namespace.clone(),
            breaker: self.breaker,
            ..berth_apply::Options::new(client)
        };
        let (engine, task) = Engine::new(options);
        let linking = async {
            let live = watch::Sender::new(false);
            let listened = live.subscribe();
            let me = Me {
                name,
                instance: self.instance.clone(),
                cluster: self.cluster.clone(),
                clock: self.clock.clone(),
                keeper: Some(keeper.clone()),
            };
            let dial = Tls {
                hubs: self.hubs.clone(),
                identity: keeper.subscribe(),
            };
            let renewing = keep_renewed(keeper.clone(), self.hubs.clone(), self.clock.clone());
            let evidence = Desk::new();
            let prober = Prober {
                engine: engine.clone(),
                desk: evidence.clone(),
                identity: keeper.subscribe(),
                clock: self.clock.clone(),
                interval: self.evidence_interval,
            };
            tokio::select! {
                biased;
                ended = keep_linked(engine.clone(), me, self.hubs.clone(), dial, live, evidence) => ended,
                () = prober.run() => Error::Engine("its reports have ended".into()),
                () = renewing => Error::Engine("the renewal ended".into()),
                () = ready_once(listened, linked) => Error::Engine("the link ended".into()),
            }
        };
        beside(task, shutdown, linking).await
    }
}

/// Waits for the Lease, does `act` while it is held, and gives it up.
pub(crate) async fn alone(
    lease: &ActingLease,
    clock: &dyn Clock,
    shutdown: &CancellationToken,
    act: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let acquired = shutdown
        .run_until_cancelled(patiently(clock, || lease.acquire()))
        .await;
    let Some(acquired) = acquired else {
        return Ok(());
    };
    acquired?;
    let ended = tokio::select! {
        biased;
        ended = Box::pin(act) => ended,
        lost = lease.keep() => Err(lost),
    };
    lease.release().await;
    ended
}

/// Tries again while another try may help: an API server that is away is waited for.
async fn patiently<T, F>(clock: &dyn Clock, attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut backoff = Backoff::new(&START);
    loop {
        match attempt().await {
            Err(error) if error.retryable() => {
                tracing::warn!(
                    error = error.message(),
                    "the API server does not do as asked; trying again"
                );
                clock.sleep(backoff.next_delay()).await;
            }
            decided => return decided,
        }
    }
}

/// Runs an engine beside `linking` until either ends; the engine finishes what it has begun. The link ends first, so that no command
/// reaches an engine that is ending.
pub(crate) async fn beside(
    work: EngineTask,
    shutdown: &CancellationToken,
    linking: impl Future<Output = Error>,
) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let mut running = tokio::spawn(work.run(stop.clone()));
    let _stop_on_drop = stop.clone().drop_guard();
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        error = linking => Err(error),
        ended = &mut running => return Err(Error::Engine(format!("{ended:?}"))),
    };
    stop.cancel();
    if tokio::time::timeout(ENGINE_GRACE, &mut running).await.is_err() {
        running.abort();
    }
    ended
}

/// Who this agent is, and where.
pub(crate) struct Me {
    pub(crate) name: ClusterName,
    pub(crate) instance: String,
    pub(crate) cluster: Cluster,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whom it trusts; none where nobody is asked for a certificate.
    pub(crate) keeper: Option<Keeper>,
}

/// Tells a hub of the cluster and does as it says, whichever hub listens. Ends only when the engine does.
pub(crate) async fn keep_linked<D: Dial>(
    engine: Engine,
    me: Me,
    hubs: Hubs,
    dial: D,
    live: watch::Sender<bool>,
    evidence: Desk,
) -> Error {
    if !engine.ready().await {
        return Error::Engine("before it was ready".into());
    }
    let facts = Facts::first(engine.clone(), me.cluster, me.clock.clone()).await;
    let following = follow_the_cluster(facts.subscribe(), evidence.clone());
    let driver = Driver {
        engine,
        clock: me.clock,
        cluster: me.name,
        instance: me.instance,
        facts: facts.subscribe(),
        evidence,
        live,
        keeper: me.keeper,
        memory: Memory::default(),
    };
    tokio::select! {
        biased;
        ended = stay_connected(driver, hubs, dial) => ended,
        () = facts.follow() => Error::Engine("its facts have ended".into()),
        () = following => Error::Engine("its facts have ended".into()),
    }
}

/// The process is ready when a hub listened for the first time; after that a hub that is away does not make it unready.
async fn ready_once(mut live: watch::Receiver<bool>, linked: ReadinessGuard) {
    if live.wait_for(|live| *live).await.is_ok() {
        drop(linked);
    }
    std::future::pending().await
}

/// The operators' listener, when there is one.
struct Ops {
    cancel: CancellationToken,
    task: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Ops {
    async fn start(address: Option<SocketAddr>, readiness: Readiness) -> Result<Self, Error> {
        let cancel = CancellationToken::new();
        let Some(address) = address else {
            return Ok(Self { cancel, task: None });
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Ops { address, source })?;
        let metrics = Metrics::new("berth_agent");
        memory::register(&metrics);
        let router = ops::router(readiness, metrics);
        let task = tokio::spawn(ops::serve(listener, router, cancel.clone()));
        Ok(Self {
            cancel,
            task: Some(task),
        })
    }

    async fn stop(self) {
        self.cancel.cancel();
        if let Some(task) = self.task {
            let _ = task.await;
        }
    }
}
