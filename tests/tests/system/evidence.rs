//! Isolation that is proven, and a wall that somebody takes away.

use anyhow::ensure;
use berth_tests::api::{condition, is_ready, of_tier};
use berth_tests::install;
use berth_tests::world::World;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::DeleteParams;

use crate::CLUSTER;

pub(crate) async fn walls_are_seen_to_hold_and_a_policy_that_is_taken_away_makes_its_tenants_unready(
    world: &mut World,
) -> anyhow::Result<()> {
    let (api, cli, kube) = (world.api()?, world.cli(), world.kube(CLUSTER)?);
    api.create("proven", of_tier("standard")).await?;
    api.ready("proven").await?;
    api.until("proven", "Isolated", |tenant| {
        condition(tenant, "Isolated").status == "True"
    })
    .await?;
    let shown: serde_json::Value =
        serde_json::from_str(&cli.output(&["get", "evidence", "proven", "-o", "json"]).await?)?;
    ensure!(shown["status"]["result"] == "Passed", "{shown:#}");
    ensure!(shown["status"]["proof"]["signature"].is_string(), "{shown:#}");
    ensure!(
        shown["status"]["probes"]
            .as_array()
            .is_some_and(|probes| probes.len() > 40),
        "{shown:#}"
    );
    let table = cli.output(&["get", "evidence"]).await?;
    let line = table
        .lines()
        .find(|line| line.starts_with("proven "))
        .unwrap_or_default();
    ensure!(line.contains("Passed"), "{table}");

    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(kube.clone());
    bindings
        .delete("berth-pool-bounds", &DeleteParams::default())
        .await?;
    let tenant = api
        .until("proven", "not isolated", |tenant| {
            condition(tenant, "Isolated").status == "False"
        })
        .await?;
    let told = condition(&tenant, "Isolated").message;
    ensure!(
        told.contains("ValidatingAdmissionPolicyBinding berth-pool-bounds is not there"),
        "{told}"
    );
    ensure!(!is_ready(&tenant));
    let described = cli.output(&["describe", "tenant", "proven"]).await?;
    ensure!(
        described.contains("stands-binding-berth-pool-bounds"),
        "{described}"
    );

    install::apply(&kube, &install::rights()).await?;
    api.until("proven", "isolated again", |tenant| {
        condition(tenant, "Isolated").status == "True" && is_ready(tenant)
    })
    .await?;
    cli.output(&["probe", "tenant", "proven"]).await?;
    api.remove("proven").await
}
