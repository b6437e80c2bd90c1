//! A hub with many tenants that starts again: how long until it serves, and until it decides.

use anyhow::Context as _;
use berth_tests::api::{Api, of_tier};
use berth_tests::hub::Hub;
use berth_tests::programs::Programs;
use berth_tests::waiting::{LONG, Watch, until};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::report::Table;

/// Calls under way at once.
const CALLERS: usize = 64;

/// Without clusters: what is measured is reading everything and deciding about everything.
pub(crate) async fn measure(tenants: usize) -> anyhow::Result<Table> {
    let directory = tempfile::tempdir().context("make a directory")?;
    // What one identity may usually do is not what is measured.
    let plenty = serde_json::json!({
        "callsPerSecond": 100_000, "callsBurst": 100_000, "addressCallsPerSecond": 100_000, "addressCallsBurst": 100_000,
    });
    let config = serde_json::json!({"limits": plenty});
    let mut hub = Hub::start(&Programs::find()?, directory.path(), &config).await?;
    let api = hub.api()?;
    let mut table = Table::default();
    let watch = Watch::start();
    stream::iter(0..tenants)
        .map(|number| {
            let api = api.clone();
            async move {
                let made = api.create(&format!("many-{number}"), of_tier("free")).await;
                made.map(drop)
            }
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
    hub.process().kill().await?;
    let watch = Watch::start();
    hub.start_again().await?;
    table.line(
        format!("hub with {tenants} tenants killed, until it serves"),
        format!("{:.2} s", watch.elapsed().as_secs_f64()),
        "",
        "",
    );
    api.create("first", of_tier("free")).await?;
    until(LONG, "it decides", || decided(&api)).await?;
    table.line(
        "until it has decided about a tenant created then",
        format!("{:.2} s", watch.elapsed().as_secs_f64()),
        "",
        "",
    );
    table.line("memory", format!("{} MiB", hub.resident_memory()? >> 20), "", "");
    hub.process().stop().await?;
    Ok(table)
}

async fn decided(api: &Api) -> anyhow::Result<Option<()>> {
    let tenant = api.tenant("first").await?;
    let conditions = tenant.status.map(|status| status.conditions).unwrap_or_default();
    let placed = conditions.iter().any(|condition| condition.r#type == "Placed");
    Ok(placed.then_some(()))
}
