//! Applying one tenant: time and requests, against plain server-side apply of the same objects, one call after another.

use std::collections::BTreeMap;

use anyhow::ensure;
use berth_tests::kubernetes::{writes, written};
use berth_tests::waiting::Watch;
use berth_tests::world::World;
use berth_tests::{kubernetes, objects};

use crate::fleet::{CLUSTERS, on};
use crate::report::Table;
use crate::statistics::{Samples, ratio};

const TENANTS: usize = 20;

pub(crate) async fn measure(world: &World) -> anyhow::Result<Table> {
    let (api, kube) = (world.api()?, world.kube(CLUSTERS[0])?);
    let (mut raw, mut berth) = (Samples::default(), Samples::default());
    let objects = objects::rendered("raw", "standard")?.len();
    let (mut raw_writes, mut berth_writes) = (0, 0);
    // In turns, so that both meet the same machine.
    for number in 0..TENANTS {
        let wanted = objects::rendered(&format!("raw-{number}"), "standard")?;
        let before = writes(&kube).await?;
        let watch = Watch::start();
        objects::apply(&kube, &wanted).await?;
        raw.add(watch.elapsed());
        let between = writes(&kube).await?;
        let id = format!("apply-{number}");
        let watch = Watch::start();
        api.create(&id, on(CLUSTERS[0])).await?;
        api.until(&id, "applied", |tenant| {
            berth_tests::api::condition(tenant, "Applied").status == "True"
        })
        .await?;
        berth.add(watch.elapsed());
        let after = writes(&kube).await?;
        raw_writes += appliers(&written(&before, &between));
        berth_writes += appliers(&written(&between, &after));
    }
    // All at once: the end of a namespace takes seconds of waiting.
    let ids: Vec<String> = (0..TENANTS).map(|number| format!("apply-{number}")).collect();
    futures::future::try_join_all(ids.iter().map(|id| api.remove(id))).await?;
    let raws: Vec<String> = (0..TENANTS).map(|number| format!("t-raw-{number}")).collect();
    futures::future::try_join_all(
        raws.iter()
            .map(|namespace| kubernetes::delete_namespace(&kube, namespace)),
    )
    .await?;
    ensure!(raw.count() == berth.count());
    let mut table = Table::default();
    table.line(
        format!("{objects} objects by raw calls, one after another"),
        raw.line(),
        "",
        "",
    );
    table.line(
        "a tenant, from CreateTenant to Applied at the hub",
        berth.line(),
        "p50 under 150",
        "",
    );
    table.line(
        "ratio of the medians",
        ratio(berth.median(), raw.median()),
        "1.1",
        "",
    );
    let each = |writes: u64| format!("{:.1}", writes as f64 / TENANTS as f64);
    table.line(
        "writes for a tenant, by the apiserver's metrics",
        format!("{} against {} raw", each(berth_writes), each(raw_writes)),
        "2 more",
        "about ten at the hub for each object (Karmada)",
    );
    Ok(table)
}

/// Writes of whoever applies: the controllers' own are on statuses, on accounts and configurations they make, and on what is new.
fn appliers(written: &BTreeMap<String, u64>) -> u64 {
    let of_appliers = |what: &&String| {
        what.starts_with("APPLY ") || what.starts_with("PATCH ") || what.as_str() == "POST namespaces"
    };
    written
        .iter()
        .filter(|(what, _)| of_appliers(what) && !what.ends_with(" status"))
        .map(|(_, count)| count)
        .sum()
}
