//! Hubs, the agent and members of etcd are killed (`kill -9`) at random moments under load, and started again.

use std::time::Duration;

use anyhow::Context as _;
use berth_tests::hubs::{CLUSTER, Hubs};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::findings::Findings;
use crate::load::{Load, answered};
use crate::terms::Terms;

const HUBS: usize = 3;
const MEMBERS: usize = 3;

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Leader,
    Hub(usize),
    Agent,
    Member(usize),
}

pub(crate) async fn run(seed: u64, rounds: usize) -> anyhow::Result<Findings> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut findings = Findings::default();
    let mut hubs = Hubs::start(HUBS, MEMBERS).await?;
    hubs.join().await?;
    let apis = hubs
        .hubs
        .iter()
        .map(berth_tests::hub::Hub::api)
        .collect::<Result<Vec<_>, _>>()?;
    let terms = Terms::watch(&apis);
    let load = Load::start(apis.clone(), "killed");
    let mut victims = Vec::new();
    for _ in 0..rounds {
        // Moments are what this is about; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        let victim = match random.random_range(0..4) {
            0 => Victim::Leader,
            1 => Victim::Hub(random.random_range(0..HUBS)),
            2 => Victim::Agent,
            _ => Victim::Member(random.random_range(0..MEMBERS)),
        };
        victims.push(format!("{victim:?}"));
        let away = Duration::from_millis(random.random_range(0..1500));
        let outcome = kill(&mut hubs, victim, away).await;
        findings.check(outcome.with_context(|| format!("{victims:?}\n{}", hubs.logs())));
    }
    match load.verify(&hubs.kube()?).await {
        Ok(count) => findings.tried(format!(
            "killed {}; {count} changes acknowledged meanwhile and all of them kept",
            victims.join(", ")
        )),
        Err(error) => findings.violation(format!("{victims:?}: {error:#}\n{}", hubs.logs())),
    }
    let connected = answered(&apis, |api| async move { api.cluster(CLUSTER).await }).await?;
    if connected?.is_none() {
        findings.violation("the cluster is not known any more");
    }
    match terms.verify() {
        Ok(count) => findings.tried(format!("{count} terms seen, each of one hub")),
        Err(error) => findings.violation(error.to_string()),
    }
    hubs.stop().await;
    Ok(findings)
}

async fn kill(hubs: &mut Hubs, victim: Victim, away: Duration) -> anyhow::Result<()> {
    match victim {
        Victim::Leader | Victim::Hub(_) => {
            let number = match victim {
                Victim::Hub(number) => number,
                _ => hubs.leader().await?,
            };
            hubs.hubs[number].process().kill().await?;
            tokio::time::sleep(away).await;
            hubs.hubs[number].start_again().await
        }
        Victim::Agent => {
            let agent = hubs.agent.as_mut().context("no agent")?;
            agent.process().kill().await?;
            tokio::time::sleep(away).await;
            agent.start_again()
        }
        Victim::Member(number) => {
            hubs.etcd.kill(number);
            tokio::time::sleep(away).await;
            hubs.etcd.restart(number)?;
            Ok(hubs.etcd.ready(number).await?)
        }
    }
}
