//! The leader is stopped (SIGSTOP) at random moments under load, for longer than its lease, and goes on.

use std::time::Duration;

use anyhow::ensure;
use berth_tests::api::Api;
use berth_tests::hubs::Hubs;
use berth_tests::waiting::{LONG, until};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::findings::Findings;
use crate::load::Load;
use crate::terms::Terms;

pub(crate) async fn run(seed: u64, rounds: usize) -> anyhow::Result<Findings> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut findings = Findings::default();
    let mut hubs = Hubs::start(2, 1).await?;
    hubs.join().await?;
    let apis = hubs
        .hubs
        .iter()
        .map(berth_tests::hub::Hub::api)
        .collect::<Result<Vec<_>, _>>()?;
    let terms = Terms::watch(&apis);
    let mut acknowledged = 0;
    for round in 0..rounds {
        let load = Load::start(apis.clone(), &format!("paused-{round}"));
        // Moments are what this is about; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        let leader = hubs.leader().await?;
        hubs.hubs[leader].process().pause()?;
        let other = hubs.leader_but(Some(leader)).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..2000))).await;
        hubs.hubs[leader].process().resume()?;
        let outcome = match other {
            Ok(_) => follows(&apis[leader]).await,
            Err(error) => Err(error),
        };
        findings.check(outcome.map_err(|error| error.context(format!("round {round}\n{}", hubs.logs()))));
        match load.verify(&hubs.kube()?).await {
            Ok(count) => acknowledged += count,
            Err(error) => findings.violation(format!("round {round}: {error:#}\n{}", hubs.logs())),
        }
    }
    match terms.verify() {
        Ok(count) => findings.tried(format!(
            "{rounds} pauses of the leader past its lease, {count} terms seen, {acknowledged} changes acknowledged meanwhile and all of them kept"
        )),
        Err(error) => findings.violation(error.to_string()),
    }
    hubs.stop().await;
    Ok(findings)
}

/// Waits until the hub that was stopped says that it follows another, or leads in a term of its own again.
async fn follows(api: &Api) -> anyhow::Result<()> {
    until(LONG, "the hub that was stopped knows who leads", || async {
        let hub = api.hub().await?;
        ensure!(!hub.leader.is_empty() || hub.role == "leading", "{hub:?}");
        Ok(Some(()))
    })
    .await
}
