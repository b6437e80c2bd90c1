//! Bringing an agent into a shared cluster as its administrator would: the manifest by server-side apply, then a token.
//!
//! The manifest's Deployment is left out where the test starts the agent itself, to have a process to kill. That agent still
//! runs with the rights of the manifest's service account and no others.

use anyhow::Context as _;
use berth_agent::manifest::{ManifestOptions, render};
use berth_fake::Access;
use berth_model::label::AGENT_NAMESPACE;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use crate::agent::AgentOptions;
use crate::kubernetes::account_kubeconfig;

/// The agent's manifest without what starts it.
#[must_use]
pub fn rights() -> Vec<Value> {
    let options = ManifestOptions {
        hub_urls: Vec::new(),
        ca_pin: String::new(),
        token: None,
        image: String::new(),
        namespace: AGENT_NAMESPACE.to_owned(),
        mutating: true,
        api_url: None,
    };
    let mut objects = render(&options);
    objects.retain(|object| object["kind"] != "Deployment");
    objects
}

/// Applies objects of any kind.
///
/// # Errors
/// The API refuses one.
pub async fn apply(client: &Client, objects: &[Value]) -> anyhow::Result<()> {
    let discovery = Discovery::new(client.clone())
        .run()
        .await
        .context("discover the API")?;
    for object in objects {
        let object: DynamicObject = serde_json::from_value(object.clone()).context("read an object")?;
        let types = object.types.clone().context("an object without a kind")?;
        let kind = GroupVersionKind::try_from(&types)?;
        let (resource, capabilities) = discovery
            .resolve_gvk(&kind)
            .with_context(|| format!("the API has no {kind:?}"))?;
        let api: Api<DynamicObject> = match (capabilities.scope, object.namespace()) {
            (Scope::Namespaced, Some(namespace)) => {
                Api::namespaced_with(client.clone(), &namespace, &resource)
            }
            _ => Api::all_with(client.clone(), &resource),
        };
        let name = object.name_any();
        let manager = PatchParams::apply("administrator").force();
        api.patch(&name, &manager, &Patch::Apply(&object))
            .await
            .with_context(|| format!("apply {} {name}", types.kind))?;
    }
    Ok(())
}

/// Gives the agent its rights in a cluster, and returns how to start it there.
///
/// # Errors
/// The cluster refuses.
pub async fn prepare(
    client: &Client,
    access: &Access,
    hub: &str,
    token: &berth_proto::v1::CreateJoinTokenResponse,
) -> anyhow::Result<AgentOptions> {
    apply(client, &rights()).await?;
    Ok(AgentOptions {
        hub: hub.to_owned(),
        ca_pin: Some(token.ca_pin.clone()),
        token: Some(token.token.clone()),
        kubeconfig: account_kubeconfig(client, access, AGENT_NAMESPACE, "berth-agent").await?,
        withdraw_limit: 10_000,
    })
}
