//! The live sessions of the agents and what they said: soft state, in memory, said again on reconnect.

mod asking;
mod fence;
mod proofs;
#[cfg(test)]
mod tests;
mod trusting;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_model::{
    ClusterFacts, ClusterName, Digest, Generation, StorePoint, TenantId, TenantReport, Term, Timestamp, Uid,
};
use berth_plan::view::{Evidence, SessionView};
use berth_runtime::Clock;
use tokio::sync::Notify;

pub use self::asking::{ANSWER, AskError};
pub use self::fence::Fence;
pub use self::trusting::{Trusted, Trusting};
use crate::outbox::{Command, Gate, Outbox};

/// Tenants an agent may report at most: more than a cluster has namespaces.
const MOST_REPORTS: usize = 20_000;

/// What an agent holds: uid, generation, digest by tenant.
pub type Held = BTreeMap<TenantId, (Uid, Generation, Digest)>;

/// Which session of a cluster; a later one is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// All sessions. Copies are the same sessions.
#[derive(Clone)]
pub struct Sessions {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    /// Whether this hub leads; none where nobody else could.
    gate: Option<Gate>,
    /// Sessions are taken.
    open: bool,
    /// Where the leader is when it is somebody else.
    leader: String,
    /// What agents know of hubs; kept when their sessions end.
    known: fence::Known,
    /// How far this hub's store has come.
    point: Option<StorePoint>,
    /// How far it had come when this hub began to lead.
    began: Option<StorePoint>,
    clusters: BTreeMap<ClusterName, ClusterState>,
    changes: SessionChanges,
    /// Whose certificates agents are to trust; none where nobody says.
    trust: Option<Trusted>,
}

/// What is known of a cluster by its sessions; stays when the session ends, so that status can say how old it is.
#[derive(Debug, Default)]
struct ClusterState {
    session: Option<Live>,
    evidence_at: Option<Moment>,
    facts: Option<ClusterFacts>,
    reports: BTreeMap<TenantId, (TenantReport, Moment)>,
    /// Stays when a session ends: it is signed, and grows old by itself.
    proofs: BTreeMap<TenantId, proofs::Proof>,
    /// Whom its agent trusts and who issued its certificate, as far as known.
    trusting: Trusting,
}

/// A moment by the monotonic clock, in milliseconds; before this process it is negative. What was done to the wall clock since
/// changes nothing about how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(i64);

impl Moment {
    fn ago(clock: &dyn Clock, age: Duration) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(millis(clock.monotonic()).saturating_sub(millis(age)))
    }

    /// By the wall clock as it is now.
    fn at(self, clock: &dyn Clock) -> Timestamp {
        let age = Self::ago(clock, Duration::ZERO).0.saturating_sub(self.0);
        let now = clock.now();
        Timestamp::from_millisecond(now.as_millisecond().saturating_sub(age)).unwrap_or(now)
    }
}

#[derive(Debug)]
struct Live {
    id: SessionId,
    outbox: Arc<Outbox>,
    view: SessionView,
    /// Whose key speaks here.
    key_sha256: String,
}

/// What changed since it was last asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SessionChanges {
    /// Tenants of which something new was said.
    pub tenants: BTreeSet<TenantId>,
    /// Clusters whose session or facts changed.
    pub clusters: BTreeSet<ClusterName>,
    /// Tenants of which something was proven that is not kept yet.
    pub proven: BTreeSet<TenantId>,
    /// Clusters with a new session that has not been told anything yet.
    pub opened: BTreeSet<ClusterName>,
}

/// Who is there, as its Hello said.
#[derive(Debug)]
pub struct Hello {
    /// Version of the agent.
    pub agent_version: String,
    /// What it holds.
    pub held: Held,
    /// The cluster's facts.
    pub facts: ClusterFacts,
    /// The highest term it has accepted.
    pub highest_term: Term,
    /// The furthest that a hub has told it its store had come; none when no hub did.
    pub told: Option<StorePoint>,
    /// Pins of the authorities it trusts; none where it does not say.
    pub trusted_pins: Vec<String>,
    /// Pin of the authority that issued its certificate; empty when that is not known.
    pub issuer_pin: String,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions")
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}

impl Sessions {
    /// No sessions yet; every agent is welcome.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            open: true,
            ..State::default()
        };
        Self {
            clock,
            state: Arc::new(Mutex::new(state)),
            changed: Arc::default(),
        }
    }

    /// This hub leads from now on, as long as `gate` says so: agents are welcome.
    pub fn begin(&self, gate: Gate) {
        let mut state = self.state();
        state.gate = Some(gate);
        state.open = true;
        state.leader.clear();
    }

    /// This hub leads no more: every session ends and none begins. What agents have said is forgotten, as they say it to the next
    /// leader; the highest term they know is not.
    pub fn follow(&self, leader: &str) {
        let mut state = self.state();
        state.open = false;
        state.point = None;
        state.began = None;
        leader.clone_into(&mut state.leader);
        for live in std::mem::take(&mut state.clusters)
            .into_values()
            .filter_map(|known| known.session)
        {
            live.outbox
                .goodbye_to("NotLeader", "this hub does not lead any more", leader);
        }
        state.changes = SessionChanges::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of `cluster` begins, by the agent with that key; an older one of that cluster ends.
    pub fn open(&self, cluster: &ClusterName, key_sha256: &str, hello: Hello) -> (SessionId, Arc<Outbox>) {
        let mut guard = self.state();
        let state = &mut *guard;
        let outbox = Arc::new(state.gate.clone().map_or_else(Outbox::default, Outbox::gated));
        state.last_id += 1;
        let id = SessionId(state.last_id);
        state.known.heard(cluster, hello.highest_term, hello.told);
        if !state.open {
            outbox.goodbye_to("NotLeader", "this hub does not lead", &state.leader);
            return (id, outbox);
        }
        let known = state.clusters.entry(cluster.clone()).or_default();
        if let Some(older) = known.session.take() {
            older
                .outbox
                .goodbye("Superseded", "a newer session of this cluster has begun");
        }
        known.session = Some(Live {
            id,
            outbox: outbox.clone(),
            view: SessionView {
                held: hello.held,
                agent_version: hello.agent_version,
                api_error: None,
            },
            key_sha256: key_sha256.to_owned(),
        });
        known.facts = Some(hello.facts);
        known.trusting = Trusting {
            trusts: hello.trusted_pins,
            issuer: hello.issuer_pin,
        };
        if let Some(trust) = state
            .trust
            .as_ref()
            .filter(|trust| known.trusting.trusts != trust.pins)
        {
            outbox.trust(trust.pem.clone());
        }
        // What an earlier session said is not made fresh by this one's heartbeats: the agent says it again.
        state
            .changes
            .tenants
            .extend(std::mem::take(&mut known.reports).into_keys());
        // Whether its API server answers, the first heartbeat says; it follows at once.
        state.changes.clusters.insert(cluster.clone());
        state.changes.opened.insert(cluster.clone());
        drop(guard);
        self.changed.notify_one();
        (id, outbox)
    }

    /// The cluster's identity is void: its session ends, and what it said does not count any more. Whether there was one.
    pub fn revoke(&self, cluster: &ClusterName) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        state.known.forget(cluster);
        let live = state
            .clusters
            .get_mut(cluster)
            .and_then(|known| known.session.take());
        let Some(live) = live else {
            drop(guard);
            self.changed.notify_one();
            return false;
        };
        live.outbox
            .goodbye("Refused", "the identity of this cluster was revoked");
        state.changes.opened.remove(cluster);
        state.changes.clusters.insert(cluster.clone());
        drop(guard);
        self.changed.notify_one();
        true
    }

    /// The cluster is not in the fleet any more: its session ends and nothing of it is remembered.
    pub fn end(&self, cluster: &ClusterName) {
        let mut state = self.state();
        state.known.forget(cluster);
        if let Some(live) = state.clusters.remove(cluster).and_then(|known| known.session) {
            live.outbox
                .goodbye("Refused", "the cluster was taken out of the fleet");
        }
        state.changes.opened.remove(cluster);
    }

    /// Only the agent with that key speaks for the cluster from now on: a session of another key ends, and what it said is forgotten.
    pub fn end_other_keys(&self, cluster: &ClusterName, key_sha256: &str) {
        let other = |known: &ClusterState| {
            known
                .session
                .as_ref()
                .is_some_and(|live| live.key_sha256 != key_sha256)
        };
        if self.state().clusters.get(cluster).is_some_and(other) {
            self.end(cluster);
        }
    }

    /// The session ended. A newer one of the cluster is not touched.
    pub fn close(&self, cluster: &ClusterName, id: SessionId) {
        self.with_live(cluster, id, |state, cluster| {
            if let Some(known) = state.clusters.get_mut(cluster) {
                known.session = None;
            }
            state.changes.opened.remove(cluster);
            state.changes.clusters.insert(cluster.clone());
            true
        });
    }

    /// A heartbeat: the agent is there, and its API server answered `api_age` ago.
    pub fn heartbeat(
        &self,
        cluster: &ClusterName,
        id: SessionId,
        api_age: Duration,
        api_error: Option<String>,
    ) {
        let at = Moment::ago(self.clock.as_ref(), api_age);
        self.with_live(cluster, id, |state, cluster| {
            let Some(known) = state.clusters.get_mut(cluster) else {
                return false;
            };
            let first = known.evidence_at.is_none();
            known.evidence_at = known.evidence_at.max(Some(at));
            let Some(live) = &mut known.session else {
                return false;
            };
            // Only a change of the error is news; the freshness itself is read when somebody plans.
            let news = first || live.view.api_error != api_error;
            live.view.api_error = api_error;
            if news {
                state.changes.clusters.insert(cluster.clone());
            }
            news
        });
    }

    /// The cluster's facts.
    pub fn facts(&self, cluster: &ClusterName, id: SessionId, facts: ClusterFacts) {
        self.with_live(cluster, id, |state, cluster| {
            let Some(known) = state.clusters.get_mut(cluster) else {
                return false;
            };
            known.facts = Some(facts);
            state.changes.clusters.insert(cluster.clone());
            true
        });
    }

    /// The agent does not hold what it was told it holds.
    pub fn lacks(&self, cluster: &ClusterName, id: SessionId, tenant: &TenantId) {
        self.with_live(cluster, id, |state, cluster| {
            let live = state
                .clusters
                .get_mut(cluster)
                .and_then(|known| known.session.as_mut());
            let news = live.is_some_and(|live| live.view.held.remove(tenant).is_some());
            state.changes.tenants.insert(tenant.clone());
            news
        });
    }

    /// The agent took or confirmed an assignment.
    pub fn holds(&self, cluster: &ClusterName, id: SessionId, command: &Command) {
        self.with_live(cluster, id, |state, cluster| {
            let Some(live) = state
                .clusters
                .get_mut(cluster)
                .and_then(|known| known.session.as_mut())
            else {
                return false;
            };
            match command {
                Command::Assign(a) | Command::Keep(a) => {
                    live.view
                        .held
                        .insert(a.tenant.clone(), (a.uid.clone(), a.generation, a.digest.clone()));
                }
                Command::Withdraw { .. } => return false,
            }
            state.changes.tenants.insert(command.tenant().clone());
            true
        });
    }

    /// Whether the agent said that it holds that tenant, or told of it before in this session. The word of a session that is over is not
    /// taken, and so need not be looked into.
    #[must_use]
    pub fn knows(&self, cluster: &ClusterName, id: SessionId, tenant: &TenantId, uid: &Uid) -> bool {
        let state = self.state();
        let Some(known) = state.clusters.get(cluster) else {
            return true;
        };
        let Some(live) = known.session.as_ref().filter(|live| live.id == id) else {
            return true;
        };
        let held = live.view.held.get(tenant).map(|(uid, ..)| uid);
        let reported = known.reports.get(tenant).map(|(report, _)| &report.uid);
        held == Some(uid) || reported == Some(uid)
    }

    /// How a tenant is; `age` is how old that is.
    pub fn report(&self, cluster: &ClusterName, id: SessionId, report: TenantReport, age: Duration) {
        let at = Moment::ago(self.clock.as_ref(), age);
        self.with_live(cluster, id, |state, cluster| {
            let Some(known) = state.clusters.get_mut(cluster) else {
                return false;
            };
            let tenant = report.tenant.clone();
            if known.reports.len() >= MOST_REPORTS && !known.reports.contains_key(&tenant) {
                return false;
            }
            if let (berth_model::report::ApplyState::Withdrawn, Some(live)) =
                (&report.apply, &mut known.session)
            {
                live.view.held.remove(&tenant);
            }
            known.reports.insert(tenant.clone(), (report, at));
            state.changes.tenants.insert(tenant);
            true
        });
    }

    /// Forgets what was said of a tenant that is no more.
    pub fn forget(&self, tenant: &TenantId) {
        for known in self.state().clusters.values_mut() {
            known.reports.remove(tenant);
            known.proofs.remove(tenant);
        }
    }

    /// What changed since this was last asked.
    #[must_use]
    pub fn take_changes(&self) -> SessionChanges {
        std::mem::take(&mut self.state().changes)
    }

    /// Waits until something changed. Cancel safe; one reader.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The session of `cluster` as the planner sees it.
    #[must_use]
    pub fn view(&self, cluster: &ClusterName) -> Option<SessionView> {
        self.state()
            .clusters
            .get(cluster)?
            .session
            .as_ref()
            .map(|live| live.view.clone())
    }

    /// How many clusters have a session.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.state()
            .clusters
            .values()
            .filter(|known| known.session.is_some())
            .count()
    }

    /// Whether `cluster` has a session.
    #[must_use]
    pub fn is_connected(&self, cluster: &ClusterName) -> bool {
        self.state()
            .clusters
            .get(cluster)
            .is_some_and(|known| known.session.is_some())
    }

    /// When the last evidence of `cluster` was gathered.
    #[must_use]
    pub fn evidence_at(&self, cluster: &ClusterName) -> Option<Timestamp> {
        let at = self.state().clusters.get(cluster)?.evidence_at?;
        Some(at.at(self.clock.as_ref()))
    }

    /// The facts `cluster` last reported.
    #[must_use]
    pub fn last_facts(&self, cluster: &ClusterName) -> Option<ClusterFacts> {
        self.state().clusters.get(cluster)?.facts.clone()
    }

    /// What `cluster` last said of `tenant`.
    #[must_use]
    pub fn evidence(&self, cluster: &ClusterName, tenant: &TenantId) -> Option<Evidence> {
        let (report, at) = self.state().clusters.get(cluster)?.reports.get(tenant).cloned()?;
        Some(Evidence {
            report,
            at: at.at(self.clock.as_ref()),
        })
    }

    /// The highest term any agent has said it has accepted, or this hub has led in, since this hub started.
    #[must_use]
    pub fn highest_term(&self) -> Term {
        self.state().known.highest_term()
    }

    /// How far this hub's store has come, for agents to be told. The first of an incarnation is how far it had come when this hub
    /// began to lead.
    pub fn came_to(&self, point: StorePoint) {
        let mut state = self.state();
        let began = state
            .began
            .filter(|began| began.incarnation == point.incarnation)
            .unwrap_or(point);
        state.began = Some(began);
        state.point = Some(point);
        state.known.came_to(began, point);
    }

    /// How far this hub's store has come, for the agent of `cluster`; none where this hub does not lead. Whether it leads is asked after
    /// that is known: what another leader has written meanwhile is not this one's to tell, as it is more than that leader began with. An
    /// agent that knows of more is told nothing, as it would forget that.
    #[must_use]
    pub fn point(&self, cluster: &ClusterName) -> Option<StorePoint> {
        let (point, gate) = {
            let state = self.state();
            let knows_more = state
                .began
                .is_some_and(|began| state.known.knows_more(cluster, began));
            (state.point.filter(|_| !knows_more), state.gate.clone())
        };
        point.filter(|_| gate.is_none_or(|leads| leads()))
    }

    /// Why this hub must not command, if agents or its own past know of a reason from since an operator last let a hub take command.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        let state = self.state();
        state.known.fence(state.began?)
    }

    /// An agent said that it has accepted `term`.
    pub fn saw_term(&self, cluster: &ClusterName, id: SessionId, term: Term) {
        self.with_live(cluster, id, |state, cluster| {
            let before = state.known.highest_term();
            state.known.heard(cluster, term, None);
            let news = state.known.highest_term() > before;
            if news {
                state.changes.clusters.insert(cluster.clone());
            }
            news
        });
    }

    /// Ends every session: the hub drains.
    pub fn goodbye_all(&self, reason: &'static str, message: &str) {
        for live in self
            .state()
            .clusters
            .values()
            .filter_map(|known| known.session.as_ref())
        {
            live.outbox.goodbye(reason, message);
        }
    }

    /// The outbox of the live session of `cluster`.
    #[must_use]
    pub fn outbox(&self, cluster: &ClusterName) -> Option<Arc<Outbox>> {
        self.state()
            .clusters
            .get(cluster)?
            .session
            .as_ref()
            .map(|live| live.outbox.clone())
    }

    fn with_live(
        &self,
        cluster: &ClusterName,
        id: SessionId,
        change: impl FnOnce(&mut State, &ClusterName) -> bool,
    ) {
        let mut state = self.state();
        let live = state
            .clusters
            .get(cluster)
            .and_then(|known| known.session.as_ref())
            .is_some_and(|live| live.id == id);
        if live && change(&mut state, cluster) {
            drop(state);
            self.changed.notify_one();
        }
    }
}
