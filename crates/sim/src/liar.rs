//! An agent that says of other clusters' tenants that they have failed or are gone. Nobody may believe it.

use std::time::Duration;

use berth_control::keys;
use berth_model::ClusterName;
use berth_proto::agent::{LinkRequest, Report, link_request};
use berth_store::{Page, Store as _};
use berth_wire::record;
use tokio::sync::mpsc;

use crate::{check::lie_of, world::World};

/// Passes on what the agent says, with lies in between.
#[must_use]
pub fn tell(
    world: &World,
    cluster: &ClusterName,
    mut said: mpsc::Receiver<LinkRequest>,
) -> mpsc::Receiver<LinkRequest> {
    let (say, heard) = mpsc::channel(64);
    let (world, cluster) = (world.clone(), cluster.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                biased;
                message = said.recv() => {
                    let Some(message) = message else { return };
                    if say.send(message).await.is_err() {
                        return;
                    }
                }
                () = tokio::time::sleep(Duration::from_secs(3)) => {
                    for lie in lies(&world, &cluster).await {
                        if say.send(lie).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    });
    heard
}

/// A lie of each tenant that is elsewhere.
async fn lies(world: &World, cluster: &ClusterName) -> Vec<LinkRequest> {
    let mut lies = Vec::new();
    // At rest even a liar has nothing new to say.
    if world.is_over() {
        return lies;
    }
    let memory = world.truth.memory();
    let Ok(listed) = memory.list(keys::ASSIGNMENTS, Page::first()).await else {
        return lies;
    };
    for entry in listed.entries {
        let Ok(assigned) = record::decode_assignment(&entry.value) else {
            continue;
        };
        if assigned.cluster == *cluster {
            continue;
        }
        let state = if world.dice.percent(50) {
            "failed"
        } else {
            "withdrawn"
        };
        let report = Report {
            tenant: entry.key.name().to_owned(),
            tenant_uid: assigned.tenant_uid.to_string(),
            generation: assigned.generation.0,
            digest: assigned.digest.to_string(),
            apply_state: state.into(),
            apply_reason: "Lie".into(),
            apply_message: lie_of(cluster),
            health: "Unhealthy".into(),
            health_message: lie_of(cluster),
            evidence_age: Some(berth_wire::time::span_to_proto(Duration::ZERO)),
            answers: 0,
        };
        lies.push(LinkRequest {
            message: Some(link_request::Message::Report(report)),
        });
    }
    lies
}
