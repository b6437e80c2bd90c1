//! The agents of `berth dev`: brought into each cluster by the manifest an admin would apply, and started in this process.

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use berth_fake::{
    Access,
    control_plane::client,
    kubelet::{Exit as Ended, Launch, Launcher, Running},
};
use berth_proto::v1;
use berth_runtime::CancellationToken;
use clap::Parser as _;
use tokio::task::JoinHandle;

use super::failed;
use crate::{
    client::Hub,
    exit::{Exit, Failure},
};

/// Makes a token for a cluster and applies the agent's manifest with it, unless it has joined before.
pub(super) async fn bring_in(hub: &Hub, cluster: &str, region: &str, access: &Access) -> Result<(), Failure> {
    let name = format!("clusters/{cluster}");
    let known = hub.clusters().get_cluster(v1::GetClusterRequest { name }).await;
    if known.is_ok() {
        return Ok(());
    }
    let request = v1::CreateJoinTokenRequest {
        cluster: cluster.to_owned(),
        labels: BTreeMap::from([("purpose".to_owned(), "shared".to_owned())]),
        region: region.to_owned(),
        ..v1::CreateJoinTokenRequest::default()
    };
    let subject = format!("token for cluster {cluster}");
    let made = hub.ask(&subject, hub.tokens().create_join_token(request)).await?;
    let client = client(access)
        .await
        .map_err(|error| failed(&format!("reach cluster {cluster}"), &error))?;
    let mutating = berth_agent::bootstrap::serves_mutating_admission_policy(&client)
        .await
        .map_err(|error| failed(&format!("reach cluster {cluster}"), &error))?;
    let objects = berth_agent::manifest::render(&berth_agent::manifest::ManifestOptions {
        hub_urls: made.hub_urls,
        ca_pin: made.ca_pin,
        token: Some(made.token),
        image: concat!("berth-agent:", env!("CARGO_PKG_VERSION")).to_owned(),
        namespace: berth_model::label::AGENT_NAMESPACE.to_owned(),
        mutating,
        api_url: Some(access.url.clone()),
    });
    berth_agent::bootstrap::apply(&client, &objects)
        .await
        .map_err(|error| failed(&format!("bring the agent into cluster {cluster}"), &error))
}

/// Waits until the hub has heard of every cluster's agent.
pub(super) async fn joined(hub: &Hub, clusters: &[&str], timeout: Duration) -> Result<(), Failure> {
    let mut waiting: Vec<String> = clusters.iter().map(|name| format!("clusters/{name}")).collect();
    let deadline = tokio::time::Instant::now() + timeout;
    // Clusters have no watch: this asks until all are there.
    let mut ask = tokio::time::interval(Duration::from_millis(100));
    while !waiting.is_empty() {
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::new(
                Exit::Timeout,
                format!("no agent has joined from {}", waiting.join(", ")),
            ));
        }
        ask.tick().await;
        for cluster in hub.list_clusters().await? {
            let ready = cluster
                .status
                .iter()
                .flat_map(|status| &status.conditions)
                .any(|c| c.r#type == "Ready" && c.status == "True");
            if ready {
                waiting.retain(|name| *name != cluster.name);
            }
        }
    }
    Ok(())
}

/// Starts agents as tasks of this process.
#[derive(Debug)]
pub(super) struct InProcess;

#[derive(clap::Parser)]
#[command(name = "berth-agent", no_binary_name = true)]
struct Command {
    #[command(flatten)]
    options: berth_agent::Options,
}

#[async_trait]
impl Launcher for InProcess {
    async fn launch(
        &self,
        launch: Launch,
    ) -> Result<Box<dyn Running>, Box<dyn std::error::Error + Send + Sync>> {
        let mut command = Command::try_parse_from(&launch.args)?;
        // What a process would take from its environment.
        command.options.kubeconfig.get_or_insert(launch.kubeconfig);
        command.options.instance = command
            .options
            .instance
            .or_else(|| launch.env.get("POD_NAME").cloned());
        let cancel = CancellationToken::new();
        let task = tokio::spawn(berth_agent::run(command.options, cancel.clone()));
        Ok(Box::new(Task {
            cancel,
            task: Some(task),
        }))
    }
}

struct Task {
    cancel: CancellationToken,
    task: Option<JoinHandle<Result<(), berth_agent::Error>>>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

#[async_trait]
impl Running for Task {
    async fn wait(&mut self) -> Ended {
        let Some(task) = &mut self.task else {
            return Ended("it has ended".into());
        };
        let result = task.await;
        self.task = None;
        Ended(match result {
            Ok(Ok(())) => "it ended".into(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        })
    }

    async fn kill(&mut self) {
        self.cancel.cancel();
        drop(self.wait().await);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
