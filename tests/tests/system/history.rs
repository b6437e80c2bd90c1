//! Concurrent clients while the hub is killed and restarted: every answer and every watch stream can be explained by one order of
//! calls, per tenant. No cluster is needed: the tenants are accepted, changed and deleted without ever being placed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use berth_tests::history::{self, ApiAddress, Options};
use berth_tests::hub::Hub;
use berth_tests::programs::Programs;
use berth_tests::world::World;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

const KILLS: usize = 10;

pub(crate) async fn what_clients_see_while_the_hub_is_killed_is_linearizable_and_watches_miss_nothing(
    _: &mut World,
) -> anyhow::Result<()> {
    let seed: u64 = rand::random();
    let outcome = while_the_hub_is_killed(seed).await;
    outcome.with_context(|| format!("seed {seed}"))
}

async fn while_the_hub_is_killed(seed: u64) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("make a directory")?;
    // A hub of its own: the world's has clusters, and other tenants.
    let mut hub = Hub::start(&Programs::find()?, directory.path(), &serde_json::json!({})).await?;
    let options = Options {
        clients: 8,
        watchers: 3,
        tenants: 6,
        calls_per_tenant: 80,
        seed,
        stop: CancellationToken::new(),
    };
    let hubs = [ApiAddress::open(&hub.context())?];
    let clients = tokio::spawn({
        let options = options.clone();
        async move { history::run(&hubs, &options).await }
    });
    let killed = killed(&mut hub, seed).await;
    options.stop.cancel();
    let history = clients.await.context("the clients")?;
    killed.with_context(|| hub.log_end(40))?;
    let history = history.with_context(|| hub.log_end(40))?;
    hub.process().stop().await?;

    #[expect(
        clippy::disallowed_methods,
        reason = "says how long the check took, decides nothing"
    )]
    let began = Instant::now();
    let checked = tokio::task::spawn_blocking(move || history::check(&history)).await?;
    let report = match checked {
        Ok(report) => report,
        Err(faults) => bail!("{}", history::told(&faults)),
    };
    eprintln!(
        "history: {KILLS} kills, {report:?}, checked in {:?}",
        began.elapsed()
    );
    ensure!(report.calls > 500, "too few calls to mean anything: {report:?}");
    ensure!(
        report.lost > 0,
        "no answer was lost, so nothing was killed: {report:?}"
    );
    ensure!(
        report.opened > KILLS,
        "the watchers did not come back: {report:?}"
    );
    Ok(())
}

/// Kills the hub again and again, at moments that have nothing to do with what clients do.
async fn killed(hub: &mut Hub, seed: u64) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..KILLS {
        // The moment of the kill is the point of the test, not a wait for something.
        tokio::time::sleep(Duration::from_millis(random.random_range(50..1500))).await;
        hub.process().kill().await?;
        hub.start_again().await?;
    }
    // Clients come back, and something happens after the last restart.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}
