//! What agents have proven of their tenants' walls: the findings, and what was signed until it is kept.

use std::{sync::Arc, time::Duration};

use berth_model::{ClusterName, Evidence, TenantId, Timestamp};
use berth_plan::view::Probed;

use super::{MOST_REPORTS, Moment, SessionId, Sessions};
use crate::evidence::{self, Proven};

/// What was proven last of one tenant.
#[derive(Debug)]
pub(super) struct Proof {
    /// With the hub's time of the pass left open.
    probed: Probed,
    at: Moment,
    /// Until it is kept, or known not to be worth it.
    proven: Option<Arc<Proven>>,
}

impl Sessions {
    /// An agent has proven something of a tenant, in a pass that began `age` ago. What is older than what is known is passed over.
    pub fn prove(&self, cluster: &ClusterName, id: SessionId, proven: Proven, age: Duration) {
        let at = Moment::ago(self.clock.as_ref(), age);
        self.with_live(cluster, id, |state, cluster| {
            let Some(known) = state.clusters.get_mut(cluster) else {
                return false;
            };
            let Evidence { tenant, uid, .. } = &proven.evidence;
            let older = known.proofs.get(tenant).is_some_and(|before| {
                before.probed.uid == *uid
                    && (proven.evidence.generation, at) < (before.probed.generation, before.at)
            });
            let room = known.proofs.len() < MOST_REPORTS || known.proofs.contains_key(tenant);
            if older || !room {
                return false;
            }
            let tenant = tenant.clone();
            let proof = Proof {
                probed: evidence::probed(&proven.evidence, Timestamp::UNIX_EPOCH),
                at,
                proven: Some(Arc::new(proven)),
            };
            known.proofs.insert(tenant.clone(), proof);
            state.changes.tenants.insert(tenant.clone());
            state.changes.proven.insert(tenant);
            true
        });
    }

    /// What the agent of `cluster` last proved of `tenant`.
    #[must_use]
    pub fn probed(&self, cluster: &ClusterName, tenant: &TenantId) -> Option<Probed> {
        let state = self.state();
        let proof = state.clusters.get(cluster)?.proofs.get(tenant)?;
        Some(Probed {
            at: proof.at.at(self.clock.as_ref()),
            ..proof.probed.clone()
        })
    }

    /// What it signed, while that is not kept yet; and when the pass began.
    #[must_use]
    pub fn unkept(&self, cluster: &ClusterName, tenant: &TenantId) -> Option<(Arc<Proven>, Timestamp)> {
        let state = self.state();
        let proof = state.clusters.get(cluster)?.proofs.get(tenant)?;
        Some((proof.proven.clone()?, proof.at.at(self.clock.as_ref())))
    }

    /// What was signed is kept, or not worth it.
    pub(crate) fn kept(&self, cluster: &ClusterName, tenant: &TenantId, proven: &Arc<Proven>) {
        let mut state = self.state();
        let proof = state
            .clusters
            .get_mut(cluster)
            .and_then(|known| known.proofs.get_mut(tenant));
        if let Some(proof) = proof
            && proof
                .proven
                .as_ref()
                .is_some_and(|held| Arc::ptr_eq(held, proven))
        {
            proof.proven = None;
        }
    }
}
