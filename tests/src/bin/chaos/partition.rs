//! Hubs, etcd and the agent are cut off from each other: dropped without a word, both ways or one.
//!
//! Whoever is cut off from etcd does not lead for longer than its lease; an agent that is cut off keeps what it has; what was
//! acknowledged is there when the cables are whole again.

use anyhow::{Context as _, ensure};
use berth_tests::api::{Api, is_ready};
use berth_tests::hubs::CLUSTER;
use berth_tests::kubernetes;
use berth_tests::waiting::{LONG, until};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::DeleteParams;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use crate::findings::Findings;
use crate::fleet::{AGENT, ETCD, Fleet, HUBS, leader};
use crate::load::{Load, answered, create};
use crate::terms::Terms;

/// What is cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// The leader from etcd.
    LeaderFromEtcd,
    /// What the leader says to etcd; it still hears.
    LeaderToEtcd,
    /// What etcd says to the leader; it is still asked.
    EtcdToLeader,
    /// The hub that follows from etcd.
    FollowerFromEtcd,
    /// The agent from the leader.
    AgentFromLeader,
    /// What the agent says to the leader.
    AgentToLeader,
    /// What the leader says to the agent.
    LeaderToAgent,
    /// The agent from all hubs.
    AgentFromAll,
}

const CUTS: [Cut; 8] = [
    Cut::LeaderFromEtcd,
    Cut::LeaderToEtcd,
    Cut::EtcdToLeader,
    Cut::FollowerFromEtcd,
    Cut::AgentFromLeader,
    Cut::AgentToLeader,
    Cut::LeaderToAgent,
    Cut::AgentFromAll,
];

pub(crate) async fn run(seed: u64, rounds: usize) -> anyhow::Result<Findings> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut findings = Findings::default();
    let mut fleet = Fleet::start().await?;
    let apis = fleet.apis()?;
    let terms = Terms::watch(&apis);
    create(&apis, "witness").await?;
    ready(&apis, "witness").await?;
    let mut acknowledged = 0;
    for round in 0..rounds {
        let mut cuts = CUTS;
        cuts.shuffle(&mut random);
        for (number, cut) in cuts.into_iter().enumerate() {
            let load = Load::start(apis.clone(), &format!("parted-{round}-{number}"));
            let outcome = parted(&mut fleet, &apis, cut).await;
            let healed = fleet.network.heal().await;
            let words = || format!("round {round}, {cut:?}\n{}", fleet.logs());
            findings.check(outcome.and(healed).with_context(words));
            match load.verify(&fleet.kube).await.with_context(words) {
                Ok(count) => acknowledged += count,
                Err(error) => findings.violation(format!("{error:#}")),
            }
        }
    }
    match terms.verify() {
        Ok(count) => findings.tried(format!(
            "{} cuts, {count} terms seen, each of one hub; {acknowledged} changes acknowledged meanwhile and all of them kept",
            CUTS.len() * rounds
        )),
        Err(error) => findings.violation(error.to_string()),
    }
    fleet.stop().await;
    Ok(findings)
}

/// Cuts, and looks whether everybody does as they must while it is cut.
async fn parted(fleet: &mut Fleet, apis: &[Api], cut: Cut) -> anyhow::Result<()> {
    let first = leader(apis, None).await?;
    let (leads, follows) = (HUBS[first], HUBS[1 - first]);
    let network = &mut fleet.network;
    match cut {
        Cut::LeaderFromEtcd => network.part(leads, ETCD).await?,
        Cut::LeaderToEtcd => network.cut(leads, ETCD).await?,
        Cut::EtcdToLeader => network.cut(ETCD, leads).await?,
        Cut::FollowerFromEtcd => network.part(follows, ETCD).await?,
        Cut::AgentFromLeader => network.part(AGENT, leads).await?,
        Cut::AgentToLeader => network.cut(AGENT, leads).await?,
        Cut::LeaderToAgent => network.cut(leads, AGENT).await?,
        Cut::AgentFromAll => {
            network.part(AGENT, leads).await?;
            network.part(AGENT, follows).await?;
        }
    }
    match cut {
        Cut::LeaderFromEtcd | Cut::LeaderToEtcd | Cut::EtcdToLeader => {
            leader(apis, Some(first)).await?;
            // Now two would lead if the first did not know better.
            let old = apis[first].hub().await?;
            ensure!(old.role != "leading", "the hub that was cut off says {old:?}");
            // The other one has the agent, and does its work.
            answered(apis, |api| async move { api.tenant("witness").await }).await??;
            Ok(())
        }
        Cut::FollowerFromEtcd => {
            let leads = apis[first].hub().await?;
            ensure!(leads.role == "leading", "the leader says {leads:?}");
            Ok(())
        }
        Cut::AgentFromLeader | Cut::AgentToLeader | Cut::LeaderToAgent | Cut::AgentFromAll => {
            until(LONG, "the hub notices that the agent is silent", || async {
                let cluster = answered(apis, |api| async move { api.cluster(CLUSTER).await }).await??;
                let status = cluster.and_then(|cluster| cluster.status).unwrap_or_default();
                let connected = berth_tests::api::truth(&status.conditions, "Connected");
                ensure!(connected != "True", "the agent is {connected}");
                Ok(Some(()))
            })
            .await?;
            kept(fleet).await
        }
    }
}

/// The agent alone keeps what it has: it is there, and what is taken away comes back.
async fn kept(fleet: &Fleet) -> anyhow::Result<()> {
    let namespace = kubernetes::namespace(&fleet.kube, "t-witness").await?;
    ensure!(
        namespace.is_some_and(|it| it.metadata.deletion_timestamp.is_none()),
        "a namespace is gone while the agent was cut off"
    );
    let quotas = kube::Api::<ResourceQuota>::namespaced(fleet.kube.clone(), "t-witness");
    let name = kubernetes::names(&quotas, "").await?.pop().context("no quota")?;
    quotas.delete(&name, &DeleteParams::default()).await?;
    kubernetes::appears(&quotas, &name).await.map(drop)
}

async fn ready(apis: &[Api], id: &str) -> anyhow::Result<()> {
    until(LONG, &format!("{id} is ready"), || async {
        let tenant = answered(apis, |api| async move { api.tenant(id).await }).await??;
        Ok(is_ready(&tenant).then_some(()))
    })
    .await
}
