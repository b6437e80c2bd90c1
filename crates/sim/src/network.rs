//! The network between agents and hubs: connections that are slow, stall, break, and in harsh runs lose, double and reorder
//! single messages, which TCP would not do.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tonic::Status;

use crate::{chance::Dice, gate::Gate};

/// Messages on their way in one direction.
const WINDOW: usize = 256;

/// The network. Copies are the same network.
#[derive(Clone, Debug)]
pub struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dice: Dice,
    /// Machines that one machine's messages do not reach.
    blocked: Mutex<BTreeSet<(String, String)>>,
    turned: Notify,
    connections: Mutex<BTreeMap<u64, Connection>>,
    last: AtomicU64,
    /// Single messages are lost, doubled and reordered.
    harsh: AtomicBool,
    /// Latencies are this many times the usual.
    slowness: AtomicU64,
}

/// A connection between an agent's machine and a hub's.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its number.
    pub id: u64,
    ends: (String, String),
    broken: Arc<AtomicBool>,
    broke: Arc<Notify>,
}

impl Connection {
    /// Breaks it: both ends hear of it.
    pub fn break_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
        self.broke.notify_waiters();
    }

    async fn broken(&self) {
        loop {
            let broke = self.broke.notified();
            let mut broke = std::pin::pin!(broke);
            broke.as_mut().enable();
            if self.broken.load(Ordering::Relaxed) {
                return;
            }
            broke.await;
        }
    }
}

/// One direction of a connection.
#[derive(Clone, Debug)]
pub struct Way {
    /// From which machine.
    pub from: String,
    /// To which machine.
    pub to: String,
    /// The process that speaks.
    pub speaker: Gate,
    /// The process that hears.
    pub hearer: Gate,
}

impl Network {
    /// Where everything gets through.
    #[must_use]
    pub fn new(dice: Dice) -> Self {
        Self {
            inner: Arc::new(Inner {
                dice,
                blocked: Mutex::default(),
                turned: Notify::new(),
                connections: Mutex::default(),
                last: AtomicU64::new(0),
                harsh: AtomicBool::new(false),
                slowness: AtomicU64::new(1),
            }),
        }
    }

    fn blocked(&self) -> MutexGuard<'_, BTreeSet<(String, String)>> {
        self.inner.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.inner
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether single messages are lost, doubled and reordered from now on.
    pub fn set_harsh(&self, harsh: bool) {
        self.inner.harsh.store(harsh, Ordering::Relaxed);
    }

    /// Latencies are this many times the usual from now on.
    pub fn set_slowness(&self, times: u64) {
        self.inner.slowness.store(times, Ordering::Relaxed);
    }

    /// Nothing that `from` says reaches `to` any more, or all of it does again.
    pub fn block(&self, from: &str, to: &str, blocked: bool) {
        let way = (from.to_owned(), to.to_owned());
        if blocked {
            self.blocked().insert(way);
        } else {
            self.blocked().remove(&way);
        }
        self.inner.turned.notify_waiters();
    }

    /// Everything gets through again.
    pub fn heal(&self) {
        self.blocked().clear();
        self.set_harsh(false);
        self.set_slowness(1);
        self.inner.turned.notify_waiters();
    }

    /// Breaks every connection, or those of one machine.
    pub fn break_off(&self, of: Option<&str>) {
        for connection in self.connections().values() {
            let (agent, hub) = &connection.ends;
            if of.is_none_or(|of| agent == of || hub == of) {
                connection.break_off();
            }
        }
        self.connections()
            .retain(|_, connection| !connection.broken.load(Ordering::Relaxed));
    }

    /// Whether what `from` says reaches `to`.
    #[must_use]
    pub fn reaches(&self, from: &str, to: &str) -> bool {
        !self.blocked().contains(&(from.to_owned(), to.to_owned()))
    }

    /// How long one message takes.
    #[must_use]
    pub fn latency(&self) -> Duration {
        let times = self.inner.slowness.load(Ordering::Relaxed);
        let slow = self.inner.dice.percent(2);
        let most = if slow { 200 } else { 15 };
        self.inner.dice.millis(1, most) * u32::try_from(times).unwrap_or(1)
    }

    /// A new connection between these machines.
    #[must_use]
    pub fn connect(&self, agent: &str, hub: &str) -> Connection {
        let id = self.inner.last.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Connection {
            id,
            ends: (agent.to_owned(), hub.to_owned()),
            broken: Arc::default(),
            broke: Arc::default(),
        };
        self.connections().insert(id, connection.clone());
        connection
    }

    async fn clear(&self, from: &str, to: &str) {
        loop {
            let turned = self.inner.turned.notified();
            let mut turned = std::pin::pin!(turned);
            turned.as_mut().enable();
            if self.reaches(from, to) {
                return;
            }
            turned.await;
        }
    }

    /// Carries what comes from `said` one way of `connection`; `sent` sees every message as it is put on the wire.
    pub fn carry<M: Clone + Send + 'static>(
        &self,
        connection: &Connection,
        way: &Way,
        said: mpsc::Receiver<M>,
        sent: impl Fn(&M) + Send + 'static,
    ) -> mpsc::Receiver<Result<M, Status>> {
        let (wire, on_wire) = mpsc::channel(WINDOW);
        let (out, heard) = mpsc::channel(WINDOW);
        tokio::spawn(
            self.clone()
                .put(connection.clone(), way.clone(), said, wire, sent),
        );
        tokio::spawn(self.clone().take(connection.clone(), way.clone(), on_wire, out));
        heard
    }

    /// Puts messages on the wire, each with the moment at which it arrives.
    async fn put<M: Clone + Send + 'static>(
        self,
        connection: Connection,
        way: Way,
        mut said: mpsc::Receiver<M>,
        wire: mpsc::Sender<(Instant, M)>,
        sent: impl Fn(&M) + Send + 'static,
    ) {
        let mut last = Instant::now();
        loop {
            let message = tokio::select! {
                biased;
                () = connection.broken() => return,
                message = said.recv() => message,
            };
            let Some(message) = message else {
                // The process closed the stream, unless it is the process that is gone.
                if way.speaker.silent() {
                    connection.broken().await;
                } else if way.speaker.dead() {
                    connection.break_off();
                }
                return;
            };
            tokio::select! {
                biased;
                () = connection.broken() => return,
                () = way.speaker.pass() => {}
            }
            sent(&message);
            let now = Instant::now();
            let arrives = now + self.latency();
            if self.inner.harsh.load(Ordering::Relaxed) {
                let dice = &self.inner.dice;
                if dice.percent(2) {
                    continue;
                }
                if dice.percent(3) && wire.send((arrives, message.clone())).await.is_err() {
                    return;
                }
                if dice.percent(5) {
                    let wire = wire.clone();
                    let late = dice.millis(50, 5000);
                    tokio::spawn(async move {
                        tokio::time::sleep(late).await;
                        // Nobody listens any more: a message that comes too late.
                        drop(wire.send((arrives + late, message)).await);
                    });
                    continue;
                }
            }
            last = last.max(arrives);
            if wire.send((last, message)).await.is_err() {
                return;
            }
        }
    }

    /// Takes messages off the wire when they have arrived.
    async fn take<M: Send + 'static>(
        self,
        connection: Connection,
        way: Way,
        mut on_wire: mpsc::Receiver<(Instant, M)>,
        out: mpsc::Sender<Result<M, Status>>,
    ) {
        let arriving = async {
            while let Some((arrives, message)) = on_wire.recv().await {
                tokio::time::sleep_until(arrives).await;
                self.clear(&way.from, &way.to).await;
                way.hearer.pass().await;
                if out.send(Ok(message)).await.is_err() {
                    return;
                }
            }
            // A silent end is no end.
            if way.speaker.silent() {
                std::future::pending::<()>().await;
            }
        };
        let broken = tokio::select! {
            biased;
            () = connection.broken() => true,
            () = arriving => false,
        };
        if broken {
            way.hearer.pass().await;
            // Whoever does not listen any more does not need to know.
            drop(out.send(Err(Status::unavailable("the connection broke"))).await);
        }
    }
}
