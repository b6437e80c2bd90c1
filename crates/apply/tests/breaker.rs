//! The agent's mass-delete breaker on a real API server: what it stops, and what it remembers there.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod support;

use std::time::Duration;

use berth_apply::{BreakerLimits, BreakerState};
use berth_model::{Term, report::ApplyState};

use support::{Cluster, Running, Tenant};

/// One tenant may go.
const STRICT: BreakerLimits = BreakerLimits {
    tenants: 1,
    percent: 10,
    window: Duration::from_secs(600),
};

async fn held(engine: &Running, names: &[&str]) -> Vec<Tenant> {
    let tenants: Vec<Tenant> = names.iter().map(|name| Tenant::new(name)).collect();
    for tenant in &tenants {
        engine.assign(tenant).await;
        engine.applied(tenant).await;
    }
    tenants
}

async fn withdraw(engine: &Running, tenant: &Tenant) {
    engine
        .engine
        .withdraw(tenant.id(), tenant.assignment().uid, Term(1))
        .await
        .unwrap();
}

async fn withdrawn(engine: &Running, tenant: &Tenant) {
    engine
        .report(tenant, |report| report.apply == ApplyState::Withdrawn)
        .await;
}

/// Waits until the tenant is reported as stopped by the breaker.
async fn stopped(engine: &Running, tenant: &Tenant) {
    let open = |apply: &ApplyState| {
        matches!(apply, ApplyState::WithdrawFailed { reason, message }
            if reason == "BreakerOpen" && message.contains("berth release-breaker"))
    };
    engine.report(tenant, |report| open(&report.apply)).await;
}

async fn untouched(cluster: &Cluster, tenant: &Tenant) -> bool {
    cluster.get(&tenant.namespace()).await.unwrap()["metadata"]["deletionTimestamp"].is_null()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_withdrawal_stops_until_an_operator_confirms_whatever_restarts() {
    let cluster = Cluster::of("breaker").await;
    let engine = cluster.start_with(|options| options.breaker = STRICT).await;
    let tenants = held(&engine, &["breaker-a", "breaker-b", "breaker-c"]).await;
    withdraw(&engine, &tenants[0]).await;
    withdrawn(&engine, &tenants[0]).await;
    engine.stop().await;

    // The hub is still wrong after a restart: what went before counts.
    let engine = cluster.start_with(|options| options.breaker = STRICT).await;
    assert_eq!(engine.engine.breaker(), BreakerState::Closed);
    withdraw(&engine, &tenants[1]).await;
    stopped(&engine, &tenants[1]).await;
    assert_eq!(engine.engine.breaker(), BreakerState::Tripped);
    engine.stop().await;

    // A restart does not close it, and what was stopped is still held.
    let engine = cluster.start_with(|options| options.breaker = STRICT).await;
    assert_eq!(engine.engine.breaker(), BreakerState::Tripped);
    assert_eq!(engine.engine.held().len(), 2);
    for tenant in &tenants[1..] {
        withdraw(&engine, tenant).await;
        stopped(&engine, tenant).await;
        assert!(untouched(&cluster, tenant).await);
    }
    engine.engine.release_breaker().await;
    for tenant in &tenants[1..] {
        withdrawn(&engine, tenant).await;
    }
    // What was released stays released.
    let ledger = format!(
        "/api/v1/namespaces/{}/configmaps/ledger-breaker",
        cluster.agent_namespace
    );
    cluster
        .until(&ledger, |map| {
            map.is_some_and(|map| map["data"]["record"].as_str().unwrap().contains("releasedAt"))
        })
        .await;
    engine.stop().await;
    let engine = cluster.start_with(|options| options.breaker = STRICT).await;
    assert_eq!(engine.engine.breaker(), BreakerState::Closed);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_confirmed_at_the_hub_passes_and_is_not_counted() {
    let cluster = Cluster::of("confirmed").await;
    let engine = cluster.start_with(|options| options.breaker = STRICT).await;
    let names = ["confirmed-a", "confirmed-b", "confirmed-c", "confirmed-d"];
    let tenants = held(&engine, &names).await;
    withdraw(&engine, &tenants[0]).await;
    withdrawn(&engine, &tenants[0]).await;
    withdraw(&engine, &tenants[1]).await;
    stopped(&engine, &tenants[1]).await;
    for tenant in &tenants[1..3] {
        let uid = tenant.assignment().uid;
        engine
            .engine
            .withdraw_confirmed(tenant.id(), uid, Term(1))
            .await
            .unwrap();
        withdrawn(&engine, tenant).await;
    }
    // What nobody confirmed is stopped as before.
    withdraw(&engine, &tenants[3]).await;
    stopped(&engine, &tenants[3]).await;
    assert!(untouched(&cluster, &tenants[3]).await);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breakers_memory_that_cannot_be_read_is_one_that_has_tripped() {
    let cluster = Cluster::of("damaged").await;
    let collection = format!("/api/v1/namespaces/{}/configmaps", cluster.agent_namespace);
    let nonsense = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "ledger-breaker", "labels": { "berth.dev/ledger": "breaker" } },
        "data": { "format": "1", "record": "{" },
    });
    cluster.create(&collection, &nonsense).await;
    let engine = cluster.start().await;
    assert_eq!(engine.engine.breaker(), BreakerState::Tripped);
    engine.stop().await;
}
