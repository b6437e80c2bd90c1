//! What walls and their evidence cost: a tenant until it is applied, Ready and seen to be isolated, a whole pass of probes, and what the
//! admission policies add to a request. On a cluster that is idle, and on one with many tenants.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_model::Timestamp;
use berth_proto::v1;
use berth_tests::api::{Api, condition};
use berth_tests::waiting::Watch;
use berth_tests::world::World;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::fleet::{CLUSTERS, on};
use crate::report::Table;
use crate::statistics::Samples;

const TENANTS: usize = 20;
const REQUESTS: usize = 200;
/// Tenants are made in lots of this many.
const LOT: usize = 50;

pub(crate) async fn measure(world: &World, present: usize) -> anyhow::Result<Table> {
    let mut table = Table::default();
    becoming(world, "idle", "idle", &mut table).await?;
    admission(world, &mut table).await?;
    let api = world.api()?;
    let crowd: Vec<String> = (0..present).map(|number| format!("crowd-{number}")).collect();
    for lot in crowd.chunks(LOT) {
        let made = lot.iter().map(|id| api.create(id, on(CLUSTERS[0])));
        futures::future::try_join_all(made).await?;
        futures::future::try_join_all(lot.iter().map(|id| api.ready(id))).await?;
    }
    // Probing all of them once takes a while, one after another; what is measured is a cluster that has done so.
    let proven = |id| {
        api.until(id, "Isolated", |tenant| {
            condition(tenant, "Isolated").status == "True"
        })
    };
    for id in &crowd {
        proven(id).await?;
    }
    becoming(
        world,
        "crowded",
        &format!("with {present} tenants present"),
        &mut table,
    )
    .await?;
    Ok(table)
}

/// Tenants one after another, each until it is applied, Ready and Isolated.
async fn becoming(world: &World, prefix: &str, when: &str, table: &mut Table) -> anyhow::Result<()> {
    let api = world.api()?;
    let (mut applied, mut ready, mut isolated, mut pass) = (
        Samples::default(),
        Samples::default(),
        Samples::default(),
        Samples::default(),
    );
    for number in 0..TENANTS {
        let id = format!("{prefix}-{number}");
        let watch = Watch::start();
        api.create(&id, on(CLUSTERS[0])).await?;
        for (kind, samples) in [
            ("Applied", &mut applied),
            ("Ready", &mut ready),
            ("Isolated", &mut isolated),
        ] {
            api.until(&id, kind, |tenant| condition(tenant, kind).status == "True")
                .await?;
            samples.add(watch.elapsed());
        }
        pass.add(span(&api, &id).await?);
    }
    let ids: Vec<String> = (0..TENANTS).map(|number| format!("{prefix}-{number}")).collect();
    futures::future::try_join_all(ids.iter().map(|id| api.remove(id))).await?;
    for (what, samples, aim) in [
        ("applied", applied, "p50 under 150"),
        ("Ready", ready, "p50 under 1000"),
        ("with first evidence (Isolated)", isolated, ""),
        ("a whole pass of probes", pass, ""),
    ] {
        table.line(format!("{what}, {when}"), samples.line(), aim, "");
    }
    Ok(())
}

/// How long the tenant's last pass took, by the agent's own statement.
async fn span(api: &Api, id: &str) -> anyhow::Result<Duration> {
    let name = format!("tenants/{id}/evidence");
    loop {
        let request = v1::GetEvidenceRequest { name: name.clone() };
        let answer = api.evidence().get_evidence(request).await?.into_inner();
        // It is believed before it is kept.
        let Some(proof) = answer.evidence.and_then(|evidence| evidence.proof) else {
            tokio::task::yield_now().await;
            continue;
        };
        let statement: serde_json::Value = serde_json::from_slice(&proof.statement)?;
        let at = |field: &str| -> anyhow::Result<Timestamp> {
            let text = statement[field].as_str().context("a time in the statement")?;
            Ok(text.parse()?)
        };
        return Ok(at("finishedAt")?.duration_since(at("startedAt")?).try_into()?);
    }
}

/// A pod tried in a tenant's namespace and in one that is nobody's, in turns: the difference is what the policies add.
async fn admission(world: &World, table: &mut Table) -> anyhow::Result<()> {
    let (api, kube) = (world.api()?, world.kube(CLUSTERS[0])?);
    api.create("judged", on(CLUSTERS[0])).await?;
    api.ready("judged").await?;
    let namespaces = kube::Api::<Namespace>::all(kube.clone());
    let free = serde_json::from_value(json!({"metadata": {"name": "nobodys"}}))?;
    namespaces.create(&PostParams::default(), &free).await?;
    let account = json!({"metadata": {"name": "it"}});
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "tried"},
        "spec": {
            "serviceAccountName": "it",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "image": "registry.example/i:1", "securityContext":
                {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        },
    }))?;
    let try_only = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let (mut judged, mut free) = (Samples::default(), Samples::default());
    for namespace in ["t-judged", "nobodys"] {
        let accounts =
            kube::Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(kube.clone(), namespace);
        accounts
            .create(&PostParams::default(), &serde_json::from_value(account.clone())?)
            .await?;
    }
    for _ in 0..REQUESTS {
        for (namespace, samples) in [("t-judged", &mut judged), ("nobodys", &mut free)] {
            let pods = kube::Api::<Pod>::namespaced(kube.clone(), namespace);
            let watch = Watch::start();
            pods.create(&try_only, &pod).await?;
            samples.add(watch.elapsed());
        }
    }
    ensure!(judged.count() == free.count());
    namespaces.delete("nobodys", &DeleteParams::default()).await?;
    api.remove("judged").await?;
    table.line("a pod where no policy judges it", free.line(), "", "");
    table.line(
        "a pod in a tenant's namespace, with quota and limits",
        judged.line(),
        "",
        "",
    );
    let added = judged.quantile(99).saturating_sub(free.quantile(99));
    table.line(
        "added at p50 and p99",
        format!(
            "{} / {} ms",
            crate::statistics::milliseconds(judged.median().saturating_sub(free.median())),
            crate::statistics::milliseconds(added)
        ),
        "",
        "",
    );
    Ok(())
}
