//! A restored store has everything of its snapshot, goes on above every revision that was handed out, and takes the place of another
//! only when told to.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use berth_model::{Revision, Timestamp};
use berth_store::{
    Key, OpenError, SledOptions, SledStore, Store, StoreError, Txn,
    sled::{RestoreError, StoreCopy, restore},
    snapshot::{self, About, Snapshot},
};
use bytes::Bytes;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn open(dir: &Path) -> SledStore {
    SledStore::open(&SledOptions {
        fsync: false,
        ..SledOptions::new(dir)
    })
    .unwrap()
}

async fn filled(dir: &Path) -> Snapshot {
    let store = open(dir);
    for at in 0..30 {
        let txn = Txn::new().put(key(&format!("tenants/t-{}", at % 20)), format!("{at}"));
        store.txn(txn).await.unwrap();
    }
    let mut file = Vec::new();
    let about = About {
        fleet: None,
        incarnation: store.incarnation().to_owned(),
        created_at: now(),
    };
    snapshot::write(&store, &about, &mut file).await.unwrap();
    store.close().await;
    snapshot::read(&file[..]).unwrap()
}

fn mark() -> (Key, Bytes) {
    (key("restore"), Bytes::from_static(b"restored"))
}

#[tokio::test]
async fn a_restored_store_keeps_revisions_and_goes_on_above_any_that_was_handed_out() {
    let home = tempfile::tempdir().unwrap();
    let (old, new) = (home.path().join("old"), home.path().join("new"));
    let snapshot = filled(&old).await;
    // Written after the snapshot, and lost.
    let lost = open(&old);
    let lost_revision = lost
        .txn(Txn::new().put(key("tenants/t-3"), "lost"))
        .await
        .unwrap();
    let restored = restore(&snapshot, &SledOptions::new(&new), &[mark()], false, now()).unwrap();
    assert_ne!(restored.incarnation, lost.incarnation());
    assert_eq!(restored.moved, None);
    let store = open(&new);
    let (revision, entries) = snapshot::contents(&store).await.unwrap();
    assert_eq!(revision, restored.revision);
    let (marks, entries): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.key == key("restore"));
    assert_eq!(entries, snapshot.entries);
    assert_eq!((marks.len(), marks[0].revision), (1, revision));
    // What somebody read after the snapshot never compares as equal.
    let stale = Txn::new()
        .if_revision(key("tenants/t-3"), lost_revision)
        .put(key("tenants/t-3"), "stale");
    assert!(matches!(store.txn(stale).await, Err(StoreError::Conflict { .. })));
    // What did not change since still does.
    let fresh = Txn::new()
        .if_revision(key("tenants/t-4"), Revision(25))
        .put(key("tenants/t-4"), "fresh");
    assert_eq!(store.txn(fresh).await.unwrap(), revision.next());
    store.close().await;
    assert_eq!(open(&new).revision().await.unwrap(), revision.next());
}

#[tokio::test]
async fn a_store_that_is_there_is_replaced_only_when_told_to_and_moved_aside() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let snapshot = filled(&dir).await;
    let store = open(&dir);
    store.txn(Txn::new().put(key("after"), "x")).await.unwrap();
    let refused = restore(&snapshot, &SledOptions::new(&dir), &[], true, now()).unwrap_err();
    assert!(
        matches!(refused, RestoreError::Open(OpenError::Locked { .. })),
        "{refused}"
    );
    store.close().await;
    let refused = restore(&snapshot, &SledOptions::new(&dir), &[], false, now()).unwrap_err();
    assert!(matches!(refused, RestoreError::Occupied { .. }), "{refused}");
    let moved = restore(&snapshot, &SledOptions::new(&dir), &[mark()], true, now())
        .unwrap()
        .moved
        .unwrap();
    assert_eq!(moved, home.path().join("store.replaced-20270115T080000Z"));
    assert!(open(&moved).get(&key("after")).await.unwrap().is_some());
    let restored = open(&dir);
    assert!(restored.get(&key("after")).await.unwrap().is_none());
    assert!(restored.get(&key("restore")).await.unwrap().is_some());
    // Nothing half-made is left.
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn looking_into_a_store_changes_no_byte_of_it() {
    let home = tempfile::tempdir().unwrap();
    let (dir, scratch) = (home.path().join("store"), tempfile::tempdir().unwrap());
    filled(&dir).await;
    let bytes = || ["SENTINEL", "sled/db", "sled/conf"].map(|name| fs::read(dir.join(name)).unwrap());
    let before = bytes();
    let copy = StoreCopy::open(&SledOptions::new(&dir), scratch.path()).unwrap();
    let inventory = copy.inventory();
    assert_eq!((inventory.entries, inventory.revision), (20, Revision(30)));
    assert_eq!(inventory.shelves.get("tenants"), Some(&20));
    copy.store()
        .unwrap()
        .txn(Txn::new().put(key("x"), "y"))
        .await
        .unwrap();
    drop(copy);
    assert_eq!(bytes(), before);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);

    // Nor of a damaged one, whose refusal names it and not the copy.
    let mut database = before[1].clone();
    database.truncate(700);
    fs::write(dir.join("sled/db"), &database).unwrap();
    let refused = StoreCopy::open(&SledOptions::new(&dir), scratch.path()).unwrap_err();
    assert_eq!(refused.exit_code(), 78, "{refused}");
    assert!(
        refused.to_string().contains(&dir.display().to_string()),
        "{refused}"
    );
    assert_eq!(fs::read(dir.join("sled/db")).unwrap(), database);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);

    let nothing =
        StoreCopy::open(&SledOptions::new(home.path().join("nothing")), scratch.path()).unwrap_err();
    assert!(matches!(nothing, OpenError::Missing { .. }), "{nothing}");
}

#[tokio::test]
async fn a_directory_that_is_put_back_or_taken_away_as_a_whole_is_refused_until_it_is_restored() {
    let home = tempfile::tempdir().unwrap();
    let options = SledOptions::in_home(home.path());
    let (dir, older) = (options.dir.clone(), home.path().join("older"));
    let store = SledStore::open(&options).unwrap();
    store.txn(Txn::new().put(key("a"), "1")).await.unwrap();
    let mut file = Vec::new();
    let about = About {
        fleet: None,
        incarnation: String::new(),
        created_at: now(),
    };
    snapshot::write(&store, &about, &mut file).await.unwrap();
    let snapshot = snapshot::read(&file[..]).unwrap();
    store.close().await;
    assert!(
        std::process::Command::new("cp")
            .arg("-a")
            .args([&dir, &older])
            .status()
            .unwrap()
            .success()
    );
    let store = SledStore::open(&options).unwrap();
    store.txn(Txn::new().put(key("a"), "2")).await.unwrap();
    store.close().await;
    drop(store);

    fs::remove_dir_all(&dir).unwrap();
    let refused = SledStore::open(&options).unwrap_err().to_string();
    assert!(
        refused.contains("it is gone or was emptied, it had come to revision 2"),
        "{refused}"
    );
    let refused = restore(&snapshot, &options, &[], false, now()).unwrap_err();
    assert!(matches!(refused, RestoreError::Occupied { .. }), "{refused}");

    fs::remove_dir_all(&dir).unwrap();
    fs::rename(&older, &dir).unwrap();
    let refused = SledStore::open(&options).unwrap_err().to_string();
    assert!(
        refused.contains("went back to revision 1, it had come to 2"),
        "{refused}"
    );

    restore(&snapshot, &options, &[mark()], true, now()).unwrap();
    let store = SledStore::open(&options).unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().value, "1");
}
