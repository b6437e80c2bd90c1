//! Restarts with tenants: when nothing differs, nothing is written.

use anyhow::ensure;
use berth_tests::api::of_tier;
use berth_tests::kubernetes::{writes, written};
use berth_tests::waiting::{LONG, Watch, now};
use berth_tests::world::World;

use crate::CLUSTER;

const TENANTS: usize = 10;

pub(crate) async fn restarting_hub_and_agent_writes_nothing_in_the_cluster(
    world: &mut World,
) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTER)?);
    let ids: Vec<String> = (0..TENANTS).map(|number| format!("still-{number}")).collect();
    for id in &ids {
        api.create(id, of_tier("free")).await?;
    }
    for id in &ids {
        api.ready(id).await?;
    }
    settled(&kube).await?;

    let before = writes(&kube).await?;
    world.hub.process().kill().await?;
    let killed = now();
    world.hub.start_again().await?;
    api.resynced(&ids, killed).await?;
    let after = writes(&kube).await?;
    let more = written(&before, &after);
    ensure!(more.is_empty(), "a restart of the hub has written {more:?}");

    let agent = &mut world.member(CLUSTER)?.agent;
    agent.process().stop().await?;
    let stopped = now();
    agent.start_again()?;
    api.resynced(&ids, stopped).await?;
    let last = writes(&kube).await?;
    let more = written(&after, &last);
    ensure!(more.is_empty(), "a restart of the agent has written {more:?}");
    futures::future::try_join_all(ids.iter().map(|id| api.remove(id))).await?;
    Ok(())
}

/// Waits until Kubernetes' own controllers have nothing left to write: two equal looks, two seconds apart.
async fn settled(kube: &kube::Client) -> anyhow::Result<()> {
    let begun = Watch::start();
    let mut last = writes(kube).await?;
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let next = writes(kube).await?;
        if written(&last, &next).is_empty() {
            return Ok(());
        }
        last = next;
        ensure!(begun.elapsed() < LONG, "the cluster does not come to rest");
    }
}
