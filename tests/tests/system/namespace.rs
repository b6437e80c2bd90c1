//! The namespace tier on a shared cluster.

use anyhow::{Context as _, ensure};
use berth_model::label;
use berth_tests::api::{condition, is_ready, truth};
use berth_tests::world::{World, workspace};
use berth_tests::{kubernetes, waiting};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::{CLUSTER, files, members};

pub(crate) async fn a_namespace_tenant_gets_its_namespace_quota_walls_and_roles(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli, kube) = (world.api()?, world.cli(), world.kube(CLUSTER)?);
    // A real tenant, as the examples have it.
    let file = workspace().join("deploy/examples/dev-sandbox.yaml");
    cli.output(&["apply", "-f", &file.display().to_string()]).await?;
    let tenant = api.ready("dev-sandbox").await?;
    ensure!(berth_tests::api::cluster_of(&tenant) == CLUSTER);

    let status = tenant.status.clone().context("a status")?;
    for kind in ["Accepted", "Placed", "Provisioned", "Applied", "Healthy", "Ready"] {
        ensure!(
            truth(&status.conditions, kind) == "True",
            "{kind} is not True: {status:?}"
        );
    }
    ensure!(
        status
            .namespaces
            .first()
            .is_some_and(|first| first == "t-dev-sandbox"),
        "{status:?}"
    );
    for name in &status.namespaces {
        let namespace = kubernetes::namespace(&kube, name)
            .await?
            .with_context(|| format!("no namespace {name}"))?;
        let labels = namespace.metadata.labels.unwrap_or_default();
        ensure!(
            labels.get(label::TENANT).is_some_and(|id| id == "dev-sandbox"),
            "{labels:?}"
        );
        ensure!(labels.get(label::TENANT_UID) == Some(&tenant.uid), "{labels:?}");
        members::ensure_complete(&kube, name).await?;
    }
    api.remove("dev-sandbox").await
}

pub(crate) async fn a_bundle_turns_healthy_and_a_broken_image_degrades_the_tenant_with_the_reason(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli, kube) = (world.api()?, world.cli(), world.kube(CLUSTER)?);
    cli.apply(&files::web_bundle("web-a")).await?;
    cli.apply(&files::tenant_with_web(
        "worker",
        "standard",
        "web-a",
        "registry.example/web:1",
    ))
    .await?;
    let tenant = api.ready("worker").await?;
    let health = tenant
        .status
        .as_ref()
        .map(|status| status.health.clone())
        .unwrap_or_default();
    ensure!(health == "Healthy", "{health}");
    let deployments = Api::<Deployment>::namespaced(kube.clone(), "t-worker");
    let web = deployments.get("web").await?;
    ensure!(web.status.and_then(|status| status.ready_replicas) == Some(2));

    cli.apply(&files::tenant_with_web(
        "worker",
        "standard",
        "web-a",
        "registry.example/web:broken",
    ))
    .await?;
    let tenant = api
        .until("worker", "degraded by its broken image", |tenant| {
            let healthy = condition(tenant, "Healthy");
            healthy.status == "False" && healthy.reason == "Degraded"
        })
        .await?;
    let healthy = condition(&tenant, "Healthy");
    ensure!(
        healthy.message.contains("ImagePullBackOff"),
        "{}",
        healthy.message
    );
    ensure!(healthy.message.contains("web"), "{}", healthy.message);
    ensure!(condition(&tenant, "Ready").status == "False");
    ensure!(condition(&tenant, "Applied").status == "True");

    cli.apply(&files::tenant_with_web(
        "worker",
        "standard",
        "web-a",
        "registry.example/web:2",
    ))
    .await?;
    api.until("worker", "Ready again with the next image", is_ready)
        .await?;
    api.remove("worker").await
}

pub(crate) async fn deleting_a_tenant_removes_everything_it_had(world: &World) -> anyhow::Result<()> {
    let (api, cli, kube) = (world.api()?, world.cli(), world.kube(CLUSTER)?);
    cli.apply(&files::web_bundle("web-b")).await?;
    let file = files::tenant_with_web("leaver", "standard", "web-b", "registry.example/web:1");
    cli.apply(&format!("{file}  namespaces: [jobs]\n")).await?;
    let first = api.ready("leaver").await?;
    members::ensure_complete(&kube, "t-leaver").await?;
    members::ensure_complete(&kube, "t-leaver--jobs").await?;

    cli.output(&["delete", "tenant", "leaver", "--wait"]).await?;
    ensure!(
        api.tenant("leaver")
            .await
            .is_err_and(|status| status.code() == tonic::Code::NotFound)
    );
    for name in ["t-leaver", "t-leaver--jobs"] {
        // Gone for the hub means gone in the cluster.
        ensure!(
            kubernetes::namespace(&kube, name).await?.is_none(),
            "namespace {name} is still there"
        );
    }
    let ledger = Api::<ConfigMap>::namespaced(kube.clone(), label::AGENT_NAMESPACE);
    waiting::until(waiting::LONG, "the agent forgets the tenant", || async {
        let left = kubernetes::names(&ledger, &format!("{}=leaver", label::TENANT)).await?;
        ensure!(left.is_empty(), "it remembers {left:?}");
        Ok(Some(()))
    })
    .await?;

    // The same name again is another tenant.
    cli.apply(&files::tenant("leaver", "free")).await?;
    let second = api.ready("leaver").await?;
    ensure!(first.uid != second.uid);
    api.remove("leaver").await
}
