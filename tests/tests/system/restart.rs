//! Restarts with tenants: when nothing differs, nothing is written.

use anyhow::ensure;
use berth_tests::api::{is_ready, of_tier};
use berth_tests::kubernetes::{writes, written};
use berth_tests::waiting::{LONG, Watch};
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
    let mut evidence = Vec::new();
    for id in &ids {
        let tenant = api.ready(id).await?;
        evidence.push(
            tenant
                .status
                .and_then(|status| status.evidence_time)
                .map_or(0, |time| time.seconds),
        );
    }
    settled(&kube).await?;

    let before = writes(&kube).await?;
    world.hub.process().kill().await?;
    world.hub.start_again().await?;
    resynced(world, &ids, &evidence).await?;
    let after = writes(&kube).await?;
    let more = written(&before, &after);
    ensure!(more.is_empty(), "a restart of the hub has written {more:?}");

    let agent = &mut world.member(CLUSTER)?.agent;
    agent.process().stop().await?;
    agent.start_again()?;
    let fresh: Vec<i64> = evidence.iter().map(|_| now()).collect();
    resynced(world, &ids, &fresh).await?;
    let last = writes(&kube).await?;
    let more = written(&after, &last);
    ensure!(more.is_empty(), "a restart of the agent has written {more:?}");
    futures::future::try_join_all(ids.iter().map(|id| api.remove(id))).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the hub's clock is this machine's")]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Waits until every tenant is Ready by evidence newer than `than`.
async fn resynced(world: &World, ids: &[String], than: &[i64]) -> anyhow::Result<()> {
    let api = world.api()?;
    api.connected(CLUSTER).await?;
    for (id, than) in ids.iter().zip(than) {
        api.until(id, "Ready by new evidence", |tenant| {
            let evidence = tenant.status.as_ref().and_then(|status| status.evidence_time);
            is_ready(tenant) && evidence.is_some_and(|evidence| evidence.seconds >= *than)
        })
        .await?;
    }
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
