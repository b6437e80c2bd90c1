//! Brings the agent into a cluster that the hub had made: the manifest of `deploy/agent` with a single-use join token.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use berth_apply::{bootstrap, manifest::ManifestOptions};
use berth_control::{Registry, RegistryError, registry::TokenSpec, seams::Bootstrapper};
use berth_identity::Authority;
use berth_model::{ClusterName, label};
use berth_provision::ClusterAccess;
use tracing::debug;

/// How long the token in the manifest works: a node has to come up and pull an image first.
const TOKEN_TTL: Duration = Duration::from_secs(3600);

/// The hub's bootstrapper.
pub struct AgentBootstrap {
    /// Makes join tokens.
    pub registry: Registry,
    /// Whose pin the agent checks.
    pub authority: Arc<Authority>,
    /// Where agents dial.
    pub hub_urls: Vec<String>,
    /// What they run.
    pub image: String,
}

#[async_trait]
impl Bootstrapper for AgentBootstrap {
    async fn bootstrap(&self, cluster: &ClusterName, access: &ClusterAccess) -> Result<(), String> {
        let client = bootstrap::client(&access.endpoint, &access.ca_pem, access.bearer_token.reveal())
            .await
            .map_err(|error| format!("cannot use the address of cluster {cluster}: {error}"))?;
        let mutating = bootstrap::serves_mutating_admission_policy(&client)
            .await
            .map_err(|error| format!("the API of cluster {cluster} does not answer: {error}"))?;
        let pins = self.authority.pins();
        let spec = TokenSpec {
            ca_pins: pins.iter().map(ToString::to_string).collect(),
            ..TokenSpec::new(cluster.clone(), TOKEN_TTL)
        };
        let made = match self.registry.create_token(spec).await {
            Ok(made) => made,
            // Its agent was faster than whoever wrote down that the manifest was applied.
            Err(RegistryError::Precondition {
                reason: "CLUSTER_JOINED",
                ..
            }) => return Ok(()),
            Err(error) => return Err(format!("no join token for cluster {cluster}: {error}")),
        };
        let objects = berth_apply::manifest::render(&ManifestOptions {
            hub_urls: self.hub_urls.clone(),
            ca_pin: pins.to_string(),
            token: Some(made.token.expose().to_string()),
            image: self.image.clone(),
            namespace: label::AGENT_NAMESPACE.to_owned(),
            mutating,
            api_url: Some(access.endpoint.clone()),
        });
        debug!(%cluster, objects = objects.len(), "applying the agent's manifest");
        bootstrap::apply(&client, &objects)
            .await
            .map_err(|error| format!("the agent's manifest was not taken by cluster {cluster}: {error}"))
    }
}
