//! Stores of the schema before this one: read, brought up to date, and never taken back.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use berth_model::Revision;
use berth_store::{Key, OpenError, SledOptions, SledStore, Store, Txn, snapshot};

/// A store that schema 1 wrote: 20 tenants, each with a status but for `t-3`, in 42 transactions.
fn schema_1(dir: &Path) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-1");
    let sled = dir.join("sled");
    fs::create_dir_all(&sled).unwrap();
    fs::copy(fixture.join("SENTINEL"), dir.join("SENTINEL")).unwrap();
    for name in ["conf", "snap.0000000000003344"] {
        fs::copy(fixture.join(name), sled.join(name)).unwrap();
    }
    let database = zstd::decode_all(fs::File::open(fixture.join("db.zst")).unwrap()).unwrap();
    fs::write(sled.join("db"), database).unwrap();
}

fn options(dir: &Path) -> SledOptions {
    SledOptions {
        fsync: false,
        ..SledOptions::new(dir)
    }
}

async fn check(store: &SledStore) {
    assert_eq!(store.incarnation(), "566f15aef2ef4a239404636cf9b17c6f");
    let (_, entries) = snapshot::contents(store).await.unwrap();
    assert_eq!(
        entries.iter().filter(|entry| entry.key.as_str() != "new").count(),
        39
    );
    let entry = store
        .get(&Key::new("tenants/t-7").unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(entry.value, "tenant 7 of round 1");
    assert_eq!((entry.created, entry.revision), (Revision(8), Revision(29)));
}

#[tokio::test]
async fn a_store_of_schema_1_is_opened_with_everything_and_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    schema_1(dir.path());
    let store = SledStore::open(&options(dir.path())).unwrap();
    check(&store).await;
    assert_eq!(store.revision().await.unwrap(), Revision(42));
    store
        .txn(Txn::new().put(Key::new("new").unwrap(), "x"))
        .await
        .unwrap();
    store.close().await;
    let sentinel = fs::read_to_string(dir.path().join("SENTINEL")).unwrap();
    assert!(
        sentinel.contains("schema=2") && !sentinel.contains("schema=1"),
        "{sentinel}"
    );
    let store = SledStore::open(&options(dir.path())).unwrap();
    check(&store).await;
    assert_eq!(store.revision().await.unwrap(), Revision(43));
}

#[tokio::test]
async fn bringing_a_store_up_to_date_may_be_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    schema_1(dir.path());
    let before = fs::read(dir.path().join("SENTINEL")).unwrap();
    SledStore::open(&options(dir.path())).unwrap().close().await;
    // The database was brought up to date, the sentinel was not.
    fs::write(dir.path().join("SENTINEL"), before).unwrap();
    check(&SledStore::open(&options(dir.path())).unwrap()).await;
}

#[tokio::test]
async fn the_database_of_before_does_not_pass_for_the_one_that_was_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    schema_1(dir.path());
    SledStore::open(&options(dir.path())).unwrap().close().await;
    let sentinel = fs::read(dir.path().join("SENTINEL")).unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    schema_1(dir.path());
    fs::write(dir.path().join("SENTINEL"), sentinel).unwrap();
    match SledStore::open(&options(dir.path())) {
        Err(OpenError::Damaged { finding, .. }) => {
            assert!(finding.contains("went back to schema 1"), "{finding}")
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}
