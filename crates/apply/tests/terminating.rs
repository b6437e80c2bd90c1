//! A namespace that is on its way out and does not get there, on a real API server: only that has the rules about it.

mod support;

use std::time::Duration;

use berth_model::report::ApplyState;
use serde_json::json;
use support::{Cluster, Tenant};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_does_not_end_fails_its_tenant_alone_which_is_whole_again_when_it_has_ended() {
    let cluster = Cluster::of("terminating").await;
    let engine = cluster
        .start_with(|options| options.settle_timeout = Duration::from_secs(3))
        .await;
    let (ending, fine) = (Tenant::new("ending"), Tenant::new("beside"));
    engine.assign(&ending).await;
    engine.applied(&ending).await;
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "held", "finalizers": ["example.com/held"] },
    });
    cluster
        .create(&format!("{}/configmaps", ending.namespace()), &held)
        .await;
    let before = cluster.get(&ending.namespace()).await.unwrap()["metadata"]["uid"].clone();
    cluster.delete(&ending.namespace()).await;

    let waits = |apply: &ApplyState| {
        matches!(apply, ApplyState::Failed { reason, message }
            if ["Overdue", "NamespaceTerminating"].contains(&reason.as_str()) && message.contains("t-ending"))
    };
    engine.report(&ending, |report| waits(&report.apply)).await;
    // Others have nothing to do with it.
    engine.assign(&fine).await;
    engine.applied(&fine).await;
    // A new assignment does not get there either, and says why.
    let again = ending.next(|_| {});
    engine.assign(&again).await;
    engine
        .report(&again, |report| report.generation.0 == 2 && waits(&report.apply))
        .await;
    let there = cluster.get(&ending.namespace()).await.unwrap();
    assert_eq!(there["metadata"]["uid"], before, "it is still that one");

    let path = ending.path("v1", "configmaps", "held");
    cluster
        .merge(&path, "test", &json!({ "metadata": { "finalizers": null } }))
        .await;
    engine.applied(&again).await;
    let there = cluster.get(&ending.namespace()).await.unwrap();
    assert_ne!(there["metadata"]["uid"], before);
    let quota = cluster.get(&ending.path("v1", "resourcequotas", "berth")).await;
    assert!(quota.is_some());
    engine.stop().await;
}
