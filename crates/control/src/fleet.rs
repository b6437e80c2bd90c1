//! The loop. Its task owns the view; everything that happens only says "look again".

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use berth_model::{ClusterName, FleetId, Placement, Revision, TenantId, Term, Timestamp};
use berth_plan::{
    Changes, Explanation, Scope,
    plan::{Plan, Step},
    view::{Reserved, Settings, View},
};
use berth_provision::Provisioner;
use berth_runtime::{CancellationToken, Clock};
use berth_store::{Store, StoreError, Watch};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::{
    board::{Board, TenantSnapshot},
    event,
    execute::{Batch, Bundles, Executor, InfraCall, InfraDone, Outcome},
    keys, load,
    outbox::Command,
    seams::Bootstrapper,
    sessions::Sessions,
};

/// Rounds of planning before the loop listens again.
const MOST_ROUNDS: usize = 16;
/// Changes of the store taken before the loop plans.
const MOST_CHANGES: usize = 2_000;
/// How often freshness is looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// A call to the cloud or into a new cluster that takes longer has hung.
const LONGEST_CALL: Duration = Duration::from_secs(600);
/// Assignments rendered in one round, so that the first of many are on their way while the rest are rendered.
const MOST_RENDERED: usize = 32;

/// What the loop is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The cloud.
    pub provisioner: Arc<dyn Provisioner>,
    /// Who brings agents into new clusters.
    pub bootstrapper: Arc<dyn Bootstrapper>,
    /// The agents.
    pub sessions: Sessions,
    /// Where readers look.
    pub board: Board,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the admin set.
    pub settings: Settings,
    /// Which fleet.
    pub fleet: FleetId,
    /// The leader's term.
    pub term: Term,
}

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The store does not answer any more.
    #[error("the store failed under the control loop")]
    Store(#[from] StoreError),
    /// A record could not be read at the start.
    #[error("the store holds something that cannot be read")]
    Record(#[from] load::RecordProblem),
}

/// A handle to ask the loop. Cheap to copy.
#[derive(Clone, Debug)]
pub struct FleetHandle {
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
enum Question {
    Explain(TenantId, oneshot::Sender<Option<Explanation>>),
    ExplainSpec(
        TenantId,
        Box<berth_model::TenantSpec>,
        oneshot::Sender<Explanation>,
    ),
    Reserved(oneshot::Sender<BTreeMap<ClusterName, Reserved>>),
}

impl FleetHandle {
    /// Why a tenant is where it is; none when there is no such tenant or the loop has ended.
    pub async fn explain(&self, tenant: TenantId) -> Option<Explanation> {
        let (answer, asked) = oneshot::channel();
        self.questions
            .send(Question::Explain(tenant, answer))
            .await
            .ok()?;
        asked.await.ok()?
    }

    /// Where a tenant of that spec would be; none when the loop has ended.
    pub async fn explain_spec(&self, id: TenantId, spec: berth_model::TenantSpec) -> Option<Explanation> {
        let (answer, asked) = oneshot::channel();
        self.questions
            .send(Question::ExplainSpec(id, Box::new(spec), answer))
            .await
            .ok()?;
        asked.await.ok()
    }

    /// What placements have reserved, by cluster.
    pub async fn reserved(&self) -> BTreeMap<ClusterName, Reserved> {
        let (answer, asked) = oneshot::channel();
        if self.questions.send(Question::Reserved(answer)).await.is_err() {
            return BTreeMap::new();
        }
        asked.await.unwrap_or_default()
    }
}

/// The control loop.
pub struct Fleet {
    store: Arc<dyn Store>,
    provisioner: Arc<dyn Provisioner>,
    bootstrapper: Arc<dyn Bootstrapper>,
    sessions: Sessions,
    board: Board,
    clock: Arc<dyn Clock>,
    view: View,
    executor: Executor,
    watch: Watch,
    watched: Revision,
    questions: mpsc::Receiver<Question>,
    done: (mpsc::Sender<InfraDone>, mpsc::Receiver<InfraDone>),
    /// When each tenant asked to be looked at again although nothing is heard.
    wakes: BTreeMap<TenantId, Timestamp>,
    /// What was not looked at yet when the loop had to listen to everything else first.
    pending: Changes,
    /// Which clusters were fresh when last looked at.
    fresh: BTreeMap<ClusterName, bool>,
    /// Conditions that changed and are not saved yet.
    unsaved: BTreeSet<TenantId>,
    /// An agent has accepted a higher term: this hub stops commanding, until an operator starts it again.
    fenced: bool,
}

impl Fleet {
    /// Reads the store and is ready to run.
    ///
    /// # Errors
    /// When the store does not answer or holds something that cannot be read.
    pub async fn start(parts: Parts) -> Result<(Self, FleetHandle), FleetError> {
        let now = parts.clock.now();
        let loaded = load::view(
            parts.store.as_ref(),
            &parts.sessions,
            now,
            parts.fleet.clone(),
            parts.term,
            parts.settings.clone(),
        )
        .await?;
        let watch = parts.store.watch(loaded.revision).await?;
        let (ask, questions) = mpsc::channel(256);
        let executor = Executor {
            store: parts.store.clone(),
            sessions: parts.sessions.clone(),
            fleet: parts.fleet.clone(),
            term: parts.term,
            bundles: Bundles::default(),
            placing: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        let fleet = Self {
            store: parts.store,
            provisioner: parts.provisioner,
            bootstrapper: parts.bootstrapper,
            sessions: parts.sessions,
            board: parts.board,
            clock: parts.clock,
            view: loaded.view,
            executor,
            watch,
            watched: loaded.revision,
            questions,
            done: mpsc::channel(1024),
            wakes: BTreeMap::new(),
            pending: Changes::default(),
            fresh: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            fenced: false,
        };
        Ok((fleet, FleetHandle { questions: ask }))
    }

    /// Runs until `cancel`.
    ///
    /// # Errors
    /// When the store does not answer any more.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), FleetError> {
        info!(tenants = self.view.tenants.len(), clusters = self.view.clusters.len(), term = %self.view.term, "control loop runs");
        self.look(Look::Everything).await?;
        let mut sweep_at = self.clock.monotonic() + SWEEP;
        loop {
            let mut changes = std::mem::take(&mut self.pending);
            let pause = if changes == Changes::default() {
                self.pause(sweep_at)
            } else {
                Duration::ZERO
            };
            let sleep = self.clock.clone();
            tokio::select! {
                () = cancel.cancelled() => break,
                change = self.watch.next() => self.take(change, &mut changes).await?,
                () = self.sessions.changed() => {}
                Some(done) = self.done.1.recv() => self.call_ended(done, &mut changes).await?,
                Some(question) = self.questions.recv() => self.answer(question),
                () = sleep.sleep(pause) => {}
            }
            self.drain(&mut changes).await?;
            if self.clock.monotonic() >= sweep_at {
                self.sweep(&mut changes);
                self.save_conditions().await?;
                sweep_at = self.clock.monotonic() + SWEEP;
            }
            let now = self.clock.now();
            changes.tenants.extend(
                self.wakes
                    .iter()
                    .filter(|(_, at)| **at <= now)
                    .map(|(id, _)| id.clone()),
            );
            if changes != Changes::default() {
                self.look(Look::Again(changes)).await?;
            }
        }
        self.save_conditions().await?;
        Ok(())
    }

    fn pause(&self, sweep_at: Duration) -> Duration {
        let to_sweep = sweep_at.saturating_sub(self.clock.monotonic());
        let to_wake = self.wakes.values().min().map_or(to_sweep, |at| {
            u64::try_from(at.as_millisecond() - self.clock.now().as_millisecond())
                .map_or(Duration::ZERO, Duration::from_millis)
        });
        to_sweep.min(to_wake)
    }

    /// Takes everything that has already happened.
    async fn drain(&mut self, changes: &mut Changes) -> Result<(), FleetError> {
        for _ in 0..MOST_CHANGES {
            let Some(change) = self.watch.next().now_or_never() else {
                break;
            };
            self.take(change, changes).await?;
        }
        while let Ok(done) = self.done.1.try_recv() {
            self.call_ended(done, changes).await?;
        }
        let said = self.sessions.take_changes();
        for cluster in said.clusters.iter().chain(&said.opened) {
            if let Some(known) = self.view.clusters.get_mut(cluster) {
                event::refresh(known, &self.sessions);
            }
        }
        self.fenced = self.sessions.highest_term() > self.view.term;
        for cluster in &said.opened {
            self.greet(cluster);
        }
        for tenant in &said.tenants {
            self.hear(tenant);
        }
        self.save_facts(&said.clusters).await?;
        changes.clusters.extend(said.clusters);
        changes.clusters.extend(said.opened);
        changes.tenants.extend(said.tenants);
        Ok(())
    }

    async fn take(
        &mut self,
        change: Option<Result<berth_store::Change, StoreError>>,
        changes: &mut Changes,
    ) -> Result<(), FleetError> {
        match change {
            Some(Ok(change)) => {
                self.watched = self.watched.max(change.revision);
                let key = change.key.as_str();
                event::take(
                    &mut self.view,
                    &self.sessions,
                    changes,
                    key,
                    change.put.as_deref(),
                    change.revision,
                );
                if key.starts_with(keys::TENANTS)
                    && change.put.is_none()
                    && let Ok(id) = TenantId::new(change.key.name())
                {
                    self.board.remove(&id);
                    self.sessions.forget(&id);
                    self.wakes.remove(&id);
                    self.unsaved.remove(&id);
                }
                if key.starts_with(keys::BUNDLES) && change.put.is_none() {
                    self.executor.bundles.forget(&self.view.bundles);
                }
                Ok(())
            }
            // Fell behind the history: read everything again, which is the same path as a restart.
            Some(Err(StoreError::Compacted { .. })) => {
                warn!("the watch fell behind the store's history; everything is read again");
                self.reload(changes).await
            }
            Some(Err(error)) => Err(error.into()),
            None => Err(StoreError::Closed.into()),
        }
    }

    async fn reload(&mut self, changes: &mut Changes) -> Result<(), FleetError> {
        let old = &self.view;
        let (fleet, term, settings) = (old.fleet.clone(), old.term, old.settings.clone());
        let loaded = load::view(
            self.store.as_ref(),
            &self.sessions,
            self.clock.now(),
            fleet,
            term,
            settings,
        )
        .await?;
        self.watch = self.store.watch(loaded.revision).await?;
        self.watched = loaded.revision;
        let gone: Vec<TenantId> = self
            .view
            .tenants
            .keys()
            .filter(|id| !loaded.view.tenants.contains_key(*id))
            .cloned()
            .collect();
        let before = std::mem::replace(&mut self.view, loaded.view);
        for (id, old) in before.tenants {
            // What only this loop knows stays true: a call that is under way is still under way.
            if let Some(known) = self
                .view
                .tenants
                .get_mut(&id)
                .filter(|known| known.tenant.uid == old.tenant.uid)
            {
                known.infra.busy = old.infra.busy;
                known.infra.looked_at = old.infra.looked_at;
                known.infra.bootstrap_trouble = old.infra.bootstrap_trouble;
                known.render_error = old.render_error;
                known.stalled = old.stalled;
            }
        }
        for id in gone {
            self.board.remove(&id);
        }
        changes.tenants.extend(self.view.tenants.keys().cloned());
        changes.clusters.extend(self.view.clusters.keys().cloned());
        Ok(())
    }

    /// Follows the watch until the view holds what was just written.
    async fn follow(&mut self, revision: Revision, changes: &mut Changes) -> Result<(), FleetError> {
        while self.watched < revision {
            let change = self.watch.next().await;
            self.take(change, changes).await?;
        }
        // The rest of that transaction has the same revision and is there already.
        while let Some(change) = self.watch.next().now_or_never() {
            self.take(change, changes).await?;
        }
        Ok(())
    }

    /// What the tenant's cluster last said of it.
    fn hear(&mut self, tenant: &TenantId) {
        let Some(known) = self.view.tenants.get_mut(tenant) else {
            return;
        };
        let Some(cluster) = known.assigned.as_ref().map(|assigned| assigned.cluster.clone()) else {
            return;
        };
        known.report = self.sessions.evidence(&cluster, tenant);
        if let Some(known) = self.view.clusters.get_mut(&cluster) {
            event::refresh(known, &self.sessions);
        }
    }

    /// Tells a new session everything it is to hold.
    fn greet(&self, cluster: &ClusterName) {
        let (Some(outbox), Some(session)) = (self.sessions.outbox(cluster), self.sessions.view(cluster))
        else {
            return;
        };
        if self.fenced {
            return;
        }
        let mut told = 0_usize;
        for (id, known) in &self.view.tenants {
            let Some(assigned) = known
                .assigned
                .as_ref()
                .filter(|a| a.cluster == *cluster && !a.withdrawn)
            else {
                continue;
            };
            let held = session.held.get(id);
            let command = match self.executor.command(id, &known.tenant.uid, assigned) {
                Command::Assign(assignment)
                    if held
                        == Some(&(
                            assignment.uid.clone(),
                            assignment.generation,
                            assignment.digest.clone(),
                        )) =>
                {
                    Command::Keep(assignment)
                }
                other => other,
            };
            outbox.tell(command);
            told += 1;
        }
        outbox.snapshot_end();
        info!(%cluster, told, held = session.held.len(), agent = %session.agent_version, "session opened");
    }

    async fn call_ended(&mut self, done: InfraDone, changes: &mut Changes) -> Result<(), FleetError> {
        // What it found out first: a call that has ended without it would be made again.
        if let Some(revision) = done.revision {
            self.follow(revision, changes).await?;
        }
        if let Some(known) = self.view.tenants.get_mut(&done.tenant) {
            known.infra.busy = false;
            known.infra.looked_at = Some(self.clock.now());
            known.infra.bootstrap_trouble = done.bootstrap_trouble.map(|problem| (self.clock.now(), problem));
        }
        changes.tenants.insert(done.tenant);
        match done.store_error {
            // The tenant was forgotten meanwhile.
            None | Some(StoreError::Conflict { .. }) => Ok(()),
            Some(error @ StoreError::Invalid { .. }) => {
                error!(%error, "what a call found out cannot be kept");
                Ok(())
            }
            Some(error) => Err(error.into()),
        }
    }

    fn answer(&mut self, question: Question) {
        self.view.now = self.clock.now();
        // A caller that went away does not need its answer.
        match question {
            Question::Explain(tenant, answer) => drop(answer.send(berth_plan::explain(&self.view, &tenant))),
            Question::ExplainSpec(id, spec, answer) => {
                drop(answer.send(berth_plan::explain_spec(&self.view, &id, &spec)))
            }
            Question::Reserved(answer) => {
                let all = self
                    .view
                    .clusters
                    .iter()
                    .map(|(name, known)| (name.clone(), known.reserved))
                    .collect();
                drop(answer.send(all));
            }
        }
    }

    /// Notes the clusters whose evidence has become too old, or fresh again.
    fn sweep(&mut self, changes: &mut Changes) {
        let now = self.clock.now();
        let lifetime = self.view.settings.evidence_lifetime;
        for (name, known) in &mut self.view.clusters {
            known.evidence_at = self.sessions.evidence_at(name);
            let fresh = known.evidence_at.is_some_and(|at| {
                u128::try_from(now.as_millisecond() - at.as_millisecond())
                    .is_ok_and(|age| age <= lifetime.as_millis())
                    || at > now
            });
            if self.fresh.insert(name.clone(), fresh) != Some(fresh) {
                changes.clusters.insert(name.clone());
            }
        }
        self.fresh.retain(|name, _| self.view.clusters.contains_key(name));
    }

    /// Keeps what a cluster reported, so that a restarted hub can place at once.
    async fn save_facts(&mut self, clusters: &BTreeSet<ClusterName>) -> Result<(), FleetError> {
        for name in clusters {
            let Some(facts) = self.sessions.last_facts(name) else {
                continue;
            };
            let txn = match load::with_facts(self.store.as_ref(), name, &facts).await {
                Err(FleetError::Record(problem)) => {
                    error!(cluster = %name, error = %problem, "a record cannot be read");
                    continue;
                }
                other => other?,
            };
            if let Some(txn) = txn {
                match self.store.txn(txn).await {
                    // Somebody changed the cluster: the facts are saved when they next change.
                    Ok(_) | Err(StoreError::Conflict { .. }) => {}
                    Err(error @ StoreError::Invalid { .. }) => {
                        warn!(cluster = %name, %error, "the facts cannot be kept")
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Plans and executes until there is nothing left to write.
    async fn look(&mut self, mut look: Look) -> Result<(), FleetError> {
        for _ in 0..MOST_ROUNDS {
            self.view.now = self.clock.now();
            let scope = match &look {
                Look::Everything => Scope::All,
                Look::Again(changes) => berth_plan::closure(&self.view, changes),
            };
            let plan = berth_plan::plan(&self.view, &scope);
            let plan = self.linted(plan);
            self.publish(&plan);
            let changes = self.execute(plan.steps).await?;
            if changes == Changes::default() {
                return Ok(());
            }
            look = Look::Again(changes);
        }
        // Let the loop listen to everything else first.
        if let Look::Again(changes) = look {
            self.pending.merge(changes);
        }
        Ok(())
    }

    /// Takes out what the lint forbids.
    fn linted(&mut self, mut plan: Plan) -> Plan {
        let mut all_stopped = false;
        for finding in berth_plan::lint(&self.view, &plan) {
            error!(rule = %finding.rule, tenant = ?finding.tenant, message = %finding.message, "the plan breaks a rule and is not carried out");
            match finding.tenant {
                None => all_stopped = true,
                Some(tenant) => {
                    plan.steps.retain(|step| *step.tenant() != tenant);
                    if let Some(known) = self.view.tenants.get_mut(&tenant) {
                        known.stalled = Some(finding.message);
                    }
                }
            }
        }
        if self.fenced {
            error!(term = %self.view.term, "an agent has accepted a higher term than this hub's: another hub acts, so this one stops commanding; stop one of them");
            all_stopped = true;
        }
        if all_stopped {
            plan.steps.clear();
        }
        plan
    }

    /// Puts the statuses up for readers.
    fn publish(&mut self, plan: &Plan) {
        for (id, status) in &plan.status {
            let Some(known) = self.view.tenants.get_mut(id) else {
                continue;
            };
            if known.conditions != status.conditions {
                known.conditions = status.conditions.clone();
                self.unsaved.insert(id.clone());
            }
            match plan.wake.get(id) {
                Some(at) => self.wakes.insert(id.clone(), *at),
                None => self.wakes.remove(id),
            };
            let placement: Option<Placement> = known.placed.as_ref().map(|placed| placed.placement.clone());
            self.board.put(TenantSnapshot {
                tenant: known.tenant.clone(),
                placement,
                status: Some(Arc::new(status.clone())),
            });
        }
    }

    async fn execute(&mut self, steps: Vec<Step>) -> Result<Changes, FleetError> {
        let mut changes = Changes::default();
        let mut batch = Batch::default();
        let mut rendered = 0;
        let now = self.view.now;
        for step in steps {
            let tenant = step.tenant().clone();
            if matches!(step, Step::Assign { .. }) {
                rendered += 1;
                if rendered > MOST_RENDERED {
                    changes.tenants.insert(tenant);
                    continue;
                }
            }
            match self.executor.prepare(&self.view, step, now, &mut batch).await? {
                Outcome::Batched | Outcome::Said | Outcome::Overtaken => {}
                Outcome::CannotRender(problem) => {
                    if let Some(known) = self.view.tenants.get_mut(&tenant) {
                        known.render_error = Some(berth_model::condition::clipped(problem));
                    }
                    changes.tenants.insert(tenant);
                }
                Outcome::Call(call) => self.call(*call),
            }
        }
        self.executor.placing.clear();
        let committed = batch.commit(self.store.as_ref(), &self.sessions).await?;
        if let Some(revision) = committed.revision {
            self.follow(revision, &mut changes).await?;
        }
        for id in committed.forgotten {
            self.board.remove(&id);
            self.sessions.forget(&id);
            self.wakes.remove(&id);
            self.unsaved.remove(&id);
        }
        for (id, problem) in committed.impossible {
            if let Some(known) = self.view.tenants.get_mut(&id) {
                known.render_error = Some(berth_model::condition::clipped(problem));
            }
            changes.tenants.insert(id);
        }
        changes.tenants.extend(committed.tenants);
        Ok(changes)
    }

    fn call(&mut self, call: InfraCall) {
        let Some(known) = self.view.tenants.get_mut(&call.tenant.id) else {
            return;
        };
        if known.infra.busy {
            return;
        }
        known.infra.busy = true;
        known.infra.looked_at = Some(self.clock.now());
        let (store, provisioner, bootstrapper) = (
            self.store.clone(),
            self.provisioner.clone(),
            self.bootstrapper.clone(),
        );
        let done = self.done.0.clone();
        tokio::spawn(async move {
            let tenant = call.tenant.id.clone();
            let call =
                std::panic::AssertUnwindSafe(call.run(store, provisioner, bootstrapper)).catch_unwind();
            // Whatever happens to the call, the loop hears of its end.
            let outcome = match tokio::time::timeout(LONGEST_CALL, call).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) | Err(_) => {
                    error!(%tenant, "a call to the cloud or into a cluster broke off");
                    InfraDone::of(tenant)
                }
            };
            // The loop has ended: what was found out is in the store.
            drop(done.send(outcome).await);
        });
    }

    /// One of them is too large to be kept, which must not stop the others.
    async fn save_conditions_singly(&mut self, group: &[TenantId]) -> Result<(), FleetError> {
        for id in group {
            match self
                .store
                .txn(load::conditions(&self.view, std::slice::from_ref(id)))
                .await
            {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error @ StoreError::Invalid { .. }) => {
                    warn!(tenant = %id, %error, "the conditions cannot be kept")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Saves the conditions that changed, for their transition times.
    async fn save_conditions(&mut self) -> Result<(), FleetError> {
        let unsaved: Vec<TenantId> = std::mem::take(&mut self.unsaved).into_iter().collect();
        for group in unsaved.chunks(100) {
            match self.store.txn(load::conditions(&self.view, group)).await {
                Ok(_) => {}
                // One of them is gone: the rest is saved with the next sweep.
                Err(StoreError::Conflict { .. }) => {
                    self.unsaved.extend(
                        group
                            .iter()
                            .filter(|id| self.view.tenants.contains_key(*id))
                            .cloned(),
                    );
                }
                Err(StoreError::Invalid { .. }) => self.save_conditions_singly(group).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

enum Look {
    Everything,
    Again(Changes),
}
