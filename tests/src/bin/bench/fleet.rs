//! The world that is measured: a hub and three real clusters, each chosen by a label of its own.

use berth_fake::cloud::Machine;
use berth_proto::v1;
use berth_tests::api::of_tier;
use berth_tests::world::{CLUSTER_LABEL, World, WorldOptions};

use crate::report::Table;
use crate::statistics::mebibytes;

/// The clusters.
pub(crate) const CLUSTERS: [&str; 3] = ["one", "two", "three"];

/// Room for all that is measured.
const MACHINE: Machine = Machine {
    cpus: 1024,
    memory_gib: 4096,
    pods: 8000,
};

pub(crate) async fn start() -> anyhow::Result<World> {
    let clusters = CLUSTERS.map(str::to_owned).to_vec();
    World::start(&WorldOptions {
        clusters,
        machine: MACHINE,
    })
    .await
}

/// A tenant of 14 objects or so that must be on `cluster`.
pub(crate) fn on(cluster: &str) -> v1::TenantSpec {
    let placement = v1::PlacementConstraints {
        cluster_labels: [(CLUSTER_LABEL.to_owned(), cluster.to_owned())].into(),
        ..v1::PlacementConstraints::default()
    };
    v1::TenantSpec {
        placement: Some(placement),
        ..of_tier("standard")
    }
}

/// Resident memory of hub and agents.
pub(crate) async fn footprint(world: &mut World, with: &str) -> anyhow::Result<Table> {
    let mut table = Table::default();
    table.line(
        format!("hub, {with}"),
        mebibytes(world.hub.resident_memory()?),
        "60 MiB",
        "75 to 283 MiB and an apiserver of 0.4 to 1.5 GiB",
    );
    for (name, member) in &mut world.members {
        table.line(
            format!("agent of cluster {name}, {with}"),
            mebibytes(member.agent.process().resident_memory()?),
            "20 MiB, 40 MiB with 200 tenants",
            "59 to 87, with 200 tenants 76 to 206 MiB",
        );
    }
    Ok(table)
}
