//! A hub with many tenants on many clusters that starts again: how long until it serves, until it decides, and until every agent has
//! been told and has told again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_model::Timestamp;
use berth_proto::v1::Tenant;
use berth_tests::api::{Api, condition, evidence, of_tier};
use berth_tests::hub::Hub;
use berth_tests::programs::Programs;
use berth_tests::waiting::{LONG, Watch, now, until};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::agents::{Room, join_all};
use crate::report::Table;
use crate::statistics::mebibytes;

/// Calls under way at once.
const CALLERS: usize = 64;
/// Clusters, on embedded APIs in this process.
const CLUSTERS: usize = 20;
/// More than the tenants of a cluster need.
const ROOM: Room = Room {
    cpu: "4000",
    memory: "16Ti",
    pods: "100000",
};
/// Far longer than it takes.
const FILLED: Duration = Duration::from_secs(3600);

/// From the first of `tenants` to the last that is known again.
pub(crate) async fn measure(tenants: usize) -> anyhow::Result<Table> {
    let directory = tempfile::tempdir().context("make a directory")?;
    // What one identity may usually do is not what is measured.
    let plenty = json!({
        "callsPerSecond": 100_000, "callsBurst": 100_000, "addressCallsPerSecond": 100_000, "addressCallsBurst": 100_000,
    });
    let config = json!({"limits": plenty});
    let hub = Hub::start(&Programs::find()?, &directory.path().join("hub"), &config).await?;
    let mut hub = Arc::new(hub);
    let stop = CancellationToken::new();
    let clusters = join_all(&hub, CLUSTERS, &ROOM, directory.path(), &stop).await?;
    let api = hub.api()?;
    let mut table = Table::default();
    let seconds = |watch: &Watch| format!("{:.2} s", watch.elapsed().as_secs_f64());
    let ids: Vec<String> = (0..tenants).map(|number| format!("many-{number}")).collect();
    let watch = Watch::start();
    stream::iter(&ids)
        .map(|id| {
            let api = api.clone();
            async move { api.create(id, of_tier("free")).await.map(drop) }
        })
        .buffer_unordered(CALLERS)
        .try_collect::<()>()
        .await?;
    let rate = f64::from(u32::try_from(tenants)?) / watch.elapsed().as_secs_f64();
    table.line(
        format!("{tenants} tenants created by {CALLERS} callers, each answer durable"),
        format!("{rate:.0} a second"),
        "",
        "",
    );
    all_there(&api, &ids, None).await?;
    table.line(
        format!("until all are applied and healthy, on {CLUSTERS} clusters"),
        seconds(&watch),
        "",
        "",
    );
    table.line("hub's memory", mebibytes(hub.resident_memory()?), "", "");

    let hub = Arc::get_mut(&mut hub).context("whoever joined is done with the hub")?;
    hub.process().kill().await?;
    let killed = now();
    let watch = Watch::start();
    hub.start_again().await?;
    table.line(
        format!("hub with {tenants} tenants killed, until it serves"),
        seconds(&watch),
        "",
        "",
    );
    api.create("first", of_tier("free")).await?;
    until(LONG, "it decides", || decided(&api)).await?;
    table.line(
        "until it has decided about a tenant created then",
        seconds(&watch),
        "",
        "",
    );
    all_there(&api, &ids, Some(killed)).await?;
    table.line(
        "until all agents are re-synced: everything applied and healthy by new evidence",
        seconds(&watch),
        "",
        "",
    );
    table.line("hub's memory", mebibytes(hub.resident_memory()?), "", "");
    stop.cancel();
    drop(clusters);
    hub.process().stop().await?;
    Ok(table)
}

/// Waits until everything is applied and healthy, by evidence from after `since`. Isolation is not asked for: these clusters have no
/// admission policies, which is what the probes find.
async fn all_there(api: &Api, ids: &[String], since: Option<Timestamp>) -> anyhow::Result<()> {
    let there = |tenant: &Tenant| {
        ["Applied", "Healthy"]
            .iter()
            .all(|kind| condition(tenant, kind).status == "True")
            && since.is_none_or(|since| evidence(tenant) > since)
    };
    until(FILLED, "everything is applied and healthy", || async {
        // All of them in one answer take a while.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let known = api.list().await?.iter().filter(|tenant| there(tenant)).count();
        ensure!(known >= ids.len(), "{known} of {} are", ids.len());
        Ok(Some(()))
    })
    .await
}

async fn decided(api: &Api) -> anyhow::Result<Option<()>> {
    let tenant = api.tenant("first").await?;
    let conditions = tenant.status.map(|status| status.conditions).unwrap_or_default();
    let placed = conditions
        .iter()
        .any(|condition| condition.r#type == "Placed" && condition.status == "True");
    Ok(placed.then_some(()))
}
