//! When one side is silent the other neither invents nor destroys.

use std::time::Duration;

use anyhow::ensure;
use berth_tests::api::{condition, is_ready, of_tier};
use berth_tests::kubernetes;
use berth_tests::waiting::LONG;
use berth_tests::world::World;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::DeleteParams;

use crate::{CLUSTER, members};

pub(crate) async fn a_silent_agent_turns_its_tenants_unknown_and_nothing_is_deleted(
    world: &mut World,
) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTER)?);
    api.create("quiet", of_tier("free")).await?;
    api.ready("quiet").await?;
    let before = kubernetes::namespace(&kube, "t-quiet").await?;

    world.member(CLUSTER)?.agent.process().pause()?;
    // Promised are 15 s; the rest is for a busy machine.
    let tenant = api
        .until_within(Duration::from_secs(40), "quiet", "Unknown", |tenant| {
            condition(tenant, "Ready").status == "Unknown"
        })
        .await?;
    ensure!(condition(&tenant, "Healthy").status == "Unknown");
    ensure!(condition(&tenant, "Placed").status == "True");
    ensure!(tenant.status.is_some_and(|status| status.health == "Unknown"));
    let during = kubernetes::namespace(&kube, "t-quiet").await?;
    ensure!(before.as_ref().map(|it| &it.metadata.uid) == during.as_ref().map(|it| &it.metadata.uid));
    ensure!(during.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none()));

    world.member(CLUSTER)?.agent.process().resume()?;
    api.until("quiet", "Ready again", is_ready).await?;
    api.remove("quiet").await
}

pub(crate) async fn without_a_hub_the_cluster_keeps_everything_and_drift_is_mended(
    world: &mut World,
) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTER)?);
    api.create("alone", of_tier("standard")).await?;
    api.ready("alone").await?;
    world.hub.process().kill().await?;

    // Restarted without a hub, it still knows what is to be there.
    let agent = &mut world.member(CLUSTER)?.agent;
    agent.process().kill().await?;
    agent.start_again()?;
    let policies = Api::<NetworkPolicy>::namespaced(kube.clone(), "t-alone");
    for name in members::policies(&kube, "t-alone").await? {
        let old = policies.get(&name).await?.metadata.uid;
        policies.delete(&name, &DeleteParams::default()).await?;
        kubernetes::becomes(
            &policies,
            &name,
            "is back",
            move |policy: Option<&NetworkPolicy>| policy.is_some_and(|policy| policy.metadata.uid != old),
        )
        .await?;
    }
    members::ensure_complete(&kube, "t-alone").await?;

    world.hub.start_again().await?;
    api.connected(CLUSTER).await?;
    api.until_within(LONG, "alone", "Ready again", is_ready).await?;
    ensure!(kubernetes::namespace(&kube, "t-alone").await?.is_some());
    api.remove("alone").await
}
