//! What the loop needs done by others: by somebody who knows Kubernetes, and by somebody who keeps a record.

use std::collections::BTreeMap;

use async_trait::async_trait;
use berth_model::{ClusterName, TenantId};
use berth_provision::ClusterAccess;

/// Brings the agent into a cluster that the hub had made.
#[async_trait]
pub trait Bootstrapper: Send + Sync + 'static {
    /// Applies the agent's manifest with a single-use join token. Repeatable: a cluster whose agent is there already keeps it.
    ///
    /// # Errors
    /// A sentence for the tenant's condition.
    async fn bootstrap(&self, cluster: &ClusterName, access: &ClusterAccess) -> Result<(), String>;
}

/// For hubs that make no clusters.
#[derive(Debug)]
pub struct NoBootstrap;

#[async_trait]
impl Bootstrapper for NoBootstrap {
    async fn bootstrap(&self, cluster: &ClusterName, _: &ClusterAccess) -> Result<(), String> {
        Err(format!("this hub cannot bring an agent into cluster {cluster}"))
    }
}

/// What the loop has decided and is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The step: `SavePlacement`, `Withdraw`...
    pub step: &'static str,
    /// Of which tenant.
    pub tenant: TenantId,
    /// On which cluster, where it is about one.
    pub cluster: Option<ClusterName>,
    /// Why.
    pub reason: String,
    /// SHA-256 of what the planner saw.
    pub inputs: String,
    /// More, by name.
    pub detail: BTreeMap<&'static str, String>,
}

/// Keeps a record of decisions.
#[async_trait]
pub trait Recorder: Send + Sync + 'static {
    /// Whether anybody wants to know: what a decision stands on is not summed up for nobody.
    fn listens(&self) -> bool;

    /// Returns when the decisions are recorded for good. Until then none of them is carried out.
    ///
    /// # Errors
    /// What stands in the way; the decisions are made again later.
    async fn record(&self, decisions: Vec<Decision>) -> Result<(), String>;
}

/// Keeps nothing.
#[derive(Debug)]
pub struct NoRecorder;

#[async_trait]
impl Recorder for NoRecorder {
    fn listens(&self) -> bool {
        false
    }

    async fn record(&self, _: Vec<Decision>) -> Result<(), String> {
        Ok(())
    }
}
