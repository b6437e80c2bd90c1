//! What the loop needs done by somebody who knows Kubernetes.

use async_trait::async_trait;
use berth_model::ClusterName;
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
