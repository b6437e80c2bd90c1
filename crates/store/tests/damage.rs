//! Whatever happens to the files of a store: it is refused, or everything acknowledged is there.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use berth_store::{Key, OpenError, Page, SledOptions, SledStore, Store, Txn};
use rand::{Rng, SeedableRng, rngs::StdRng};

fn options(dir: &Path) -> SledOptions {
    SledOptions {
        fsync: false,
        ..SledOptions::new(dir)
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

async fn contents(store: &SledStore) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut page = Page::first();
    loop {
        let listing = store.list("", page).await.unwrap();
        all.extend(
            listing
                .entries
                .iter()
                .map(|entry| (entry.key.to_string(), entry.value.to_vec())),
        );
        match listing.entries.last() {
            Some(last) if listing.more => page = Page::after(last.key.clone()),
            _ => return all,
        }
    }
}

/// A store with some history, closed; and what it holds.
fn written(dir: &Path, random: &mut StdRng) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for _ in 0..2 {
        let store = SledStore::open(&options(dir)).unwrap();
        block_on(async {
            for _ in 0..40 {
                let mut txn = Txn::new();
                for at in 0..random.random_range(1..5) {
                    let name = format!("k/{at}/{}", random.random_range(0..40));
                    let value = vec![random.random(); random.random_range(0..3000)];
                    txn = txn.put(Key::new(&name).unwrap(), value);
                }
                store.txn(txn).await.unwrap();
            }
            all = contents(&store).await;
        });
    }
    all
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("LOCK") && fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Damages one file in one of several ways and says how.
fn damage(path: &Path, random: &mut StdRng) -> String {
    let mut bytes = fs::read(path).unwrap();
    let at = random.random_range(0..bytes.len());
    let what = match random.random_range(0..5) {
        0 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        1 => {
            bytes.fill(0);
            "zeroed".into()
        }
        2 => {
            let end = (at + random.random_range(1..5000)).min(bytes.len());
            bytes[at..end].fill(0);
            format!("zeroed from {at} to {end}")
        }
        3 => {
            let flips = random.random_range(1..20);
            for _ in 0..flips {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            format!("{flips} bits flipped")
        }
        _ => {
            bytes.clear();
            "emptied".into()
        }
    };
    fs::write(path, bytes).unwrap();
    format!("{} {what}", path.file_name().unwrap().to_string_lossy())
}

#[test]
fn a_damaged_store_is_refused_or_holds_everything() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let origin = tempfile::tempdir().unwrap();
    let expected = written(origin.path(), &mut random);
    let (mut refused, mut whole) = (0, 0);
    for _ in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        copy(origin.path(), dir.path());
        let files = files(dir.path());
        let what = damage(&files[random.random_range(0..files.len())], &mut random);
        match SledStore::open(&options(dir.path())) {
            Ok(store) => {
                assert_eq!(block_on(contents(&store)), expected, "opened after: {what}");
                whole += 1;
            }
            Err(error) => {
                assert!(error.hint().contains(&*dir.path().to_string_lossy()), "{error}");
                refused += 1;
            }
        }
    }
    eprintln!("{refused} refused, {whole} whole");
    assert!(refused > 0);
}

fn refusal(dir: &Path) -> String {
    match SledStore::open(&options(dir)) {
        Err(error @ OpenError::Damaged { .. }) => {
            assert_eq!(error.exit_code(), 78);
            assert!(
                error.hint().contains("berth store restore --from"),
                "{}",
                error.hint()
            );
            error.to_string()
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_store_without_its_database_its_sentinel_or_with_anothers_is_refused() {
    let mut random = StdRng::seed_from_u64(1);
    let origin = tempfile::tempdir().unwrap();
    written(origin.path(), &mut random);
    let fresh = || {
        let dir = tempfile::tempdir().unwrap();
        copy(origin.path(), dir.path());
        dir
    };

    let dir = fresh();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    assert!(refusal(dir.path()).contains("its database is gone, it had come to revision 80"));

    let dir = fresh();
    fs::write(dir.path().join("sled/db"), []).unwrap();
    assert!(refusal(dir.path()).contains("database"));

    let dir = fresh();
    fs::remove_file(dir.path().join("SENTINEL")).unwrap();
    assert!(refusal(dir.path()).contains("no sentinel"));

    let (dir, other) = (fresh(), tempfile::tempdir().unwrap());
    written(other.path(), &mut random);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    copy(&other.path().join("sled"), &dir.path().join("sled"));
    assert!(refusal(dir.path()).contains("another store"));
}

#[test]
fn an_older_database_under_a_newer_sentinel_is_refused() {
    let mut random = StdRng::seed_from_u64(2);
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &mut random);
    let older = tempfile::tempdir().unwrap();
    copy(&dir.path().join("sled"), &older.path().join("sled"));
    written(dir.path(), &mut random);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    copy(&older.path().join("sled"), &dir.path().join("sled"));
    assert!(refusal(dir.path()).contains("went back to revision 80, it had come to 160"));
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(SledStore::open(&options(dir.path())).unwrap());
    let body = "berth-store schema=3 incarnation=x state=open revision=9 count=0 digest=0 shape=round";
    let line = format!("{body} crc={:08x}", crc32fast::hash(body.as_bytes()));
    fs::write(dir.path().join("SENTINEL"), line).unwrap();
    let refused = SledStore::open(&options(dir.path())).unwrap_err();
    assert!(
        matches!(
            refused,
            OpenError::NewerSchema {
                found: 3,
                supported: 2,
                ..
            }
        ),
        "{refused}"
    );
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.to_string().contains("schema 3"), "{refused}");
}

/// Someone puts a copy of the whole store back, the hub writes on, and then only the sentinel of before is put back, or only the
/// database: both add up, and the revisions fit.
#[test]
fn a_database_that_adds_up_but_does_not_come_from_what_the_sentinel_knows_is_refused() {
    let mut random = StdRng::seed_from_u64(3);
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &mut random);
    let forked = tempfile::tempdir().unwrap();
    copy(dir.path(), forked.path());
    // Two histories of one store, of different lengths.
    written(dir.path(), &mut random);
    for _ in 0..2 {
        written(forked.path(), &mut random);
    }
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    copy(&forked.path().join("sled"), &dir.path().join("sled"));
    let refused = refusal(dir.path());
    assert!(
        refused.contains("does not come from what was written at revision 160"),
        "{refused}"
    );
}

#[test]
fn a_sentinel_that_lags_behind_its_database_does_no_harm() {
    let mut random = StdRng::seed_from_u64(4);
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), &mut random);
    let sentinel = fs::read(dir.path().join("SENTINEL")).unwrap();
    let expected = written(dir.path(), &mut random);
    fs::write(dir.path().join("SENTINEL"), sentinel).unwrap();
    let store = SledStore::open(&options(dir.path())).unwrap();
    assert_eq!(block_on(contents(&store)), expected);
}

#[test]
fn a_store_whose_making_was_cut_short_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(SledStore::open(&options(dir.path())).unwrap());
    let body = "berth-store schema=1 incarnation=abc state=making revision=0 count=0 digest=0";
    let line = format!("{body} crc={:08x}", crc32fast::hash(body.as_bytes()));
    fs::write(dir.path().join("SENTINEL"), line).unwrap();
    fs::write(dir.path().join("sled/db"), b"half").unwrap();
    let store = SledStore::open(&options(dir.path())).unwrap();
    assert_eq!(store.incarnation(), "abc");
}

/// As a process leaves it that is killed while it opens the store, or whose disk is full then.
#[test]
fn half_an_index_of_the_database_does_no_harm() {
    let mut random = StdRng::seed_from_u64(5);
    let dir = tempfile::tempdir().unwrap();
    let expected = written(dir.path(), &mut random);
    for half in [&b""[..], &[7; 300]] {
        fs::write(dir.path().join("sled/snap.7FFFFFFFFFFFFFFF.generating"), half).unwrap();
        let store = SledStore::open(&options(dir.path())).unwrap();
        assert_eq!(block_on(contents(&store)), expected);
    }
}
