//! What happened, in order, as the world outside the processes saw it. The checkers read nothing else but this and the end.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_model::{ClusterName, Digest, Generation, Revision, StorePoint, TenantId, Term, Uid};
use berth_store::{Change, Entry};

/// A command as it was put on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `assign`, `keep` or `withdraw`.
    pub what: &'static str,
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: String,
    /// Of the assignment; 0 for a withdrawal.
    pub generation: u64,
    /// The term it was said in.
    pub term: Term,
    /// Of the session.
    pub nonce: u64,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The simulation goes on to something else.
    Phase(&'static str),
    /// Something was broken or mended.
    Fault(String),
    /// A process started.
    Started {
        /// Which.
        process: String,
    },
    /// A transaction was taken by the store.
    Wrote {
        /// Whose.
        hub: String,
        /// Its revision.
        revision: Revision,
        /// What it changed.
        changes: Vec<Change>,
    },
    /// The store refused the write of a hub that does not lead.
    Fenced {
        /// Which.
        hub: String,
    },
    /// An administrator asked for something.
    Asked {
        /// Which question.
        call: u64,
        /// What, for people.
        what: String,
    },
    /// An administrator was answered.
    Answered {
        /// Which question.
        call: u64,
        /// What was acknowledged; none when it was refused or nobody knows.
        done: Option<Acknowledged>,
        /// For people.
        why: String,
    },
    /// A hub put a command on the wire.
    Commanded {
        /// Which hub process.
        hub: String,
        /// Which connection.
        connection: u64,
        /// To which cluster.
        cluster: ClusterName,
        /// What.
        said: Said,
        /// Other clusters whose agents have told that hub that they hold the tenant.
        held_by: Vec<ClusterName>,
    },
    /// An agent has opened a session with a hub that leads, and said what it knows of hubs.
    Linked {
        /// Which hub process.
        hub: String,
        /// Which agent process.
        agent: String,
        /// Of which cluster.
        cluster: ClusterName,
        /// Which connection.
        connection: u64,
        /// The highest term it has accepted.
        term: Term,
        /// The furthest that a hub has told it its store had come.
        told: Option<StorePoint>,
        /// The incarnation under which this hub tells such things.
        incarnation: u64,
    },
    /// The store was put back, while nobody stood on it.
    PutBack(PutBack),
    /// An agent answered a command with Ack.
    Accepted {
        /// Which agent process.
        agent: String,
        /// Of which cluster.
        cluster: ClusterName,
        /// Which connection.
        connection: u64,
        /// Which command.
        nonce: u64,
    },
    /// An agent's ledger holds a tenant.
    Remembered {
        /// Of which cluster.
        cluster: ClusterName,
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
        /// Of the assignment.
        generation: Generation,
        /// Of the assignment.
        digest: Digest,
        /// The term it was accepted in.
        term: Term,
    },
    /// An API server did what an agent asked.
    Kube {
        /// Of which cluster.
        cluster: ClusterName,
        /// Which agent process asked.
        agent: String,
        /// The method.
        verb: String,
        /// The path.
        path: String,
        /// The answer.
        status: u16,
        /// The tenant's uid on the object that was changed, as it was before a delete.
        uid: String,
        /// Whether it changed anything.
        changed: bool,
    },
    /// Whose the Lease of a cluster's agents is now.
    Held {
        /// Of which cluster.
        cluster: ClusterName,
        /// Which agent process has it; empty when none does.
        holder: String,
    },
    /// What there is in the cloud changed: names with the tenant's uid.
    Cloud {
        /// Clusters.
        clusters: Vec<(String, String)>,
        /// Node pools.
        pools: Vec<(String, String)>,
    },
    /// What a hub shows of a tenant.
    Shown(Shown),
}

/// A store as it was put back.
#[derive(Clone, Debug)]
pub struct PutBack {
    /// It is as the store was at this revision.
    pub from: Revision,
    /// From where it goes on.
    pub revision: Revision,
    /// It says of itself that it was restored.
    pub marked: bool,
    /// What is in it.
    pub entries: Vec<Entry>,
}

/// A status as shown, with the truth beside it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// By which hub process.
    pub hub: String,
    /// The tenant.
    pub tenant: TenantId,
    /// Where it is.
    pub cluster: Option<ClusterName>,
    /// Its health.
    pub health: String,
    /// Its conditions' reasons and messages.
    pub text: String,
    /// How old its evidence is said to be; none when there is none.
    pub claimed_age: Option<Duration>,
    /// How old the cluster's evidence really is: since its API server last answered its agent.
    pub true_age: Option<Duration>,
    /// For how long it has been claiming more than is known.
    pub suspicious_for: Duration,
}

/// A write that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// `create`, `update` or `delete`.
    pub what: &'static str,
    /// The tenant.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// Its generation.
    pub generation: Generation,
    /// The mark the operation left in the tenant's labels; none for a delete.
    pub mark: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase(name) => write!(f, "=== {name}"),
            Self::Fault(what) => write!(f, "fault     {what}"),
            Self::Started { process } => write!(f, "start     {process}"),
            Self::Wrote {
                hub,
                revision,
                changes,
            } => {
                write!(f, "store     {revision} by {hub}:")?;
                for change in changes {
                    let sign = if change.put.is_some() { '+' } else { '-' };
                    // The names of join tokens are secrets of the system's own chance.
                    let key = change.key.as_str();
                    let key = if key.starts_with("join-tokens/") {
                        "join-tokens/*"
                    } else {
                        key
                    };
                    write!(f, " {sign}{key}")?;
                }
                Ok(())
            }
            Self::Fenced { hub } => write!(f, "fenced    {hub}"),
            Self::Asked { call, what } => write!(f, "admin     #{call} {what}"),
            Self::Answered { call, why, .. } => write!(f, "answer    #{call} {why}"),
            Self::Commanded {
                hub,
                connection,
                cluster,
                said,
                ..
            } => write!(
                f,
                "command   {hub} -> {cluster} ({connection}/{}): {} {} generation {} term {}",
                said.nonce, said.what, said.tenant, said.generation, said.term
            ),
            Self::Linked {
                hub,
                agent,
                connection,
                term,
                told,
                ..
            } => {
                write!(f, "linked    {agent} to {hub} ({connection}), knows term {term}")?;
                match told {
                    Some(told) => write!(f, " and revision {} of term {}", told.revision, told.term),
                    None => Ok(()),
                }
            }
            Self::PutBack(back) => write!(
                f,
                "put back  to revision {}, goes on from {}{}",
                back.from,
                back.revision,
                if back.marked { ", marked" } else { "" }
            ),
            Self::Held { cluster, holder } => write!(f, "lease     of {cluster} is {holder:?}'s"),
            Self::Accepted {
                agent,
                connection,
                nonce,
                ..
            } => write!(f, "accepted  {agent} ({connection}/{nonce})"),
            Self::Remembered {
                cluster,
                tenant,
                generation,
                term,
                ..
            } => write!(
                f,
                "ledger    {cluster}: {tenant} generation {generation} term {term}"
            ),
            Self::Kube {
                agent,
                verb,
                path,
                status,
                ..
            } => write!(f, "kube      {agent} {verb} {path} {status}"),
            Self::Cloud { clusters, pools } => write!(f, "cloud     {clusters:?} {pools:?}"),
            Self::Shown(shown) => write!(
                f,
                "shown     {} by {}: {} {:?}, truly {:?}",
                shown.tenant, shown.hub, shown.health, shown.claimed_age, shown.true_age
            ),
        }
    }
}

/// The history of one run. Copies are the same history.
#[derive(Clone, Debug)]
pub struct History {
    state: Arc<Mutex<State>>,
    started: tokio::time::Instant,
    trace: bool,
}

#[derive(Debug)]
struct State {
    events: Vec<(Duration, Event)>,
    hash: DefaultHasher,
}

impl History {
    /// An empty one that starts now; with `trace` it is printed as it happens.
    #[must_use]
    pub fn new(trace: bool) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                events: Vec::new(),
                hash: DefaultHasher::new(),
            })),
            started: tokio::time::Instant::now(),
            trace,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes what happened now.
    #[expect(clippy::print_stdout, reason = "a trace is for reading along")]
    pub fn note(&self, event: Event) {
        let at = self.now();
        let line = format!("{:>12.3} {event}", at.as_secs_f64());
        if self.trace {
            println!("{line}");
        }
        let mut state = self.state();
        line.hash(&mut state.hash);
        state.events.push((at, event));
    }

    /// Everything so far.
    #[must_use]
    pub fn events(&self) -> Vec<(Duration, Event)> {
        self.state().events.clone()
    }

    /// How many things have happened.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().events.len()
    }

    /// Whether nothing has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One number for all of it: the same history has the same.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.state().hash.finish()
    }
}
