//! What the loop hears: changes of the store, what agents said, calls that ended. It only updates the view and notes who is concerned.

use std::collections::BTreeSet;

use berth_model::{ClusterName, Revision, StorePoint, TenantId};
use berth_plan::Changes;
use berth_store::{StoreError, Txn};
use berth_wire::record::{self, RestoreRecord};
use futures::{FutureExt as _, StreamExt as _};
use tracing::{error, info, warn};

use super::{Fleet, FleetError, Mode};
use crate::{event, execute::InfraDone, keys, load, outbox::Command, sessions::Fence};

/// Changes of the store taken before the loop plans.
const MOST_CHANGES: usize = 2_000;
/// Milliseconds by which clocks may go apart between two looks without anybody having set one.
const CLOCK_SET: u64 = 500;

impl Fleet {
    /// Takes everything that has already happened.
    pub(super) async fn drain(&mut self, changes: &mut Changes) -> Result<(), FleetError> {
        for _ in 0..MOST_CHANGES {
            let Some(change) = self.watch.next().now_or_never() else {
                break;
            };
            self.take(change, changes).await?;
        }
        while let Ok(done) = self.done.1.try_recv() {
            self.call_ended(done, changes).await?;
        }
        let heard = self.hear_all(changes);
        self.unsaved_facts.extend(heard);
        self.save_facts().await
    }

    /// Takes what agents have said; the clusters whose facts may have changed.
    pub(super) fn hear_all(&mut self, changes: &mut Changes) -> BTreeSet<ClusterName> {
        let said = self.sessions.take_changes();
        for cluster in said.clusters.iter().chain(&said.opened) {
            if let Some(known) = self.view.clusters.get_mut(cluster) {
                event::refresh(known, &self.sessions);
            }
        }
        self.heed();
        for cluster in &said.opened {
            self.greet(cluster);
        }
        for tenant in &said.tenants {
            self.hear(tenant);
        }
        changes.clusters.extend(said.clusters.iter().cloned());
        changes.clusters.extend(said.opened);
        changes.tenants.extend(said.tenants);
        self.unsaved_proofs.extend(said.proven);
        said.clusters
    }

    /// An agent knows a higher term from another hub, which acts; or what this hub's store has forgotten: this one stops.
    fn heed(&mut self) {
        self.sessions.came_to(StorePoint {
            revision: self.watched,
            writes: self.store.writes().unwrap_or_default(),
            ..self.from
        });
        if matches!(self.fence, Some(Fence::SetBack { .. })) {
            // What it has forgotten does not come back; only an operator can decide to go on without it.
            return;
        }
        let fence = self.sessions.fence();
        if fence != self.fence {
            if let Some(fence) = fence.as_ref().filter(|_| self.fence.is_none()) {
                error!(term = %self.view.term, "{fence}; this hub stops commanding: see berth fleet status");
            }
            self.fence.clone_from(&fence);
            self.standing.send_modify(|standing| standing.fence = fence);
        }
    }

    /// Leaves a mark in a store that was set back, as a restore does: the next process only observes from its start, also when it has
    /// written more by then than it had lost.
    pub(super) async fn mark_set_back(&mut self) -> Result<(), FleetError> {
        let Some(fence @ Fence::SetBack { ours, .. }) = self.fence.as_ref().filter(|_| !self.marked) else {
            return Ok(());
        };
        let now = self.clock.now();
        let record = RestoreRecord {
            source: fence.to_string(),
            restored_at: now,
            revision: ours.revision,
            snapshot_at: now,
            unfinished: false,
        };
        let key = keys::restore();
        let txn = Txn::new()
            .if_absent(key.clone())
            .put(key, record::encode_restore(&record));
        match self.store.txn(txn).await {
            // There is one already.
            Ok(_) | Err(StoreError::Conflict { .. }) => self.marked = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    pub(super) async fn take(
        &mut self,
        change: Option<Result<berth_store::Change, StoreError>>,
        changes: &mut Changes,
    ) -> Result<(), FleetError> {
        match change {
            Some(Ok(change)) => {
                self.watched = self.watched.max(change.revision);
                let key = change.key.as_str();
                if key == keys::FLEET {
                    self.same_term(change.put.as_deref())?;
                }
                let taken = event::try_take(
                    &mut self.view,
                    &self.sessions,
                    changes,
                    key,
                    change.put.as_deref(),
                    change.revision,
                );
                self.readable(key, taken);
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

    /// Whether the fleet's record still names the term this loop acts in.
    fn same_term(&self, record: Option<&[u8]>) -> Result<(), FleetError> {
        match record.map(load::fleet_record) {
            Some(Ok(record)) if record.term != self.view.term => {
                Err(FleetError::OtherTerm { now: record.term })
            }
            Some(Err(problem)) => Err(FleetError::record(keys::FLEET)(problem)),
            _ => Ok(()),
        }
    }

    /// Notes whether a record that has changed can be read. One that cannot leaves the view as it was, which is how things are: only this
    /// loop acts on them.
    fn readable(&self, key: &str, taken: Result<(), load::RecordProblem>) {
        let problem = taken.err().map(|problem| problem.to_string());
        if let Some(problem) = &problem {
            error!(%key, error = problem, "a record was overwritten with something that cannot be read; what was known of it stays, but no hub can start with it");
        }
        self.standing.send_if_modified(|standing| match problem {
            Some(problem) => standing.unreadable.insert(key.to_owned(), problem).is_none(),
            None => standing.unreadable.remove(key).is_some(),
        });
    }

    pub(super) async fn reload(&mut self, changes: &mut Changes) -> Result<(), FleetError> {
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
        // Everything could be read.
        self.standing
            .send_if_modified(|standing| !std::mem::take(&mut standing.unreadable).is_empty());
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
    pub(super) async fn follow(
        &mut self,
        revision: Revision,
        changes: &mut Changes,
    ) -> Result<(), FleetError> {
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
    pub(super) fn hear(&mut self, tenant: &TenantId) {
        let Some(known) = self.view.tenants.get_mut(tenant) else {
            return;
        };
        let Some(cluster) = known.assigned.as_ref().map(|assigned| assigned.cluster.clone()) else {
            return;
        };
        known.report = self.sessions.evidence(&cluster, tenant);
        event::hear_of_walls(known, &self.sessions);
        if let Some(known) = self.view.clusters.get_mut(&cluster) {
            event::refresh(known, &self.sessions);
        }
    }

    /// Tells a new session everything it is to hold.
    pub(super) fn greet(&self, cluster: &ClusterName) {
        let (Some(outbox), Some(session)) = (self.sessions.outbox(cluster), self.sessions.view(cluster))
        else {
            return;
        };
        if self.silent() {
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
            let command =
                match self
                    .executor
                    .command(id, &known.tenant.uid, assigned, self.view.confirmed(known))
                {
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

    pub(super) async fn call_ended(
        &mut self,
        done: InfraDone,
        changes: &mut Changes,
    ) -> Result<(), FleetError> {
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

    /// Notes the clusters whose evidence has become too old, or fresh again.
    pub(super) fn sweep(&mut self, changes: &mut Changes) {
        let now = self.clock.now();
        let lifetime = self.view.settings.evidence_lifetime;
        if self.clock_was_set() {
            // What was dated by it is dated anew.
            let everybody: Vec<TenantId> = self.view.tenants.keys().cloned().collect();
            for tenant in &everybody {
                self.hear(tenant);
            }
            changes.tenants.extend(everybody);
        }
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

    /// Whether the wall clock went another way than the monotonic one since this was last asked.
    fn clock_was_set(&mut self) -> bool {
        let passed = i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX);
        let began = self.clock.now().as_millisecond().saturating_sub(passed);
        self.began
            .replace(began)
            .is_some_and(|before| before.abs_diff(began) > CLOCK_SET)
    }

    /// Keeps what a cluster reported, so that a restarted hub can place at once.
    async fn save_facts(&mut self) -> Result<(), FleetError> {
        if self.mode == Mode::Observe {
            return Ok(());
        }
        while let Some(name) = self.unsaved_facts.first().cloned() {
            let name = &name;
            let Some(facts) = self.sessions.last_facts(name) else {
                self.unsaved_facts.remove(name);
                continue;
            };
            let txn = match load::with_facts(self.store.as_ref(), name, &facts).await {
                Err(FleetError::Record { key, problem }) => {
                    error!(%key, error = %problem, "a record cannot be read");
                    self.unsaved_facts.remove(name);
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
            // Only now: what the store could not take is tried again.
            self.unsaved_facts.remove(name);
        }
        Ok(())
    }
}
