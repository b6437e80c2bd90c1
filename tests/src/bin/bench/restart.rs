//! Restarts of hub and agent with the bulk's tenants: how long until they serve and know everything again, and what they write
//! in the cluster meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_tests::kubernetes::{writes, written};
use berth_tests::waiting::{Watch, now};
use berth_tests::world::World;

use crate::fleet::CLUSTERS;
use crate::report::Table;

pub(crate) async fn measure(world: &mut World, tenants: usize) -> anyhow::Result<Table> {
    let (api, kube) = (world.api()?, world.kube(CLUSTERS[0])?);
    let ids: Vec<String> = (0..tenants).map(|number| format!("bulk-{number}")).collect();
    let mut table = Table::default();
    let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());

    let before = writes(&kube).await?;
    world.hub.process().kill().await?;
    let killed = now();
    let watch = Watch::start();
    world.hub.start_again().await?;
    table.line(
        "hub killed, until it serves",
        seconds(watch.elapsed()),
        "3 s",
        "20 s Karmada, 64 s KubeFleet",
    );
    api.resynced(&ids, killed).await?;
    table.line(
        "until everything is Ready by new evidence",
        seconds(watch.elapsed()),
        "10 s",
        "52 s, 79 s",
    );
    let after = writes(&kube).await?;
    table.line(
        "writes in the cluster",
        shown(&written(&before, &after)),
        "none",
        "",
    );

    let before = writes(&kube).await?;
    let agent = &mut world.member(CLUSTERS[0])?.agent;
    agent.process().stop().await?;
    let stopped = now();
    let watch = Watch::start();
    agent.start_again()?;
    api.resynced(&ids, stopped).await?;
    table.line(
        "agent stopped and started, until everything is Ready by new evidence",
        seconds(watch.elapsed()),
        "",
        "43 s Karmada, over 154 s KubeFleet",
    );
    let after = writes(&kube).await?;
    table.line(
        "writes in the cluster",
        shown(&written(&before, &after)),
        "none",
        "600 Karmada, 17,300 KubeFleet, 0 OCM",
    );
    Ok(table)
}

fn shown(written: &BTreeMap<String, u64>) -> String {
    if written.is_empty() {
        return "none".to_owned();
    }
    written
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect::<Vec<_>>()
        .join(", ")
}
