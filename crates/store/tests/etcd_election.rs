//! The rules of an election on a real etcd, and what a leader must not do that was away too long.
#![expect(clippy::unwrap_used, reason = "tests")]

mod etcd_support;

use std::{sync::Arc, time::Duration};

use berth_fake::control_plane::EtcdCluster;
use berth_runtime::clock::ManualClock;
use berth_store::{
    Candidate, Election, EtcdOptions, EtcdStore, MAX_COMPARES, MAX_WRITES, Store, StoreError, Txn,
    conformance::election::Arena,
};
use etcd_support::{key, options, proxy::Proxy, store};

struct OnEtcd(EtcdCluster);

#[async_trait::async_trait]
impl Arena for OnEtcd {
    type Hub = EtcdStore;
    async fn hub(&self) -> EtcdStore {
        store(&self.0).await
    }
}

berth_store::election_suite!(OnEtcd(etcd_support::etcd(1, &[]).await));

fn candidate(id: &str) -> Candidate {
    Candidate {
        id: id.to_owned(),
        ..Candidate::default()
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.unwrap()
}

fn not_leader<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::NotLeader)), "{answer:?}");
}

#[tokio::test]
async fn a_leader_that_is_cut_off_knows_when_its_lease_is_over_and_what_it_sent_late_is_refused() {
    let etcd = etcd_support::etcd(1, &[]).await;
    let proxy = Proxy::before(&etcd.client_urls()[0]).await;
    let far = EtcdStore::connect(&EtcdOptions {
        endpoints: vec![proxy.url()],
        ..options(&etcd)
    })
    .await
    .unwrap();
    let near = store(&etcd).await;
    let old = soon(far.campaign(&candidate("far"))).await.unwrap();
    far.txn(Txn::new().put(key("before"), "x")).await.unwrap();

    proxy.silent(true);
    // Sent while it still leads, and held up on the way until another one does.
    let late = tokio::spawn({
        let far = far.clone();
        async move { far.txn(Txn::new().put(key("late"), "x")).await }
    });
    let rival = candidate("near");
    let (new, ()) = soon(async { tokio::join!(near.campaign(&rival), old.lost()) }).await;
    let new = new.unwrap();
    assert!(!old.holds() && new.holds());
    assert_eq!(
        *far.leader().borrow(),
        None,
        "it does not name itself, and cannot know the next one"
    );
    proxy.silent(false);

    assert!(late.await.unwrap().is_err());
    not_leader(far.txn(Txn::new().put(key("later"), "x")).await);
    // A read that passes the same connection after the late write.
    assert!(far.get(&key("before")).await.unwrap().is_some());
    near.txn(Txn::new().put(key("after"), "x")).await.unwrap();
    for refused in ["late", "later"] {
        assert_eq!(near.get(&key(refused)).await.unwrap(), None, "{refused}");
    }
    soon(far.leader().wait_for(|leader| *leader == Some(candidate("near"))))
        .await
        .unwrap();
    assert!(new.holds());
}

#[tokio::test]
async fn a_leader_whose_clock_stood_still_is_refused_by_etcd_itself() {
    let etcd = etcd_support::etcd(1, &[]).await;
    // By this clock no time passes: the lease never ends, and nothing keeps it alive.
    let still = EtcdStore::connect_with(&options(&etcd), Arc::new(ManualClock::default()))
        .await
        .unwrap();
    let other = store(&etcd).await;
    let old = soon(still.campaign(&candidate("still"))).await.unwrap();
    let first = still.fence().unwrap();
    let _new = soon(other.campaign(&candidate("other"))).await.unwrap();
    assert!(old.holds(), "by its own clock");
    assert!(other.fence().unwrap() > first);
    not_leader(still.txn(Txn::new().put(key("a"), "x")).await);
    assert!(!old.holds(), "it was told");
    soon(old.lost()).await;
    assert_eq!(other.get(&key("a")).await.unwrap(), None);
}

#[test]
fn a_leader_that_was_paused_past_its_lease_knows_at_once_and_writes_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let etcd = runtime.block_on(etcd_support::etcd(1, &[]));
    let options = options(&etcd);
    let (leads, led) = std::sync::mpsc::channel();
    let (wake, woken) = std::sync::mpsc::channel::<()>();
    let paused = std::thread::spawn(move || {
        let alone = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        alone.block_on(async {
            let store = EtcdStore::connect(&options).await.unwrap();
            let leadership = store.campaign(&candidate("paused")).await.unwrap();
            store.txn(Txn::new().put(key("before"), "x")).await.unwrap();
            leads.send(()).unwrap();
            // As stopped by a signal: nothing of this runtime goes on, no keepalive, no connection.
            woken.recv().unwrap();
            assert!(!leadership.holds());
            not_leader(store.txn(Txn::new().put(key("after"), "x")).await);
            leadership.lost().await;
        });
    });
    led.recv().unwrap();
    runtime.block_on(async {
        let next = store(&etcd).await;
        let leadership = soon(next.campaign(&candidate("next"))).await.unwrap();
        wake.send(()).unwrap();
        tokio::task::spawn_blocking(move || paused.join().unwrap())
            .await
            .unwrap();
        assert!(leadership.holds());
        assert_eq!(next.get(&key("after")).await.unwrap(), None);
        assert!(next.get(&key("before")).await.unwrap().is_some());
    });
}

#[tokio::test]
async fn a_leader_stays_leader_for_many_leases_and_through_a_short_break() {
    let etcd = etcd_support::etcd(1, &[]).await;
    let proxy = Proxy::before(&etcd.client_urls()[0]).await;
    let through = EtcdOptions {
        endpoints: vec![proxy.url()],
        ..options(&etcd)
    };
    let (hub, other) = (EtcdStore::connect(&through).await.unwrap(), store(&etcd).await);
    let leadership = soon(hub.campaign(&candidate("a"))).await.unwrap();
    let rival = candidate("b");
    let mut campaign = std::pin::pin!(other.campaign(&rival));
    for round in 0..4 {
        proxy.cut(false);
        // Longer than a lease, while a rival waits.
        let waited = tokio::time::timeout(Duration::from_millis(2500), &mut campaign).await;
        assert!(waited.is_err(), "the rival leads in round {round}");
        assert!(leadership.holds());
        let write = Txn::new().put(key(format!("round/{round}")), "x");
        hub.txn(write).await.unwrap();
    }
    drop(leadership);
    assert!(soon(campaign).await.unwrap().holds());
}

#[tokio::test]
async fn a_tool_sees_whether_somebody_leads() {
    let etcd = etcd_support::etcd(1, &[]).await;
    let (tool, hub) = (store(&etcd).await, store(&etcd).await);
    assert_eq!(tool.leader_now().await.unwrap(), None);
    let leadership = soon(hub.campaign(&candidate("a"))).await.unwrap();
    assert_eq!(tool.leader_now().await.unwrap(), Some(candidate("a")));
    drop(leadership);
    hub.close().await;
    assert_eq!(
        tool.leader_now().await.unwrap(),
        None,
        "close returns when it is given up"
    );
}

#[tokio::test]
async fn a_leaders_largest_transaction_is_taken_and_the_same_with_a_wrong_compare_is_not() {
    let etcd = etcd_support::etcd(1, &[]).await;
    let hub = store(&etcd).await;
    let _leadership = soon(hub.campaign(&candidate("a"))).await.unwrap();
    let largest = (0..MAX_WRITES).fold(Txn::new(), |txn, at| {
        let name = key(format!("k/{at}"));
        txn.if_absent(name.clone()).put(name, "x")
    });
    assert_eq!(largest.compares.len(), MAX_COMPARES);
    let written = hub.txn(largest.clone()).await.unwrap();
    match hub.txn(largest).await {
        Err(StoreError::Conflict { key: first, found }) => {
            assert_eq!((first, found), (key("k/0"), Some(written)))
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
}
