//! Members that die, hang and fill up under a store on a real etcd.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod etcd_support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth_model::Revision;
use berth_store::{
    Candidate, Election, EtcdOptions, EtcdStore, MAX_VALUE_BYTES, Page, Store, StoreError, Txn, Watch,
};
use etcd_client::{AlarmAction, AlarmOptions, AlarmType, Client, CompactionOptions};
use etcd_support::{etcd, key, options, store};
use futures::StreamExt;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), work).await.unwrap()
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(
        matches!(answer, Err(StoreError::Unavailable { .. })),
        "{answer:?}"
    );
}

/// Writes until one is taken; a write that is not answered may have been taken.
async fn until_written(store: &EtcdStore, name: &str) {
    let txn = Txn::new().put(key(name), "x");
    soon(async {
        loop {
            match store.txn(txn.clone()).await {
                Ok(_) => return,
                Err(error) if error.retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
}

/// What is under `name`, once etcd answers: without a leader of its own it says so.
async fn until_read(store: &EtcdStore, name: &str) -> bool {
    soon(async {
        loop {
            match store.get(&key(name)).await {
                Ok(found) => return found.is_some(),
                Err(error) if error.retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

async fn contents(store: &EtcdStore, prefix: &str) -> BTreeMap<String, Revision> {
    let (mut all, mut page) = (BTreeMap::new(), Page::first());
    loop {
        let listing = store.list(prefix, page).await.unwrap();
        let last = listing.entries.last().map(|entry| entry.key.clone());
        all.extend(
            listing
                .entries
                .into_iter()
                .map(|entry| (entry.key.to_string(), entry.revision)),
        );
        match last {
            Some(last) if listing.more => page = Page::after(last),
            _ => return all,
        }
    }
}

/// Everything a watch shows up to the key `end`, which is the last one written; in order, each change once.
async fn shown(mut watch: Watch, end: &str) -> BTreeMap<String, Revision> {
    let mut all = BTreeMap::new();
    let mut last = Revision(0);
    loop {
        let change = soon(watch.next()).await.unwrap().unwrap();
        assert!(change.revision > last, "{} after {last}", change.revision);
        last = change.revision;
        let name = change.key.to_string();
        if name == end {
            return all;
        }
        assert_eq!(all.insert(name, change.revision), None, "{} twice", change.key);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_killed_one_after_the_other_under_load_lose_no_acknowledged_write_and_no_change() {
    let mut etcd = etcd(3, &[]).await;
    let store = store(&etcd).await;
    let start = store.revision().await.unwrap();
    let watching = tokio::spawn(shown(store.watch(start).await.unwrap(), "end"));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (store, acknowledged, stop) = (store.clone(), Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(async move {
                for at in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = format!("w/{writer}/{at}");
                    match store.txn(Txn::new().put(key(&name), "x")).await {
                        Ok(_) => assert!(acknowledged.lock().unwrap().insert(name)),
                        Err(error) => assert!(error.retryable(), "{error}"),
                    }
                }
            })
        })
        .collect();
    let more = async |count: usize| {
        let wanted = acknowledged.lock().unwrap().len() + count;
        soon(async {
            while acknowledged.lock().unwrap().len() < wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    more(200).await;
    for victim in 0..3 {
        etcd.kill(victim);
        more(200).await;
        etcd.restart(victim).unwrap();
        etcd.ready(victim).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    until_written(&store, "end").await;

    let kept = contents(&store, "w/").await;
    let acknowledged = acknowledged.lock().unwrap().clone();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|name| !kept.contains_key(*name))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}",
        lost.len(),
        acknowledged.len()
    );
    assert_eq!(
        watching.await.unwrap(),
        kept,
        "what the watch has shown is what there is"
    );
}

#[tokio::test]
async fn without_a_quorum_nothing_is_answered_and_with_one_it_goes_on_by_itself() {
    let mut etcd = etcd(3, &[]).await;
    let store = store(&etcd).await;
    until_written(&store, "before").await;
    let watching = tokio::spawn(shown(store.watch(Revision(1)).await.unwrap(), "after"));
    etcd.kill(1);
    etcd.kill(2);
    // A request may still be answered by what the last quorum agreed on; then there is none.
    soon(async { while store.txn(Txn::new().put(key("during"), "x")).await.is_ok() {} }).await;
    unavailable(store.txn(Txn::new().put(key("during"), "x")).await);
    unavailable(store.get(&key("before")).await);
    unavailable(store.list("", Page::first()).await);
    etcd.restart(1).unwrap();
    until_written(&store, "after").await;
    assert!(soon(watching).await.unwrap().contains_key("before"));
    let all = contents(&store, "").await;
    assert!(all.contains_key("before") && all.contains_key("after"));
}

#[tokio::test]
async fn a_hanging_etcd_is_waited_for_no_longer_than_the_request_timeout() {
    let mut etcd = etcd(1, &[]).await;
    let patience = Duration::from_secs(1);
    let store = EtcdStore::connect(&EtcdOptions {
        request_timeout: patience,
        ..options(&etcd)
    })
    .await
    .unwrap();
    until_written(&store, "before").await;
    etcd.pause(0).await.unwrap();
    let started = tokio::time::Instant::now();
    unavailable(store.txn(Txn::new().put(key("during"), "x")).await);
    unavailable(store.get(&key("before")).await);
    assert!(
        started.elapsed() >= patience,
        "it was not the timeout that ended them"
    );
    etcd.resume(0).unwrap();
    until_written(&store, "after").await;
    assert!(until_read(&store, "before").await);
}

#[tokio::test]
async fn one_hanging_member_of_three_stops_neither_reads_nor_a_leader() {
    let mut etcd = etcd(3, &[]).await;
    let store = EtcdStore::connect(&EtcdOptions {
        // It may be the one that leads the others, and they need a second or two to choose another.
        lease_ttl: Duration::from_secs(5),
        ..options(&etcd)
    })
    .await
    .unwrap();
    let candidate = Candidate {
        id: "a".into(),
        ..Candidate::default()
    };
    let leadership = soon(store.campaign(&candidate)).await.unwrap();
    until_written(&store, "before").await;
    let watching = tokio::spawn(shown(store.watch(Revision(1)).await.unwrap(), "much-later"));
    // All that was asked so far was asked of this one.
    etcd.pause(0).await.unwrap();
    assert!(until_read(&store, "before").await);
    until_written(&store, "after").await;
    // Longer than a lease.
    for round in 0..13 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(leadership.holds(), "lost in round {round}");
    }
    until_written(&store, "much-later").await;
    // The watch was on the member that hangs, which has to be noticed first.
    assert!(watching.await.unwrap().contains_key("after"));
    etcd.resume(0).unwrap();
}

#[tokio::test]
async fn a_full_etcd_refuses_writes_answers_reads_and_recovers() {
    let etcd = etcd(1, &["--quota-backend-bytes=4194304"]).await;
    let store = store(&etcd).await;
    let candidate = Candidate {
        id: "a".into(),
        ..Candidate::default()
    };
    let leadership = soon(store.campaign(&candidate)).await.unwrap();
    let value = vec![7_u8; MAX_VALUE_BYTES];
    let (mut taken, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let error = loop {
        // One key over and over: what fills etcd is its history.
        let name = format!("n/{}", taken.len() + unknown.len());
        let txn = Txn::new().put(key("large"), value.clone()).put(key(&name), "x");
        match store.txn(txn).await {
            Ok(_) => assert!(taken.insert(name)),
            // etcd takes the one that fills it and says that it was full.
            Err(StoreError::Unavailable { problem, .. }) if problem.contains("quota") => {
                assert!(unknown.insert(name));
            }
            Err(error) => break error,
        }
        assert!(taken.len() < 2000, "it never gets full");
    };
    let is_whole = |kept: BTreeMap<String, Revision>| {
        let kept: BTreeSet<_> = kept.into_keys().collect();
        kept.is_superset(&taken) && kept.difference(&taken).all(|name| unknown.contains(name))
    };
    assert!(
        matches!(&error, StoreError::Full { problem } if problem.contains("defrag")),
        "{error}"
    );
    assert!(error.retryable());
    for _ in 0..2 {
        let again = store.txn(Txn::new().put(key("small"), "x")).await;
        assert!(matches!(again, Err(StoreError::Full { .. })), "{again:?}");
    }
    assert!(is_whole(contents(&store, "n/").await));
    assert_eq!(store.get(&key("small")).await.unwrap(), None);
    assert!(leadership.holds(), "a lease is kept alive without writing");

    let mut admin = Client::connect(etcd.client_urls(), None).await.unwrap();
    let now = i64::try_from(store.revision().await.unwrap().0).unwrap();
    admin
        .compact(now, Some(CompactionOptions::new().with_physical()))
        .await
        .unwrap();
    admin.defragment().await.unwrap();
    let alarms = admin
        .alarm(AlarmAction::Get, AlarmType::Nospace, None)
        .await
        .unwrap();
    for alarm in alarms.alarms() {
        let mut of = AlarmOptions::new();
        of.with_member(alarm.member_id());
        let ended = admin
            .alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(of))
            .await;
        ended.unwrap();
    }
    until_written(&store, "small").await;
    assert!(is_whole(contents(&store, "n/").await));
    assert!(leadership.holds());
}

#[tokio::test]
async fn a_transaction_larger_than_etcd_takes_is_invalid_and_says_which_flag() {
    let etcd = etcd(1, &["--max-request-bytes=65536"]).await;
    let store = store(&etcd).await;
    let txn = (0..8).fold(Txn::new(), |txn, at| {
        txn.put(key(format!("k/{at}")), vec![7; MAX_VALUE_BYTES])
    });
    let answer = store.txn(txn).await;
    assert!(
        matches!(&answer, Err(StoreError::Invalid { problem }) if problem.contains("--max-request-bytes")),
        "{answer:?}"
    );
    assert!(contents(&store, "").await.is_empty());
}
