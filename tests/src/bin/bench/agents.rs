//! A hub with many connected agents, each with an embedded cluster of its own, all of them in this process: from the hub's answer
//! to the namespace in the one cluster that a tenant must be on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_fake::embedded::{EmbeddedCluster, Options as ClusterOptions};
use berth_proto::v1::CreateJoinTokenRequest;
use berth_tests::hub::Hub;
use berth_tests::programs::Programs;
use berth_tests::waiting::{LONG, Watch, until};
use clap::Parser as _;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fleet::on;
use crate::propagation::Sightings;
use crate::report::Table;
use crate::statistics::{Samples, mebibytes};

const SAMPLES: usize = 100;
/// Agents that join at the same time.
const AT_ONCE: usize = 16;
/// Of the clusters here.
const ROOM: Room = Room {
    cpu: "64",
    memory: "256Gi",
    pods: "1000",
};

/// The agent's command line, to be filled in as a person would.
#[derive(clap::Parser)]
struct Agent {
    #[command(flatten)]
    options: berth_agent::Options,
}

pub(crate) async fn measure(agents: usize) -> anyhow::Result<Table> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let programs = Programs::find()?;
    let hub = Hub::start(&programs, &directory.path().join("hub"), &json!({})).await?;
    let hub = Arc::new(hub);
    let stop = CancellationToken::new();
    let watch = Watch::start();
    let joined = join_all(&hub, agents, &ROOM, directory.path(), &stop).await?;
    let all_joined = watch.elapsed();
    let (clusters, joining): (Vec<EmbeddedCluster>, Vec<Duration>) = joined.into_iter().unzip();
    let mut joins = Samples::default();
    for took in joining {
        joins.add(took);
    }

    let api = hub.api()?;
    let mut samples = Samples::default();
    for number in 0..SAMPLES {
        let at = number * 7 % clusters.len().max(1);
        let namespaces = Api::<Namespace>::all(clusters.get(at).context("a cluster")?.client());
        let mut sightings = Sightings::start(namespaces, |it| it.metadata.name.clone()).await?;
        let id = format!("far-{number}");
        api.create(&id, on(&format!("small-{at}"))).await?;
        let accepted = Watch::start();
        sightings.of(&format!("t-{id}")).await?;
        samples.add(accepted.elapsed());
    }
    for number in 0..SAMPLES {
        api.ready(&format!("far-{number}")).await?;
    }
    let mut table = Table::default();
    table.line(
        format!("{agents} agents joined"),
        format!("{:.1} s", all_joined.as_secs_f64()),
        "",
        "",
    );
    table.line(
        format!("one of them, {AT_ONCE} at a time, from its start until the hub has its facts"),
        joins.line(),
        "",
        "",
    );
    table.line(
        format!("one new tenant with {agents} agents, until it is seen in its cluster"),
        samples.line(),
        "p99 under 500 at 1,000 agents",
        "",
    );
    table.line("hub's memory", mebibytes(hub.resident_memory()?), "", "");
    stop.cancel();
    Ok(table)
}

/// What a cluster's one node has.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) cpu: &'static str,
    pub(crate) memory: &'static str,
    pub(crate) pods: &'static str,
}

/// Clusters, each with an agent that has joined, and how long that took the agent.
pub(crate) async fn join_all(
    hub: &Arc<Hub>,
    agents: usize,
    room: &'static Room,
    directory: &Path,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<(EmbeddedCluster, Duration)>> {
    let join = |number: usize| {
        let (hub, stop, directory) = (hub.clone(), stop.clone(), directory.to_owned());
        async move { join(&hub, &format!("small-{number}"), room, &directory, stop).await }
    };
    let joining = futures::stream::iter(0..agents).map(join).buffered(AT_ONCE);
    joining.try_collect().await
}

/// A cluster with an agent that has joined, and how long that took the agent.
async fn join(
    hub: &Hub,
    name: &str,
    room: &Room,
    directory: &Path,
    stop: CancellationToken,
) -> anyhow::Result<(EmbeddedCluster, Duration)> {
    let options = ClusterOptions {
        name: name.to_owned(),
        ..ClusterOptions::default()
    };
    let cluster = EmbeddedCluster::start(options).await?;
    let nodes = Api::<Node>::all(cluster.client());
    let room = json!({"cpu": room.cpu, "memory": room.memory, "pods": room.pods});
    let node = json!({"metadata": {"name": "node-1"}});
    nodes
        .create(&PostParams::default(), &serde_json::from_value(node)?)
        .await?;
    let status = Patch::Merge(json!({"status": {"capacity": room, "allocatable": room}}));
    nodes
        .patch_status("node-1", &PatchParams::default(), &status)
        .await?;
    let system = json!({"metadata": {"name": berth_model::label::AGENT_NAMESPACE}});
    let namespaces = Api::<Namespace>::all(cluster.client());
    namespaces
        .create(&PostParams::default(), &serde_json::from_value(system)?)
        .await?;

    let access = cluster.listen(([127, 0, 0, 1], 0).into()).await?;
    let kubeconfig = directory.join(format!("{name}.kubeconfig"));
    std::fs::write(&kubeconfig, access.kubeconfig(name))?;
    let api = hub.api()?;
    let token = api
        .token_for(CreateJoinTokenRequest {
            cluster: name.to_owned(),
            labels: [(berth_tests::world::CLUSTER_LABEL.to_owned(), name.to_owned())].into(),
            ..CreateJoinTokenRequest::default()
        })
        .await?;
    let file = directory.join(format!("{name}.token"));
    std::fs::write(&file, &token.token)?;
    let arguments = [
        "berth-agent".to_owned(),
        format!("--hub={}", hub.agent_url()),
        format!("--ca-pin={}", token.ca_pin),
        format!("--token-file={}", file.display()),
        format!("--kubeconfig={}", kubeconfig.display()),
    ];
    let Agent { options } = Agent::try_parse_from(arguments)?;
    let label = name.to_owned();
    let watch = Watch::start();
    tokio::spawn(async move {
        if let Err(error) = berth_agent::run(options, stop).await {
            eprintln!("agent {label} has ended: {error}");
        }
    });
    until(LONG, &format!("{name} is connected"), || async {
        let Some(cluster) = api.cluster(name).await? else {
            return Ok(None);
        };
        let facts = cluster.status.and_then(|status| status.facts);
        Ok(facts.is_some_and(|facts| facts.ready_nodes > 0).then_some(()))
    })
    .await?;
    Ok((cluster, watch.elapsed()))
}
