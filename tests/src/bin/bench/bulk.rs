//! Many tenants at once to one real cluster, until all their objects are there, against raw calls with as many callers as the agent
//! has.

use anyhow::{Context as _, ensure};
use berth_tests::objects;
use berth_tests::waiting::{Watch, until};
use berth_tests::world::World;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use std::time::Duration;

use crate::fleet::{CLUSTERS, footprint, on};
use crate::report::Table;
use crate::statistics::ratio;

/// As many calls at once as an agent makes.
const CALLERS: usize = 8;
const LIMIT: Duration = Duration::from_secs(600);

pub(crate) async fn measure(world: &mut World, tenants: usize) -> anyhow::Result<Table> {
    let (api, kube) = (world.api()?, world.kube(CLUSTERS[0])?);
    let wanted: Vec<_> = (0..tenants)
        .map(|number| objects::rendered(&format!("raw-{number}"), "standard"))
        .collect::<Result<_, _>>()?;
    let watch = Watch::start();
    objects::apply_all(&kube, &wanted, CALLERS).await?;
    let raw = watch.elapsed();
    clear(&kube, "t-raw-").await?;

    let agent = &mut world.member(CLUSTERS[0])?.agent;
    let cpu_before = agent.process().cpu_time()?;
    let bindings = wanted
        .iter()
        .flatten()
        .filter(|object| object["kind"] == "RoleBinding")
        .count();
    let watch = Watch::start();
    futures::stream::iter(0..tenants)
        .map(|number| {
            let api = api.clone();
            async move { api.create(&format!("bulk-{number}"), on(CLUSTERS[0])).await }
        })
        .buffer_unordered(32)
        .try_collect::<Vec<_>>()
        .await
        .context("create the tenants")?;
    let accepted = watch.elapsed();
    // Bindings come last: when all are there, everything is.
    let all = Api::<RoleBinding>::all(kube.clone());
    until(LIMIT, "all tenants are there", || async {
        let ours = ListParams::default().labels(berth_model::label::TENANT);
        let there = all.list_metadata(&ours).await?.items;
        let there = there
            .iter()
            .filter(|it| in_bulk(it.metadata.namespace.as_deref()))
            .count();
        ensure!(there >= bindings, "{there} of {bindings} bindings");
        Ok(Some(()))
    })
    .await?;
    let berth = watch.elapsed();
    for number in 0..tenants {
        api.until_within(
            LIMIT,
            &format!("bulk-{number}"),
            "Ready",
            berth_tests::api::is_ready,
        )
        .await?;
    }
    let ready = watch.elapsed();
    let cpu = world
        .member(CLUSTERS[0])?
        .agent
        .process()
        .cpu_time()?
        .saturating_sub(cpu_before);

    let mut table = Table::default();
    let seconds = |duration: Duration| format!("{:.1} s", duration.as_secs_f64());
    let count = wanted.iter().map(Vec::len).sum::<usize>();
    table.line(
        format!("{tenants} tenants, {count} objects, by raw calls, {CALLERS} callers"),
        seconds(raw),
        "",
        "",
    );
    table.line("accepted by the hub", seconds(accepted), "", "");
    table.line(
        "all objects there",
        seconds(berth),
        "",
        "OCM 94 s, KubeFleet 127 to 282 s, Karmada 439 s",
    );
    table.line("ratio", ratio(berth, raw), "1.5", "");
    table.line("all Ready at the hub", seconds(ready), "", "");
    table.line("CPU of the agent for that", seconds(cpu), "", "");
    let mut memory = footprint(world, &format!("{tenants} tenants")).await?;
    table.append(&mut memory);
    Ok(table)
}

fn in_bulk(namespace: Option<&str>) -> bool {
    namespace.is_some_and(|namespace| namespace.starts_with("t-bulk-"))
}

/// Removes what the raw calls made, and waits until it is gone, so that the cluster is idle again.
async fn clear(kube: &Client, prefix: &str) -> anyhow::Result<()> {
    let namespaces = Api::<Namespace>::all(kube.clone());
    let names = berth_tests::kubernetes::names(&namespaces, "").await?;
    for name in names.iter().filter(|name| name.starts_with(prefix)) {
        namespaces.delete(name, &DeleteParams::default()).await?;
    }
    until(LIMIT, "the raw tenants are gone", || async {
        let names = berth_tests::kubernetes::names(&namespaces, "").await?;
        Ok((!names.iter().any(|name| name.starts_with(prefix))).then_some(()))
    })
    .await
}
