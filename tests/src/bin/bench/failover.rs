//! Several hubs on one etcd: how long the fleet has no leader after a kill, and after an end in good order.

use anyhow::{Context as _, bail};
use berth_tests::api::of_tier;
use berth_tests::hubs::{CLUSTER, Hubs};
use berth_tests::waiting::Watch;
use tonic::Code;

use crate::report::Table;
use crate::statistics::Samples;

/// From the kill to the first change that the next leader acknowledges, and until it has the agent.
pub(crate) async fn measure(kills: usize) -> anyhow::Result<Table> {
    let mut hubs = Hubs::start_with_lease(2, 1, 5).await?;
    hubs.join().await?;
    let (mut acknowledged, mut connected) = (Samples::default(), Samples::default());
    let mut table = Table::default();
    for round in 0..kills {
        let leader = hubs.leader().await?;
        hubs.hubs[leader].api()?.connected(CLUSTER).await?;
        let watch = Watch::start();
        hubs.hubs[leader].process().kill().await?;
        create(&hubs, &format!("killed-{round}")).await?;
        acknowledged.add(watch.elapsed());
        let next = hubs.leader_but(Some(leader)).await?;
        hubs.hubs[next].api()?.connected(CLUSTER).await?;
        connected.add(watch.elapsed());
        hubs.hubs[leader].start_again().await?;
    }
    table.line(
        format!("leader killed {kills} times, until a change is acknowledged again (lease 5 s)"),
        acknowledged.line(),
        "15,000, at most 60,000",
        "",
    );
    table.line("until the agent is connected again", connected.line(), "", "");
    let mut ended = Samples::default();
    for round in 0..5 {
        let leader = hubs.leader().await?;
        let watch = Watch::start();
        hubs.hubs[leader].process().stop().await?;
        create(&hubs, &format!("ended-{round}")).await?;
        ended.add(watch.elapsed());
        hubs.hubs[leader].start_again().await?;
    }
    table.line(
        "leader ended 5 times, until a change is acknowledged again",
        ended.line(),
        "",
        "",
    );
    hubs.stop().await;
    Ok(table)
}

async fn create(hubs: &Hubs, id: &str) -> anyhow::Result<()> {
    let made = hubs
        .ask(|api| {
            let id = id.to_owned();
            async move { api.create(&id, of_tier("free")).await }
        })
        .await
        .context("ask for a tenant")?;
    match made {
        Ok(_) => Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => Ok(()),
        Err(status) => bail!("{status}"),
    }
}
