//! What is acknowledged is there when the store is opened again, and nobody else has it open meanwhile.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use berth_model::Revision;
use berth_store::{Key, OpenError, Page, SledOptions, SledStore, Store, StoreError, Txn};
use futures::future::join_all;

fn open(dir: &Path) -> Result<SledStore, OpenError> {
    SledStore::open(&SledOptions::new(dir))
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut incarnation = None;
    for round in 0..4_u64 {
        let store = open(dir.path()).unwrap();
        assert_eq!(
            *incarnation.get_or_insert_with(|| store.incarnation().to_owned()),
            store.incarnation()
        );
        assert_eq!(store.revision().await.unwrap(), Revision(round * 31));
        let kept = store.list("k/", Page::first()).await.unwrap();
        assert_eq!(kept.entries.len() as u64, round * 29);
        let writes = (0..30).map(|at| store.txn(Txn::new().put(key(&format!("k/{round}/{at}")), "x")));
        for written in join_all(writes).await {
            written.unwrap();
        }
        store
            .txn(Txn::new().delete(key(&format!("k/{round}/0"))))
            .await
            .unwrap();
        store.close().await;
        assert!(matches!(store.txn(Txn::new()).await, Err(StoreError::Closed)));
        assert!(store.get(&key(&format!("k/{round}/1"))).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_watch_continues_over_a_restart_only_from_the_last_revision() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let first = store.txn(Txn::new().put(key("a"), "1")).await.unwrap();
    let second = store.txn(Txn::new().put(key("a"), "2")).await.unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    assert!(matches!(
        store.watch(first).await,
        Err(StoreError::Compacted { .. })
    ));
    assert!(store.watch(second).await.is_ok());
}

#[test]
fn a_store_in_use_is_refused_naming_the_other_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let refused = open(dir.path()).unwrap_err();
    assert!(
        matches!(refused, OpenError::Locked { holder: Some(pid), .. } if pid == std::process::id()),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 75);
    assert!(refused.hint().contains(&std::process::id().to_string()));
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_used_says_which_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let refused = open(&file.join("store")).unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
    assert!(refused.to_string().contains("file/store"), "{refused}");
}
