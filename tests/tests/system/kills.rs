//! `kill -9` at any moment: nothing that was acknowledged is lost, nothing is done twice.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_model::label;
use berth_tests::api::{is_ready, of_tier};
use berth_tests::world::World;
use berth_tests::{kubernetes, waiting};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::Api;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tonic::Code;

use crate::{CLUSTER, members};

const TENANTS: usize = 24;
const KILLS: usize = 4;

pub(crate) async fn a_hub_killed_at_any_moment_loses_nothing_and_does_nothing_twice(
    world: &mut World,
) -> anyhow::Result<()> {
    let seed: u64 = rand::random();
    let outcome = killed_while_it_accepts(world, seed).await;
    outcome.with_context(|| format!("seed {seed}"))
}

async fn killed_while_it_accepts(world: &mut World, seed: u64) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let api = world.api()?;
    let writer = tokio::spawn({
        let api = api.clone();
        async move {
            let mut uids = BTreeMap::new();
            for number in 0..TENANTS {
                let id = format!("kept-{number}");
                let uid = accepted(&api, &id).await?;
                uids.insert(id, uid);
            }
            Ok::<_, anyhow::Error>(uids)
        }
    });
    for _ in 0..KILLS {
        let moment = Duration::from_millis(random.random_range(5..400));
        // The moment of the kill is the point of the test, not a wait for something.
        tokio::time::sleep(moment).await;
        world.hub.process().kill().await?;
        world.hub.start_again().await?;
    }
    let uids = waiting::within(waiting::LONG, "all are accepted", async { writer.await? }).await?;

    // Every acknowledged tenant is there, and is the same one.
    let stored: BTreeMap<String, String> = api
        .list()
        .await?
        .into_iter()
        .map(|tenant| (tenant.name.trim_start_matches("tenants/").to_owned(), tenant.uid))
        .filter(|(id, _)| id.starts_with("kept-"))
        .collect();
    ensure!(stored == uids, "acknowledged {uids:?}, stored {stored:?}");
    let kube = world.kube(CLUSTER)?;
    for (id, uid) in &uids {
        api.ready(id).await?;
        let namespace = kubernetes::namespace(&kube, &format!("t-{id}"))
            .await?
            .context("a namespace")?;
        let labels = namespace.metadata.labels.unwrap_or_default();
        ensure!(
            labels.get(label::TENANT_UID) == Some(uid),
            "{id}: {labels:?} instead of {uid}"
        );
    }
    let namespaces = kubernetes::names(&Api::<Namespace>::all(kube.clone()), label::TENANT).await?;
    let kept = namespaces
        .iter()
        .filter(|name| name.starts_with("t-kept-"))
        .count();
    ensure!(kept == TENANTS, "{kept} namespaces for {TENANTS} tenants");
    let deletions = uids.keys().map(|id| api.remove(id));
    futures::future::try_join_all(deletions).await?;
    Ok(())
}

/// Asks until a hub has acknowledged the tenant. An answer that was lost shows as "already exists": then it is acknowledged by
/// being read.
async fn accepted(api: &berth_tests::api::Api, id: &str) -> anyhow::Result<String> {
    waiting::until(waiting::LONG, "a hub accepts the tenant", || async {
        match api.create(id, of_tier("free")).await {
            Ok(tenant) => Ok(Some(tenant.uid)),
            Err(status) if status.code() == Code::AlreadyExists => Ok(Some(api.tenant(id).await?.uid)),
            Err(status) => Err(status.into()),
        }
    })
    .await
}

pub(crate) async fn an_agent_killed_while_it_applies_finishes_after_its_restart(
    world: &mut World,
) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTER)?);
    let ids: Vec<String> = (0..12).map(|number| format!("cut-{number}")).collect();
    for id in &ids {
        api.create(id, of_tier("standard")).await?;
    }
    // Killed when the first of them has begun to appear, and some have not.
    kubernetes::appears(&Api::<Namespace>::all(kube.clone()), "t-cut-0").await?;
    let member = world.member(CLUSTER)?;
    member.agent.process().kill().await?;
    member.agent.start_again()?;
    for id in &ids {
        api.ready(id).await?;
        members::ensure_complete(&kube, &format!("t-{id}")).await?;
    }
    futures::future::try_join_all(ids.iter().map(|id| api.remove(id))).await?;
    Ok(())
}

pub(crate) async fn an_agent_whose_pod_and_disk_are_gone_comes_back_without_a_token(
    world: &mut World,
) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTER)?);
    api.create("before", of_tier("free")).await?;
    api.ready("before").await?;
    let quotas = Api::<ResourceQuota>::namespaced(kube.clone(), "t-before");
    let before = kubernetes::names(&quotas, "").await?;

    let member = world.member(CLUSTER)?;
    member.agent.lose().await?;
    member.agent.start_again()?;
    // A change reaches the cluster through the agent that came back.
    api.create("after", of_tier("free")).await?;
    api.ready("after").await?;
    api.until("before", "Ready by new evidence", is_ready).await?;
    ensure!(kubernetes::names(&quotas, "").await? == before);
    api.remove("before").await?;
    api.remove("after").await
}
