//! The node-pool tier: nodes of the tenant's own in a shared EKS cluster.

use anyhow::{Context as _, ensure};
use berth_model::label;
use berth_tests::api::of_tier;
use berth_tests::world::World;
use berth_tests::{kubernetes, waiting};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::conditions::is_pod_running;
use serde_json::json;

use crate::{CLUSTER, files, members};

pub(crate) async fn a_node_pool_tenants_pods_run_on_its_own_nodes_only_and_the_pool_goes_last(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli, kube) = (world.api()?, world.cli(), world.kube(CLUSTER)?);
    cli.apply(&files::web_bundle("web-c")).await?;
    cli.apply(&files::tenant_with_web(
        "pooled",
        "premium",
        "web-c",
        "registry.example/web:1",
    ))
    .await?;
    let tenant = api.ready("pooled").await?;
    let placement = tenant
        .status
        .clone()
        .and_then(|status| status.placement)
        .context("a placement")?;
    ensure!(
        placement.isolation == "node-pool" && placement.cluster == CLUSTER,
        "{placement:?}"
    );
    let group = world.cloud.eks().nodegroups();
    ensure!(
        group.iter().any(|(cluster, _)| cluster == CLUSTER),
        "no node group in {CLUSTER}: {group:?}"
    );
    members::ensure_complete(&kube, "t-pooled").await?;

    let of_pool = ListParams::default().labels(&format!("{}={}", label::POOL, placement.pool));
    let nodes = Api::<Node>::all(kube.clone()).list(&of_pool).await?.items;
    ensure!(nodes.len() >= 2, "the pool has {} nodes", nodes.len());
    for node in &nodes {
        let taints = node
            .spec
            .as_ref()
            .and_then(|spec| spec.taints.clone())
            .unwrap_or_default();
        let tainted = taints.iter().any(|taint| {
            taint.key == label::POOL
                && taint.value.as_deref() == Some(&placement.pool)
                && taint.effect == "NoSchedule"
        });
        ensure!(tainted, "a node without the pool's taint: {taints:?}");
    }
    let of_pool: Vec<String> = nodes.into_iter().filter_map(|node| node.metadata.name).collect();
    let pods = Api::<Pod>::namespaced(kube.clone(), "t-pooled")
        .list(&ListParams::default())
        .await?
        .items;
    ensure!(!pods.is_empty());
    for pod in pods {
        let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
        ensure!(of_pool.contains(&node), "a pod of the tenant runs on {node}");
    }
    strangers_stay_out(world, &of_pool).await?;

    api.remove("pooled").await?;
    ensure!(kubernetes::namespace(&kube, "t-pooled").await?.is_none());
    let groups = world.cloud.eks().nodegroups();
    ensure!(
        !groups
            .iter()
            .any(|(cluster, name)| cluster == CLUSTER && group.contains(&(cluster.clone(), name.clone())))
    );
    for node in of_pool {
        kubernetes::disappears(&Api::<Node>::all(kube.clone()), &node).await?;
    }
    Ok(())
}

/// Pods of others do not come onto the pool: ordinary ones are placed elsewhere, and another tenant's that asks for the pool is
/// refused.
async fn strangers_stay_out(world: &World, of_pool: &[String]) -> anyhow::Result<()> {
    let kube = world.kube(CLUSTER)?;
    let namespaces = Api::<Namespace>::all(kube.clone());
    namespaces
        .create(
            &PostParams::default(),
            &serde_json::from_value(json!({"metadata": {"name": "strangers"}}))?,
        )
        .await?;
    let accounts = Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(kube.clone(), "strangers");
    kubernetes::appears(&accounts, "default").await?;
    let pods = Api::<Pod>::namespaced(kube.clone(), "strangers");
    let pod = |name: &str, tolerations: serde_json::Value| {
        serde_json::from_value::<Pod>(json!({
            "metadata": {"name": name},
            "spec": {"tolerations": tolerations, "containers": [{"name": "it", "image": "registry.example/it:1"}]},
        }))
    };
    pods.create(&PostParams::default(), &pod("ordinary", json!([]))?)
        .await?;
    kubernetes::becomes(&pods, "ordinary", "runs", is_pod_running()).await?;
    let node = pods
        .get("ordinary")
        .await?
        .spec
        .and_then(|spec| spec.node_name)
        .unwrap_or_default();
    ensure!(
        !of_pool.contains(&node),
        "a stranger's pod runs on the tenant's node {node}"
    );

    let api = world.api()?;
    api.create("envious", of_tier("free")).await?;
    api.ready("envious").await?;
    let mut greedy = pod("greedy", json!([{"key": label::POOL, "operator": "Exists"}]))?;
    if let Some(spec) = &mut greedy.spec {
        // Nothing else is wrong with it.
        spec.security_context = Some(serde_json::from_value(
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}),
        )?);
        for container in &mut spec.containers {
            container.security_context = Some(serde_json::from_value(
                json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
            )?);
        }
    }
    let refused = Api::<Pod>::namespaced(kube.clone(), "t-envious")
        .create(&PostParams::default(), &greedy)
        .await;
    let refused = refused
        .err()
        .context("another tenant's pod may tolerate the taint of the pool")?
        .to_string();
    ensure!(refused.contains("may tolerate the taint"), "{refused}");
    api.remove("envious").await?;
    namespaces.delete("strangers", &DeleteParams::default()).await?;
    waiting::until(waiting::LONG, "the strangers go", || async {
        Ok(kubernetes::namespace(&kube, "strangers")
            .await?
            .is_none()
            .then_some(()))
    })
    .await
}
