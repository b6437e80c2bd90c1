//! Several steps in one write: each with its own conditions, its own writes, and what is said to agents when they are durable.

use berth_model::{ClusterName, Revision, TenantId};
use berth_store::{Store, StoreError, Txn};
use tracing::{debug, warn};

use crate::{outbox::Command, sessions::Sessions};

/// Writes of one transaction, under the store's own limit.
const MOST_WRITES: usize = 100;

/// One step, ready to be written.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) tenant: TenantId,
    pub(crate) txn: Txn,
    pub(crate) tell: Option<(ClusterName, Command)>,
    pub(crate) forget: bool,
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
}

impl Batch {
    pub(crate) fn push(&mut self, step: Prepared) {
        self.steps.push(step);
    }

    /// Writes the steps, many in one transaction; where a condition of one does not hold, each by itself.
    /// What is told to agents is told after its write is durable.
    pub(crate) async fn commit(self, store: &dyn Store, sessions: &Sessions) -> Result<Committed, StoreError> {
        let mut done = Committed::default();
        let mut group: Vec<Prepared> = Vec::new();
        let mut writes = 0;
        for step in self.steps {
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
                settle(step, revision, sessions, done);
            }
            Ok(())
        }
        Err(StoreError::Conflict { .. } | StoreError::Invalid { .. }) if group.len() > 1 => {
            for mut step in group {
                match store.txn(std::mem::take(&mut step.txn)).await {
                    Ok(revision) => settle(step, revision, sessions, done),
                    Err(StoreError::Conflict { key, .. }) => passed_over(&step.tenant, key.as_str()),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
        Err(StoreError::Conflict { key, .. }) => {
            for step in &group {
                passed_over(&step.tenant, key.as_str());
            }
            Ok(())
        }
        Err(error @ StoreError::Invalid { .. }) => {
            // Too large for the store by itself: it would be refused for ever, and must not stop the others.
            for step in &group {
                warn!(tenant = %step.tenant, %error, "a step cannot be written");
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Somebody was first; their write is in the watch and brings the tenant back here.
fn passed_over(tenant: &TenantId, key: &str) {
    debug!(%tenant, %key, "a step was overtaken and is decided again");
}

fn settle(step: Prepared, revision: Revision, sessions: &Sessions, done: &mut Committed) {
    done.revision = done.revision.max(Some(revision));
    if let Some((cluster, command)) = step.tell
        && let Some(outbox) = sessions.outbox(&cluster)
    {
        outbox.tell(command);
    }
    if step.forget {
        done.forgotten.push(step.tenant.clone());
    }
    done.tenants.push(step.tenant);
}
