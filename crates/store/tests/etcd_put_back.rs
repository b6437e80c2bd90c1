//! An etcd that is put back to an earlier state under a store whose lease was in force then too, so that it would go on leading.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod etcd_support;

use std::time::Duration;

use berth_store::{Candidate, Election, EtcdOptions, EtcdStore, Store, StoreError, Txn, Watch};
use etcd_support::{etcd, key, options, store};
use futures::StreamExt;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), work).await.unwrap()
}

/// What comes of a transaction once etcd answers.
async fn answered(store: &EtcdStore, txn: Txn) -> Result<(), StoreError> {
    soon(async {
        loop {
            match store.txn(txn.clone()).await {
                Err(error) if error.retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
                answer => return answer.map(drop),
            }
        }
    })
    .await
}

/// A watch that does not go on in the past.
async fn ended(watch: &mut Watch) {
    match soon(watch.next()).await {
        Some(Err(StoreError::NotLeader)) => {}
        other => panic!("a watch goes on in the past: {other:?}"),
    }
}

/// Who finds it out first.
#[derive(PartialEq, Eq)]
enum First {
    Write,
    Watch,
}

async fn put_back(first: First) {
    let mut etcd = etcd(1, &[]).await;
    let leader = EtcdStore::connect(&EtcdOptions {
        lease_ttl: Duration::from_secs(60),
        ..options(&etcd)
    })
    .await
    .unwrap();
    let candidate = Candidate::default();
    let leadership = leader.campaign(&candidate).await.unwrap();
    let write = |name: &str| Txn::new().put(key(name), "x");
    leader.txn(write("before")).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    etcd.kill_all();
    etcd.copy_data(copy.path()).unwrap();
    etcd.start_all().await.unwrap();
    answered(&leader, write("lost")).await.unwrap();
    let known = leader.writes().unwrap();
    let mut watch = leader.watch(leader.revision().await.unwrap()).await.unwrap();

    etcd.kill_all();
    etcd.put_data_back(copy.path()).unwrap();
    etcd.start_all().await.unwrap();
    // The lease and the election key are as they were: nothing but the count tells.
    if first == First::Watch {
        ended(&mut watch).await;
    }
    let refused = answered(&leader, write("after")).await;
    assert!(matches!(refused, Err(StoreError::NotLeader)), "{refused:?}");
    soon(leadership.lost()).await;
    if first == First::Write {
        ended(&mut watch).await;
    }
    let tool = store(&etcd).await;
    for (name, there) in [("before", true), ("lost", false), ("after", false)] {
        assert_eq!(tool.get(&key(name)).await.unwrap().is_some(), there, "{name}");
    }

    // It may lead again, and counts as etcd does.
    drop(leadership);
    let _again = soon(leader.campaign(&candidate)).await.unwrap();
    leader.txn(write("after")).await.unwrap();
    assert!(leader.writes().unwrap() <= known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_etcd_was_put_back_writes_nothing_and_leads_no_more() {
    put_back(First::Write).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_watch_finds_etcd_put_back_writes_nothing_either() {
    put_back(First::Watch).await;
}
