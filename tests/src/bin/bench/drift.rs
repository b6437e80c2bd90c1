//! A deleted NetworkPolicy comes back: from the API's answer to the deletion until a watch sees it again.

use anyhow::Context as _;
use berth_tests::waiting::Watch;
use berth_tests::world::World;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::DeleteParams;

use crate::fleet::{CLUSTERS, on};
use crate::propagation::{Sightings, watcher};
use crate::report::Table;
use crate::statistics::Samples;

const SAMPLES: usize = 60;

pub(crate) async fn measure(world: &World) -> anyhow::Result<Table> {
    let api = world.api()?;
    api.create("drifter", on(CLUSTERS[0])).await?;
    api.ready("drifter").await?;
    let kube = watcher(world, CLUSTERS[0]).await?;
    let policies = Api::<NetworkPolicy>::namespaced(kube, "t-drifter");
    let names = berth_tests::kubernetes::names(&policies, "").await?;
    let mut sightings = Sightings::start(policies.clone(), |policy| policy.metadata.name.clone()).await?;
    let mut samples = Samples::default();
    for number in 0..SAMPLES {
        let name = names.get(number % names.len().max(1)).context("no policy")?;
        policies.delete(name, &DeleteParams::default()).await?;
        let deleted = Watch::start();
        sightings.of(name).await?;
        samples.add(deleted.elapsed());
    }
    api.remove("drifter").await?;
    let mut table = Table::default();
    table.line(
        "a deleted NetworkPolicy is back",
        samples.line(),
        "5 / - / - / 20",
        "Karmada 5.7, max 16 ms; KubeFleet 34 s, max 43 s; OCM 144 s, max 204 s",
    );
    Ok(table)
}
