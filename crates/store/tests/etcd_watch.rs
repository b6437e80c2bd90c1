//! Watches on a real etcd: broken connections, cut history, long backlogs, other tenants of the same etcd.
#![expect(clippy::unwrap_used, reason = "tests")]

mod etcd_support;

use std::{collections::BTreeMap, time::Duration};

use berth_model::Revision;
use berth_store::{Change, EtcdOptions, EtcdStore, MAX_VALUE_BYTES, Store, StoreError, Txn, Watch};
use etcd_client::Client;
use etcd_support::{etcd, key, options, proxy::Proxy, store};
use futures::{StreamExt, TryStreamExt};

async fn next(watch: &mut Watch) -> Option<Result<Change, StoreError>> {
    tokio::time::timeout(Duration::from_secs(60), watch.next())
        .await
        .unwrap()
}

async fn write(store: &EtcdStore, name: &str) -> Revision {
    store.txn(Txn::new().put(key(name), "x")).await.unwrap()
}

async fn compact(urls: Vec<String>, revision: Revision) {
    let mut admin = Client::connect(urls, None).await.unwrap();
    admin
        .compact(i64::try_from(revision.0).unwrap(), None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_whose_connection_breaks_again_and_again_shows_every_change_once_and_in_order() {
    let etcd = etcd(1, &[]).await;
    let proxy = Proxy::before(&etcd.client_urls()[0]).await;
    let far = EtcdStore::connect(&EtcdOptions {
        endpoints: vec![proxy.url()],
        ..options(&etcd)
    })
    .await
    .unwrap();
    let near = store(&etcd).await;
    let mut watch = far.watch(far.revision().await.unwrap()).await.unwrap();
    let writing = tokio::spawn(async move {
        let mut written = Vec::new();
        for at in 0..600 {
            let txn = Txn::new()
                .put(key(format!("a/{at}")), vec![7; 4000])
                .put(key(format!("b/{at}")), "x");
            written.push(near.txn(txn).await.unwrap());
        }
        written
    });
    let mut seen: Vec<Revision> = Vec::new();
    let mut begun = false;
    while seen.len() < 600 {
        let change = next(&mut watch).await.unwrap().unwrap();
        if begun {
            assert_eq!(seen.last(), Some(&change.revision), "a transaction comes as one");
        } else {
            seen.push(change.revision);
        }
        assert_eq!(change.last, begun);
        begun = !change.last;
        if seen.len().is_multiple_of(40) && change.last {
            proxy.cut(seen.len().is_multiple_of(80));
            proxy.open();
        }
    }
    assert_eq!(seen, writing.await.unwrap());
}

#[tokio::test]
async fn a_backlog_larger_than_one_answer_comes_whole_transaction_by_transaction() {
    let etcd = etcd(1, &[]).await;
    let store = store(&etcd).await;
    let start = store.revision().await.unwrap();
    let mut wanted = BTreeMap::new();
    // 24 MiB in transactions of different sizes, so that what etcd sends at once is cut inside some of them.
    for at in 0..32_usize {
        let writes = 20 + at % 41;
        let txn = (0..writes).fold(Txn::new(), |txn, part| {
            txn.put(key(format!("k/{at}/{part}")), vec![7; MAX_VALUE_BYTES])
        });
        wanted.insert(store.txn(txn).await.unwrap(), writes);
    }
    let mut watch = store.watch(start).await.unwrap();
    for (revision, writes) in wanted {
        for part in 1..=writes {
            let change = next(&mut watch).await.unwrap().unwrap();
            assert_eq!((change.revision, change.last), (revision, part == writes));
        }
    }
}

#[tokio::test]
async fn a_watch_that_was_cut_off_while_history_was_compacted_is_told() {
    let etcd = etcd(1, &[]).await;
    let proxy = Proxy::before(&etcd.client_urls()[0]).await;
    let far = EtcdStore::connect(&EtcdOptions {
        endpoints: vec![proxy.url()],
        ..options(&etcd)
    })
    .await
    .unwrap();
    let near = store(&etcd).await;
    let start = far.revision().await.unwrap();
    let mut watch = far.watch(start).await.unwrap();
    let seen = write(&near, "seen").await;
    assert_eq!(next(&mut watch).await.unwrap().unwrap().revision, seen);
    proxy.cut(true);
    for at in 0..5 {
        write(&near, &format!("missed/{at}")).await;
    }
    let now = near.revision().await.unwrap();
    compact(etcd.client_urls(), now).await;
    proxy.open();
    match next(&mut watch).await {
        Some(Err(StoreError::Compacted {
            asked,
            oldest,
            newest,
        })) => {
            assert_eq!((asked, oldest, newest), (seen, now, now));
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    assert!(next(&mut watch).await.is_none());
    // Whoever comes now with an old revision is told at once; with the oldest one there is no gap.
    match near.watch(start).await {
        Err(StoreError::Compacted {
            asked,
            oldest,
            newest,
        }) => assert_eq!((asked, oldest, newest), (start, now, now)),
        other => panic!("expected a refusal, got {other:?}"),
    }
    let mut fresh = near.watch(now).await.unwrap();
    let later = write(&near, "later").await;
    assert_eq!(next(&mut fresh).await.unwrap().unwrap().revision, later);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_too_slow_for_the_history_is_told_and_holds_up_nobody() {
    let etcd = etcd(1, &[]).await;
    let store = store(&etcd).await;
    let start = store.revision().await.unwrap();
    let mut slow = store.watch(start).await.unwrap();
    let mut quick = store.watch(start).await.unwrap();
    // More than all buffers on the way hold.
    let mut last = start;
    for at in 0..2000 {
        let value = vec![7_u8; MAX_VALUE_BYTES];
        last = store
            .txn(Txn::new().put(key(format!("k/{}", at % 50)), value))
            .await
            .unwrap();
        assert_eq!(next(&mut quick).await.unwrap().unwrap().revision, last);
    }
    compact(etcd.client_urls(), last).await;
    let mut seen = start;
    let told = loop {
        match next(&mut slow).await {
            Some(Ok(change)) => {
                assert_eq!(change.revision, seen.next(), "no gap before it is told");
                seen = change.revision;
            }
            Some(Err(error)) => break error,
            None => panic!("the watch ended without a word"),
        }
    };
    assert!(seen < last);
    assert!(
        matches!(told, StoreError::Compacted { asked, .. } if asked == seen),
        "{told}"
    );
    assert!(next(&mut slow).await.is_none());
    let later = write(&store, "later").await;
    assert_eq!(next(&mut quick).await.unwrap().unwrap().revision, later);
}

#[tokio::test]
async fn fleets_under_other_prefixes_and_strangers_are_not_seen() {
    let etcd = etcd(1, &[]).await;
    let ours = store(&etcd).await;
    let theirs = EtcdStore::connect(&EtcdOptions {
        prefix: "/berth2/".into(),
        ..options(&etcd)
    })
    .await
    .unwrap();
    let start = ours.revision().await.unwrap();
    let mut watch = ours.watch(start).await.unwrap();
    write(&theirs, "theirs").await;
    let mut admin = Client::connect(etcd.client_urls(), None).await.unwrap();
    admin.put("/berth/data/not a key", "x", None).await.unwrap();
    let mine = write(&ours, "mine").await;
    let change = next(&mut watch).await.unwrap().unwrap();
    assert_eq!((change.key, change.revision), (key("mine"), mine));
    let listed = ours.list("", berth_store::Page::first()).await.unwrap();
    assert_eq!(
        listed
            .entries
            .iter()
            .map(|entry| entry.key.as_str())
            .collect::<Vec<_>>(),
        ["mine"]
    );
    let seen: Vec<Change> = theirs
        .watch(start)
        .await
        .unwrap()
        .take(1)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(seen[0].key, key("theirs"));
}
