use berth_fake::embedded::{EmbeddedCluster, Options};
use berth_model::Timestamp;
use berth_runtime::clock::ManualClock;
use serde_json::{Value, json};

use super::*;
use crate::acting;

const fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_free_lease_and_ones_own_are_taken_at_once() {
    assert_eq!(judge(&mut None, "", "1", "us", second(0)), Verdict::Take);
    assert_eq!(judge(&mut None, "us", "1", "us", second(0)), Verdict::Take);
    assert_eq!(
        judge(&mut None, "them", "1", "us", second(1_000_000)),
        Verdict::Wait
    );
}

#[test]
fn a_holder_is_gone_when_its_lease_was_seen_unchanged_for_the_whole_duration() {
    let mut sight = None;
    assert_eq!(judge(&mut sight, "them", "1", "us", second(100)), Verdict::Wait);
    assert_eq!(judge(&mut sight, "them", "1", "us", second(109)), Verdict::Wait);
    assert_eq!(judge(&mut sight, "them", "2", "us", second(109)), Verdict::Wait);
    assert_eq!(judge(&mut sight, "them", "2", "us", second(118)), Verdict::Wait);
    assert_eq!(judge(&mut sight, "them", "2", "us", second(119)), Verdict::Take);
}

const NAMESPACE: &str = "berth-system";

async fn cluster() -> EmbeddedCluster {
    let cluster = EmbeddedCluster::start_bare(Options::default()).await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let request = http::Request::post("/api/v1/namespaces").body(namespace.to_string().into_bytes());
    cluster.client().request::<Value>(request.unwrap()).await.unwrap();
    cluster
}

fn lease(cluster: &EmbeddedCluster, us: &str, clock: &ManualClock) -> ActingLease {
    ActingLease::new(cluster.client(), NAMESPACE, us.into(), Arc::new(clock.clone()))
}

async fn writes(client: &Client, name: &str) -> Result<(), kube::Error> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
    let request = http::Request::post(path).body(map.to_string().into_bytes());
    client.request::<Value>(request.unwrap()).await.map(drop)
}

async fn there(client: &Client, name: &str) -> bool {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}");
    let request = http::Request::get(path).body(Vec::new());
    client.request::<Value>(request.unwrap()).await.is_ok()
}

#[tokio::test]
async fn an_agent_that_was_paused_past_its_lease_writes_nothing_when_it_goes_on_and_leaves() {
    let cluster = cluster().await;
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let (older, newer) = (lease(&cluster, "older", &clock), lease(&cluster, "newer", &clock));
    let older_writes = acting::client(cluster.client(), older.acting());
    let newer_writes = acting::client(cluster.client(), newer.acting());
    assert!(writes(&older_writes, "too-early").await.is_err());
    older.acquire().await.unwrap();
    writes(&older_writes, "held").await.unwrap();

    // Paused: nobody drives it. The newer one waits until the Lease was seen unchanged for its whole duration.
    let waiting = tokio::spawn(async move {
        newer.acquire().await.unwrap();
        newer
    });
    while !waiting.is_finished() {
        clock.wait_for_sleepers(1).await;
        clock.advance(LOOK_EVERY);
        tokio::task::yield_now().await;
    }
    let newer = waiting.await.unwrap();
    assert!(clock.monotonic() >= DURATION);
    writes(&newer_writes, "by-the-newer").await.unwrap();

    // It goes on: before it has even looked at the Lease it writes nothing, though it may look.
    let refused = writes(&older_writes, "late").await.unwrap_err();
    assert!(refused.to_string().contains("Lease"), "{refused}");
    assert!(!there(&cluster.client(), "late").await);
    assert!(there(&older_writes, "by-the-newer").await);
    // And when it looks, it leaves.
    let leaving = tokio::spawn(async move { older.keep().await });
    while !leaving.is_finished() {
        clock.wait_for_sleepers(1).await;
        clock.advance(RENEW_EVERY);
        tokio::task::yield_now().await;
    }
    assert!(matches!(leaving.await.unwrap(), Error::LeaseLost(holder) if holder == "newer"));
    // The newer one has not been disturbed, as long as it keeps its Lease.
    assert!(newer.renew().await.unwrap().is_none());
    writes(&newer_writes, "again").await.unwrap();
}

#[tokio::test]
async fn a_holder_that_cannot_renew_stops_writing_before_another_may_begin() {
    let cluster = cluster().await;
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let lease = lease(&cluster, "us", &clock);
    let client = acting::client(cluster.client(), lease.acting());
    lease.acquire().await.unwrap();
    clock.advance(ACTS_FOR.saturating_sub(Duration::from_millis(1)));
    writes(&client, "in-time").await.unwrap();
    clock.advance(Duration::from_millis(1));
    assert!(writes(&client, "late").await.is_err());
    const { assert!(ACTS_FOR.as_millis() < DURATION.as_millis()) };
    // Nobody took it: it goes on.
    assert!(lease.renew().await.unwrap().is_none());
    writes(&client, "later").await.unwrap();
    lease.release().await;
    assert!(writes(&client, "after-the-end").await.is_err());
}
