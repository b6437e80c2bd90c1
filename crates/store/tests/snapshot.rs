//! A snapshot is the store at one revision, and nothing else passes for one.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use berth_model::{Revision, Timestamp};
use berth_store::{
    Key, MemoryStore, Page, SledOptions, SledStore, Store, Txn,
    snapshot::{self, About, Piece, SnapshotError},
};
use bytes::Bytes;
use futures::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn about() -> About {
    About {
        fleet: Some("fleet-1".into()),
        incarnation: "abc".into(),
        created_at: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

async fn filled(store: &dyn Store, entries: u32) {
    for at in 0..entries {
        let txn = Txn::new()
            .put(key(&format!("tenants/t-{at}")), format!("tenant {at}"))
            .put(
                key(&format!("status/t-{at}")),
                vec![7; usize::try_from(at % 3000).unwrap()],
            );
        store.txn(txn).await.unwrap();
    }
    store.txn(Txn::new().delete(key("status/t-1"))).await.unwrap();
    store
        .txn(Txn::new().put(key("tenants/t-0"), "again"))
        .await
        .unwrap();
}

async fn taken(store: &dyn Store) -> Vec<u8> {
    let mut file = Vec::new();
    let summary = snapshot::write(store, &about(), &mut file).await.unwrap();
    assert_eq!(summary.bytes, file.len() as u64);
    assert_eq!(snapshot::verify(&file[..]).unwrap(), summary);
    file
}

#[tokio::test]
async fn what_is_written_is_read_back_with_its_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let sled = SledStore::open(&SledOptions {
        fsync: false,
        ..SledOptions::new(dir.path())
    })
    .unwrap();
    for store in [&MemoryStore::new() as &dyn Store, &sled] {
        filled(store, 40).await;
        let read = snapshot::read(&taken(store).await[..]).unwrap();
        let listed = store.list("", Page::first()).await.unwrap();
        assert_eq!(read.entries, listed.entries);
        assert_eq!(read.summary.revision, listed.revision);
        assert_eq!(read.summary.about, about());
        let shelves: Vec<(&str, u64)> = read
            .summary
            .shelves
            .iter()
            .map(|(shelf, count)| (shelf.as_str(), *count))
            .collect();
        assert_eq!(shelves, [("status", 39), ("tenants", 40)]);
    }
}

#[tokio::test]
async fn an_empty_store_has_a_snapshot_too() {
    let file = taken(&MemoryStore::new()).await;
    assert_eq!(snapshot::read(&file[..]).unwrap().entries, []);
}

#[tokio::test]
async fn a_streamed_snapshot_is_the_same_file() {
    let store = Arc::new(MemoryStore::new());
    filled(store.as_ref(), 1500).await;
    let (mut file, mut told) = (Vec::new(), None);
    let mut pieces = std::pin::pin!(snapshot::stream(store.clone(), about()));
    while let Some(piece) = pieces.next().await {
        match piece.unwrap() {
            Piece::Bytes(bytes) => file.extend_from_slice(&bytes),
            Piece::Summary(summary) => told = Some(summary),
        }
    }
    assert_eq!(snapshot::verify(&file[..]).unwrap(), told.unwrap());
    assert_eq!(file, taken(store.as_ref()).await);
}

/// Writers that keep one rule: the sum of all accounts never changes, and every account has a twin that is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_taken_while_writes_go_on_is_of_one_revision() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let store = MemoryStore::new();
    const KEYS: u32 = 2500;
    for at in 0..KEYS {
        store
            .txn(Txn::new().put(key(&format!("a/{at:05}")), "1"))
            .await
            .unwrap();
    }
    let over = Arc::new(AtomicBool::new(false));
    // What the store was at each revision can be told from all changes.
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut watch = store.watch(Revision(u64::from(KEYS))).await.unwrap();
    let logging = tokio::spawn({
        let log = log.clone();
        async move {
            while let Some(Ok(change)) = watch.next().await {
                log.lock().unwrap().push(change);
            }
        }
    });
    let writing = tokio::spawn({
        let (store, over) = (store.clone(), over.clone());
        async move {
            let mut random = StdRng::seed_from_u64(seed);
            while !over.load(Ordering::Relaxed) {
                let (a, b) = (random.random_range(0..KEYS + 500), random.random_range(0..KEYS));
                let mut txn = Txn::new().put(key(&format!("a/{a:05}")), random.random::<u64>().to_string());
                if a != b {
                    txn = txn.delete(key(&format!("a/{b:05}")));
                }
                store.txn(txn).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let mut taken = Vec::new();
    let mut moved = 0;
    for _ in 0..30 {
        let before = store.revision().await.unwrap();
        taken.push(snapshot::contents(&store).await.unwrap());
        moved += u32::from(store.revision().await.unwrap() > before);
    }
    over.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    let newest = store.revision().await.unwrap();
    while log
        .lock()
        .unwrap()
        .last()
        .is_some_and(|change| change.revision < newest)
    {
        tokio::task::yield_now().await;
    }
    logging.abort();
    assert!(moved > 0, "nothing was written meanwhile");
    let log = std::mem::take(&mut *log.lock().unwrap());
    for (revision, entries) in taken {
        let replayed = MemoryStore::new();
        for at in 0..KEYS {
            replayed
                .txn(Txn::new().put(key(&format!("a/{at:05}")), "1"))
                .await
                .unwrap();
        }
        let mut txn = Txn::new();
        for change in log.iter().take_while(|change| change.revision <= revision) {
            txn = match &change.put {
                Some(value) => txn.put(change.key.clone(), value.clone()),
                None => txn.delete(change.key.clone()),
            };
            if change.last {
                assert_eq!(
                    replayed.txn(std::mem::take(&mut txn)).await.unwrap(),
                    change.revision
                );
            }
        }
        let (same_revision, expected) = snapshot::contents(&replayed).await.unwrap();
        assert_eq!(same_revision, revision);
        assert_eq!(entries, expected);
    }
}

#[tokio::test]
async fn a_changed_shortened_or_lengthened_snapshot_is_refused() {
    let store = MemoryStore::new();
    filled(&store, 20).await;
    let file = taken(&store).await;
    let (whole, mut same) = (snapshot::read(&file[..]).unwrap(), 0);
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        // A few bits of the compressed form mean nothing: then what is read is the same.
        if let Ok(read) = snapshot::read(&changed[..]) {
            assert_eq!(read, whole, "byte {at} was changed");
            same += 1;
        }
        assert!(snapshot::verify(&file[..at]).is_err(), "cut off at {at}");
    }
    assert!(
        same * 50 < file.len(),
        "{same} of {} changes were not found out",
        file.len()
    );
    let longer = [&file[..], &[0; 3]].concat();
    assert!(snapshot::verify(&longer[..]).is_err());
    let mut newer = file;
    newer[9] = 2;
    let refused = snapshot::verify(&newer[..]).unwrap_err();
    assert!(
        matches!(
            refused,
            SnapshotError::Newer {
                what: "format",
                found: 2,
                supported: 1
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn restoring_fills_an_empty_store_and_leaves_another_alone() {
    let store = MemoryStore::new();
    filled(&store, 700).await;
    let snapshot = snapshot::read(&taken(&store).await[..]).unwrap();
    let into = MemoryStore::new();
    let mark = (key("restore"), Bytes::from_static(b"mark"));
    let mut told = 0;
    snapshot::restore(&snapshot, &into, &[mark], |written| told = written)
        .await
        .unwrap();
    assert_eq!(told, snapshot.summary.entries);
    let (_, entries) = snapshot::contents(&into).await.unwrap();
    let (marked, restored): (Vec<_>, Vec<_>) =
        entries.iter().partition(|entry| entry.key.as_str() == "restore");
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0].revision, Revision(1), "the mark comes first");
    let values = |entries: &[&berth_store::Entry]| -> Vec<(Key, Bytes)> {
        entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect()
    };
    assert_eq!(
        values(&restored),
        values(&snapshot.entries.iter().collect::<Vec<_>>())
    );
    let refused = snapshot::restore(&snapshot, &into, &[], |_| ())
        .await
        .unwrap_err();
    assert!(matches!(refused, SnapshotError::NotEmpty { .. }), "{refused}");
}
