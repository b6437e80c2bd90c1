//! Keeping what was proven of tenants' walls.

use berth_model::TenantId;
use berth_store::{StoreError, Txn};
use tracing::warn;

use super::{Fleet, FleetError};
use crate::{evidence, keys};

/// What was proven of tenants that is kept in one sweep.
const MOST_PROOFS: usize = 200;

impl Fleet {
    /// Keeps what was proven of tenants' walls, some at a time; the rest waits for the next sweep.
    pub(super) async fn save_proofs(&mut self) -> Result<(), FleetError> {
        if self.silent() {
            return Ok(());
        }
        for _ in 0..MOST_PROOFS {
            let Some(tenant) = self.unsaved_proofs.first().cloned() else {
                break;
            };
            self.save_proof(&tenant).await?;
            // Only now: what the store could not take is tried again.
            self.unsaved_proofs.remove(&tenant);
        }
        Ok(())
    }

    async fn save_proof(&mut self, tenant: &TenantId) -> Result<(), FleetError> {
        let known = self.view.tenants.get(tenant);
        let Some((known, assigned)) = known.and_then(|known| Some((known, known.assigned.as_ref()?))) else {
            return Ok(());
        };
        // Only the tenant's own cluster speaks for it, and only of what is assigned there now.
        let cluster = assigned.cluster.clone();
        let Some((proven, at)) = self.sessions.unkept(&cluster, tenant) else {
            return Ok(());
        };
        let uid = known.tenant.uid.clone();
        if proven.evidence.uid == uid && proven.evidence.generation == assigned.generation {
            let key = keys::evidence(tenant);
            let entry = self.store.get(&key).await?;
            let kept = entry.and_then(|entry| evidence::kept(tenant, &entry.value));
            let kept = kept.filter(|kept| kept.evidence.uid == uid);
            if evidence::worth_keeping(&proven, at, kept.as_ref()) {
                let value = berth_wire::record::encode_evidence(&evidence::to_record(&proven, at));
                let txn = Txn::new().if_exists(keys::tenant(tenant)).put(key, value);
                match self.store.txn(txn).await {
                    // The tenant is gone.
                    Ok(_) | Err(StoreError::Conflict { .. }) => {}
                    Err(error @ StoreError::Invalid { .. }) => {
                        warn!(%tenant, %error, "the evidence cannot be kept");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.sessions.kept(&cluster, tenant, &proven);
        Ok(())
    }
}
