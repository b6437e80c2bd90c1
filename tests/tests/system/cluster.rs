//! The cluster tier: an EKS cluster of the tenant's own, its agent brought in by the hub with an EKS bearer token.

use anyhow::{Context as _, ensure};
use berth_model::label;
use berth_tests::kubernetes;
use berth_tests::world::World;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

use crate::{CLUSTER, files, members};

pub(crate) async fn a_cluster_tenant_gets_a_cluster_of_its_own_which_goes_last(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    cli.apply(&files::web_bundle("web-d")).await?;
    cli.apply(&files::tenant_with_web(
        "owner",
        "enterprise",
        "web-d",
        "registry.example/web:1",
    ))
    .await?;
    let tenant = api.ready("owner").await?;
    let placement = tenant
        .status
        .clone()
        .and_then(|status| status.placement)
        .context("a placement")?;
    ensure!(
        placement.isolation == "cluster" && placement.cluster != CLUSTER,
        "{placement:?}"
    );
    let cluster = api
        .cluster(&placement.cluster)
        .await?
        .context("the hub knows the cluster")?;
    ensure!(cluster.dedicated_to.contains("owner"), "{cluster:?}");
    let clusters = world.cloud.clusters().await;
    let made = clusters
        .iter()
        .find(|(name, _)| name.contains(&placement.cluster));
    let (cloud_name, access) = made.with_context(|| format!("not among {:?}", clusters.keys()))?;
    let kube = kubernetes::client(access).await?;
    // The hub brought the agent in, and what plays the kubelet started it from its Deployment.
    let agent = Api::<Deployment>::namespaced(kube.clone(), label::AGENT_NAMESPACE)
        .get("berth-agent")
        .await?;
    ensure!(agent.spec.is_some_and(|spec| spec.replicas == Some(1)));
    members::ensure_complete(&kube, "t-owner").await?;
    let nodes = Api::<Node>::all(kube.clone())
        .list(&ListParams::default())
        .await?
        .items;
    ensure!(nodes.len() >= 3, "the cluster has {} nodes", nodes.len());
    let web = Api::<Deployment>::namespaced(kube.clone(), "t-owner")
        .get("web")
        .await?;
    ensure!(web.status.and_then(|status| status.ready_replicas) == Some(2));
    // Nothing of the tenant is anywhere else.
    ensure!(
        kubernetes::namespace(&world.kube(CLUSTER)?, "t-owner")
            .await?
            .is_none()
    );

    // Nobody else is placed there.
    api.create("neighbour", berth_tests::api::of_tier("free")).await?;
    let neighbour = api.ready("neighbour").await?;
    ensure!(berth_tests::api::cluster_of(&neighbour) == CLUSTER);
    api.remove("neighbour").await?;

    api.remove("owner").await?;
    ensure!(
        api.cluster(&placement.cluster).await?.is_none(),
        "the hub still knows the cluster"
    );
    ensure!(
        !world.cloud.eks().clusters().contains(cloud_name),
        "EKS still has the cluster"
    );
    Ok(())
}
