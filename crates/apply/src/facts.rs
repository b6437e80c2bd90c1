//! What the cluster is: read when asked, with its nodes watched so that it is known when to ask.

mod network;
mod node;

use std::{collections::BTreeSet, sync::Arc};

use berth_model::{ClusterFacts, NetworkPolicyEnforcement};
use berth_runtime::{bell::Listener, clock::Clock};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    error::ApplyError,
    request::{Caller, Meta, RequestError},
    watch::{Target, run},
};
use node::{Nodes, Wire};

/// The nodes as watched.
#[derive(Clone)]
pub(crate) struct Facts {
    nodes: Arc<Nodes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    metadata: Rest,
    #[serde(default, deserialize_with = "crate::request::or_empty")]
    items: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rest {
    #[serde(default)]
    remaining_item_count: Option<u64>,
    #[serde(rename = "continue", default)]
    more: String,
}

impl Facts {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Arc::new(Nodes::new()),
        }
    }

    /// Watches the nodes until dropped.
    pub(crate) async fn watch(&self, caller: &Caller, clock: &Arc<dyn Clock>, epoch: Listener) {
        run(
            NodeTarget(self.nodes.clone()),
            caller.clone(),
            clock.clone(),
            epoch,
        )
        .await;
    }

    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.nodes.changed()
    }

    /// Whether containers really run here.
    pub(crate) fn containers_run(&self) -> bool {
        self.nodes.run_containers()
    }

    /// Everything, as of now.
    pub(crate) async fn read(&self, caller: &Caller) -> Result<ClusterFacts, ApplyError> {
        let looks = async {
            futures::try_join!(
                caller.read::<Meta>("/api/v1/namespaces/kube-system".to_owned()),
                caller.read::<Version>("/version".to_owned()),
                count_namespaces(caller),
                served(caller, "admissionregistration.k8s.io/v1"),
                served(caller, "security.istio.io/v1"),
                network(caller),
            )
        };
        let (looked, looks) = tokio::join!(self.nodes.looked(), looks);
        let (system, version, namespaces, admission, istio, network_policy) =
            looks.map_err(|source| failed("look at", source))?;
        if !looked {
            return Err(failed(
                "look at nodes of",
                RequestError::Unreachable("the engine ended".to_owned()),
            ));
        }
        let mut facts = self.nodes.facts();
        facts.kubernetes_uid = system.metadata.uid;
        facts.kubernetes_version = version.git_version;
        facts.namespaces = namespaces;
        facts.mutating_admission_policy = admission.contains("mutatingadmissionpolicies");
        facts.validating_admission_policy = admission.contains("validatingadmissionpolicies");
        facts.istio = istio.contains("authorizationpolicies");
        facts.network_policy = network_policy;
        Ok(facts)
    }
}

fn failed(operation: &'static str, source: RequestError) -> ApplyError {
    ApplyError::Api {
        operation,
        object: "the cluster".to_owned(),
        source: Box::new(source),
    }
}

async fn count_namespaces(caller: &Caller) -> Result<u32, RequestError> {
    let page: Counted = caller.page("/api/v1/namespaces?limit=1".to_owned(), true).await?;
    let first = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
    if !page.metadata.more.is_empty() && page.metadata.remaining_item_count.is_none() {
        let all: Counted = caller.page("/api/v1/namespaces".to_owned(), true).await?;
        return Ok(u32::try_from(all.items.len()).unwrap_or(u32::MAX));
    }
    Ok(
        u32::try_from(first.saturating_add(page.metadata.remaining_item_count.unwrap_or(0)))
            .unwrap_or(u32::MAX),
    )
}

/// Plural names of what a group serves in a version; none where it is not there at all.
async fn served(caller: &Caller, group_version: &str) -> Result<BTreeSet<String>, RequestError> {
    let served: Value = match caller.read(format!("/apis/{group_version}")).await {
        Ok(served) => served,
        Err(error) if error.is_not_found() => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let resources = served.get("resources").and_then(Value::as_array);
    Ok(resources
        .into_iter()
        .flatten()
        .filter_map(|resource| Some(resource.get("name")?.as_str()?.to_owned()))
        .collect())
}

/// Plug-ins run as DaemonSets; which one runs, and how it is set, says whether network policies do anything.
async fn network(caller: &Caller) -> Result<NetworkPolicyEnforcement, RequestError> {
    let found = caller
        .read::<network::DaemonSets>("/apis/apps/v1/daemonsets?limit=500".to_owned())
        .await;
    match found {
        Ok(found) => Ok(network::enforcement(&found)),
        // Without the right to look nobody knows.
        Err(error) if error.is_forbidden() || error.is_not_found() => Ok(NetworkPolicyEnforcement::Unknown),
        Err(error) => Err(error),
    }
}

struct NodeTarget(Arc<Nodes>);

impl Target for NodeTarget {
    type Item = Wire;
    type Key = String;

    fn collection(&self) -> String {
        "/api/v1/nodes".to_owned()
    }

    fn query(&self) -> String {
        String::new()
    }

    fn metadata_only(&self) -> bool {
        false
    }

    fn version(item: &Wire) -> u64 {
        item.metadata.version()
    }

    fn there(&self, item: &Wire) -> Option<String> {
        self.0.put(item);
        Some(item.metadata.name.clone())
    }

    fn ended(&self, item: &Wire) {
        self.0.remove(&item.metadata.name);
    }

    fn advanced(&self, _version: u64) {}

    fn looked(&self, _version: u64, present: BTreeSet<String>) {
        self.0.keep_only(&present);
    }

    fn name(&self) -> &'static str {
        "Node"
    }
}
