//! A cluster whose API server does not answer while its agent lives and its hub is there.

use std::time::Duration;

use anyhow::ensure;
use berth_tests::api::{condition, evidence, is_ready, of_tier, truth};
use berth_tests::waiting;
use berth_tests::world::World;

use crate::CLUSTER;

pub(crate) async fn while_an_api_server_is_silent_its_tenants_are_unknown_and_its_agent_stays(
    world: &mut World,
) -> anyhow::Result<()> {
    let api = world.api()?;
    api.create("beneath", of_tier("free")).await?;
    api.ready("beneath").await?;

    world.cloud.pause_api(CLUSTER).await?;
    let silent_since = waiting::now();
    // Promised are 15 s; the rest is for a busy machine.
    let tenant = api
        .until_within(Duration::from_secs(60), "beneath", "Unknown", |tenant| {
            condition(tenant, "Ready").status == "Unknown"
        })
        .await?;
    ensure!(condition(&tenant, "Healthy").status == "Unknown");
    ensure!(condition(&tenant, "Placed").status == "True");
    // The agent is connected all the while, and nothing it says makes the evidence younger than its last look.
    let cluster = waiting::until(Duration::from_secs(60), "the cluster says why", || async {
        let cluster = api.cluster(CLUSTER).await?;
        let said = cluster.filter(|cluster| {
            let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice());
            truth(conditions.unwrap_or_default(), "Ready") == "False"
        });
        Ok(said)
    })
    .await?;
    let conditions = cluster.status.unwrap_or_default().conditions;
    ensure!(truth(&conditions, "Connected") == "True", "{conditions:?}");
    let reason = conditions.iter().find(|condition| condition.r#type == "Ready");
    ensure!(
        reason.is_some_and(|ready| ready.reason == "ApiServerUnreachable"),
        "{conditions:?}"
    );
    let seen = evidence(&api.tenant("beneath").await?);
    ensure!(
        seen <= silent_since + Duration::from_secs(2),
        "evidence of {seen} although nothing was seen since {silent_since}"
    );

    world.cloud.resume_api(CLUSTER).await?;
    api.until_within(waiting::LONG, "beneath", "Ready again", is_ready)
        .await?;
    api.remove("beneath").await
}
