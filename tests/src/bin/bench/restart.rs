//! Restarts of hub and agent with the bulk's tenants: how long until they serve and know everything again, and what they write
//! in the cluster meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use berth_tests::api::{Api, is_ready};
use berth_tests::kubernetes::{writes, written};
use berth_tests::waiting::{Watch, until};
use berth_tests::world::World;

use crate::fleet::CLUSTERS;
use crate::report::Table;

const LIMIT: Duration = Duration::from_secs(300);

pub(crate) async fn measure(world: &mut World, tenants: usize) -> anyhow::Result<Table> {
    let (api, kube) = (world.api()?, world.kube(CLUSTERS[0])?);
    let mut table = Table::default();
    let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());

    let before = writes(&kube).await?;
    world.hub.process().kill().await?;
    let watch = Watch::start();
    world.hub.start_again().await?;
    table.line(
        "hub killed, until it serves",
        seconds(watch.elapsed()),
        "3 s",
        "20 s Karmada, 64 s KubeFleet",
    );
    resynced(&api, tenants, now()).await?;
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
    let watch = Watch::start();
    agent.start_again()?;
    resynced(&api, tenants, now()).await?;
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

/// Waits until every tenant is Ready by evidence of `since` or later.
async fn resynced(api: &Api, tenants: usize, since: i64) -> anyhow::Result<()> {
    until(LIMIT, "everything is known again", || async {
        let all = api.list().await?;
        let fresh = all.iter().filter(|tenant| {
            let evidence = tenant.status.as_ref().and_then(|status| status.evidence_time);
            is_ready(tenant) && evidence.is_some_and(|evidence| evidence.seconds >= since)
        });
        let fresh = fresh.count();
        ensure!(fresh >= tenants, "{fresh} of {tenants}");
        Ok(Some(()))
    })
    .await
}

#[expect(clippy::disallowed_methods, reason = "the hub's clock is this machine's")]
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
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
