//! Several steps in one write: each with its own conditions, its own writes, and what is said to agents when they are durable.

use std::collections::BTreeSet;

use berth_model::{ClusterName, Revision, TenantId};
use berth_store::{Key, Store, StoreError, Txn};
use bytes::Bytes;
use tracing::{debug, warn};

use crate::{outbox::Command, sessions::Sessions};

/// Writes of one transaction, under the store's own limit.
const MOST_WRITES: usize = 100;
/// Parts of content in one transaction.
const PARTS_AT_ONCE: usize = 32;

/// One step, ready to be written.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) tenant: TenantId,
    pub(crate) txn: Txn,
    pub(crate) tell: Vec<(ClusterName, Command)>,
    /// The cluster whose breaker's record it writes, and the other tenants who share that write.
    pub(crate) counted: Option<(ClusterName, Vec<TenantId>)>,
    pub(crate) forget: bool,
    /// Written before, in as many transactions as it needs: content under its own digest, so that a crash in between does no harm.
    pub(crate) before: Vec<(Key, Bytes)>,
    /// Taken away with the step, or when it is durable if that is too much for one transaction; what a crash leaves behind then is
    /// never looked at again.
    pub(crate) after: Vec<Key>,
}

impl Prepared {
    /// A step that is one transaction and tells nobody.
    pub(crate) const fn new(tenant: TenantId, txn: Txn) -> Self {
        Self {
            tenant,
            txn,
            tell: Vec::new(),
            counted: None,
            forget: false,
            before: Vec::new(),
            after: Vec::new(),
        }
    }
}

/// Steps of one plan that are written together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    steps: Vec<Prepared>,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// Up to where the watch has to be followed before the view holds it.
    pub(crate) revision: Option<Revision>,
    /// Whose steps were written.
    pub(crate) tenants: Vec<TenantId>,
    /// Tenants that are no more.
    pub(crate) forgotten: Vec<TenantId>,
    /// Tenants whose step was passed over because of somebody else's write, which need not bring them back by itself.
    pub(crate) overtaken: Vec<TenantId>,
    /// Steps the store can never take, and why.
    pub(crate) impossible: Vec<(TenantId, String)>,
    /// Tenants of which a step was not written: what the plan has for them after it stands on it, and is not written either.
    pub(crate) broken_off: BTreeSet<TenantId>,
}

impl Batch {
    pub(crate) fn push(&mut self, step: Prepared) {
        self.steps.push(step);
    }

    /// Whose steps are in it.
    pub(crate) fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.steps.iter().flat_map(|step| {
            let others = step.counted.iter().flat_map(|(_, others)| others);
            std::iter::once(&step.tenant).chain(others)
        })
    }

    /// How many tenants share one write of that cluster's breaker already.
    pub(crate) fn counted(&self, cluster: &ClusterName) -> usize {
        let joint = self.steps.iter().filter_map(|step| step.counted.as_ref());
        joint
            .filter(|(of, _)| of == cluster)
            .map(|(_, others)| others.len() + 1)
            .sum()
    }

    /// Joins a step that writes a cluster's breaker to the one that is there: one record is written once in a transaction, and
    /// whoever is counted is counted with what it is counted for. `record` is the breaker's with everything counted so far.
    pub(crate) fn push_counted(
        &mut self,
        cluster: ClusterName,
        mut step: Prepared,
        record: (Key, Bytes),
        version: Revision,
    ) {
        let of_cluster = |there: &&mut Prepared| there.counted.as_ref().is_some_and(|(of, _)| *of == cluster);
        if let Some(there) = self.steps.iter_mut().find(of_cluster) {
            there.txn.puts.retain(|(key, _)| *key != record.0);
            there.txn.compares.append(&mut step.txn.compares);
            there.txn.puts.append(&mut step.txn.puts);
            there.txn.puts.push(record);
            there.tell.append(&mut step.tell);
            if let Some((_, others)) = &mut there.counted {
                others.push(step.tenant);
            }
            return;
        }
        step.txn = if version == Revision(0) {
            step.txn.if_absent(record.0.clone())
        } else {
            step.txn.if_revision(record.0.clone(), version)
        };
        step.txn.puts.push(record);
        step.counted = Some((cluster, Vec::new()));
        self.steps.push(step);
    }

    /// Writes the steps, many in one transaction; where a condition of one does not hold, each by itself.
    /// What is told to agents is told after its write is durable.
    pub(crate) async fn commit(
        self,
        store: &dyn Store,
        sessions: &Sessions,
    ) -> Result<Committed, StoreError> {
        let mut done = Committed::default();
        let mut group: Vec<Prepared> = Vec::new();
        let mut writes = 0;
        for mut step in self.steps {
            if done.broken_off.contains(&step.tenant) {
                continue;
            }
            for part in std::mem::take(&mut step.before).chunks(PARTS_AT_ONCE) {
                let txn = Txn {
                    puts: part.to_vec(),
                    ..Txn::new()
                };
                store.txn(txn).await?;
            }
            if step.txn.puts.len() + step.txn.deletes.len() + step.after.len() <= MOST_WRITES {
                step.txn.deletes.append(&mut step.after);
            }
            let size = (step.txn.puts.len() + step.txn.deletes.len()).max(step.txn.compares.len());
            if writes + size > MOST_WRITES && !group.is_empty() {
                commit_group(std::mem::take(&mut group), store, sessions, &mut done).await?;
                writes = 0;
            }
            writes += size;
            group.push(step);
        }
        if !group.is_empty() {
            commit_group(group, store, sessions, &mut done).await?;
        }
        Ok(done)
    }
}

async fn commit_group(
    group: Vec<Prepared>,
    store: &dyn Store,
    sessions: &Sessions,
    done: &mut Committed,
) -> Result<(), StoreError> {
    let mut joint = Txn::new();
    for step in &group {
        joint.compares.extend(step.txn.compares.iter().cloned());
        joint.puts.extend(step.txn.puts.iter().cloned());
        joint.deletes.extend(step.txn.deletes.iter().cloned());
    }
    match store.txn(joint).await {
        Ok(revision) => {
            for step in group {
                settle(step, revision, store, sessions, done).await?;
            }
            Ok(())
        }
        Err(StoreError::Conflict { .. } | StoreError::Invalid { .. }) if group.len() > 1 => {
            for mut step in group {
                if done.broken_off.contains(&step.tenant) {
                    continue;
                }
                match store.txn(std::mem::take(&mut step.txn)).await {
                    Ok(revision) => settle(step, revision, store, sessions, done).await?,
                    Err(StoreError::Conflict { key, .. }) => passed_over(&step, key.as_str(), done),
                    Err(StoreError::Invalid { problem }) => impossible(step.tenant, problem, done),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
        Err(StoreError::Conflict { key, .. }) => {
            for step in &group {
                passed_over(step, key.as_str(), done);
            }
            Ok(())
        }
        Err(StoreError::Invalid { problem }) => {
            for step in group {
                impossible(step.tenant, problem.clone(), done);
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Somebody was first; their write is in the watch and brings the tenant back here.
fn passed_over(step: &Prepared, key: &str, done: &mut Committed) {
    debug!(tenant = %step.tenant, %key, "a step was overtaken and is decided again");
    done.broken_off.insert(step.tenant.clone());
    if let Some((_, others)) = &step.counted {
        // Only the one whose key it was comes back by itself.
        done.overtaken.push(step.tenant.clone());
        done.overtaken.extend(others.iter().cloned());
    }
}

/// Refused for ever; it must not stop the others, and the tenant says why.
fn impossible(tenant: TenantId, problem: String, done: &mut Committed) {
    warn!(%tenant, %problem, "a step cannot be written");
    done.broken_off.insert(tenant.clone());
    done.impossible.push((tenant, problem));
}

async fn settle(
    step: Prepared,
    revision: Revision,
    store: &dyn Store,
    sessions: &Sessions,
    done: &mut Committed,
) -> Result<(), StoreError> {
    done.revision = done.revision.max(Some(revision));
    for (cluster, command) in step.tell {
        if let Some(outbox) = sessions.outbox(&cluster) {
            outbox.tell(command);
        }
    }
    if step.forget {
        done.forgotten.push(step.tenant.clone());
    }
    done.tenants.push(step.tenant);
    done.tenants
        .extend(step.counted.into_iter().flat_map(|(_, others)| others));
    for keys in step.after.chunks(MOST_WRITES) {
        store
            .txn(Txn {
                deletes: keys.to_vec(),
                ..Txn::new()
            })
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_runtime::ManualClock;
    use berth_store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn what_stands_on_a_step_that_was_overtaken_is_not_written_either() {
        let store = MemoryStore::new();
        let key = |text: &str| Key::new(text).unwrap();
        store
            .txn(Txn::new().put(key("clusters/a"), "cordoned"))
            .await
            .unwrap();
        let step = |tenant: &str, txn| Prepared::new(TenantId::new(tenant).unwrap(), txn);
        let mut batch = Batch::default();
        // Its cluster was cordoned since it was looked at.
        let placing = Txn::new()
            .if_absent(key("clusters/a"))
            .put(key("placements/ada"), "a");
        batch.push(step("ada", placing));
        batch.push(step("ada", Txn::new().put(key("assignments/ada"), "a")));
        batch.push(step("bel", Txn::new().put(key("assignments/bel"), "b")));
        let sessions = Sessions::new(Arc::new(ManualClock::default()));
        let done = batch.commit(&store, &sessions).await.unwrap();
        assert_eq!(done.tenants, [TenantId::new("bel").unwrap()]);
        assert_eq!(store.get(&key("assignments/ada")).await.unwrap(), None);
        assert!(store.get(&key("assignments/bel")).await.unwrap().is_some());
    }
}
