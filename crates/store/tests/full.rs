//! A full disk: writes are refused, nothing acknowledged is lost, reading goes on, and writing does by itself when there is room.
//!
//! The tests start themselves as a child with a mount namespace of its own and a small tmpfs in it. That takes root; without it only the
//! reserve is tested, and the test says so.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use berth_store::{Key, SledOptions, SledStore, Store, StoreError, Txn, sled::Health};
use rand::{RngCore, SeedableRng, rngs::StdRng};

const CHILD: &str = "BERTH_STORE_FULL_TEST_DIR";
const MIB: usize = 1 << 20;

/// Runs one of the tests below again, where `CHILD` names an empty tmpfs of 48 MiB.
fn in_small_tmpfs(test: &str) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT ROOT: {test} cannot mount a small disk and tested nothing of it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg("mount -t tmpfs -o size=48m tmpfs \"$1\" && exec \"$2\" --exact \"$3\" --nocapture --test-threads=1")
        .arg("sh")
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(CHILD, dir.path())
        .status()
        .unwrap();
    assert!(status.success());
}

fn disk() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Takes all the room there is.
fn fill(dir: &Path) -> PathBuf {
    let path = dir.join("ballast");
    let mut file = File::create(&path).unwrap();
    let chunk = vec![1; 4096];
    while file.write_all(&chunk).is_ok() {}
    path
}

fn key(at: usize) -> Key {
    Key::new(format!("k/{at:06}")).unwrap()
}

struct Writing {
    store: SledStore,
    random: StdRng,
    acknowledged: Vec<Vec<u8>>,
}

impl Writing {
    async fn one(&mut self) -> Result<(), StoreError> {
        // Nothing that a disk could make smaller.
        let mut value = vec![0; 12 << 10];
        self.random.fill_bytes(&mut value);
        let txn = Txn::new().put(key(self.acknowledged.len()), value.clone());
        self.store.txn(txn).await?;
        self.acknowledged.push(value);
        Ok(())
    }

    async fn until_refused(&mut self) -> StoreError {
        loop {
            if let Err(error) = self.one().await {
                return error;
            }
        }
    }

    /// Everything acknowledged, and nothing after it but the one write whose outcome is unknown.
    async fn check(&self, unknown: usize) {
        for (at, value) in self.acknowledged.iter().enumerate() {
            let entry = self.store.get(&key(at)).await.unwrap().unwrap();
            assert_eq!(entry.value, *value, "{at}");
        }
        let listed = berth_store::snapshot::contents(&self.store)
            .await
            .unwrap()
            .1
            .len();
        assert!(listed - self.acknowledged.len() <= unknown, "{listed}");
    }
}

fn open(dir: &Path, reserve: usize) -> Writing {
    let store = SledStore::open(&SledOptions {
        reserve_bytes: reserve as u64,
        ..SledOptions::new(dir.join("store"))
    })
    .unwrap();
    Writing {
        store,
        random: StdRng::seed_from_u64(7),
        acknowledged: Vec::new(),
    }
}

#[tokio::test]
async fn a_store_without_its_reserve_takes_no_writes_and_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut writing = open(dir.path(), 0);
    writing.one().await.unwrap();
    writing.store.close().await;
    let mut reopened = open(dir.path(), usize::MAX >> 2);
    reopened.acknowledged = writing.acknowledged;
    let refused = reopened.one().await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Full { problem } if problem.contains("reserve") && problem.contains("MiB are free")),
        "{refused}"
    );
    assert!(refused.retryable());
    assert!(matches!(*reopened.store.health().borrow(), Health::Full { .. }));
    reopened.check(0).await;
}

#[tokio::test]
async fn a_store_refuses_writes_before_the_disk_is_full_and_takes_them_when_it_no_longer_is() {
    let Some(disk) = disk() else {
        return in_small_tmpfs(
            "a_store_refuses_writes_before_the_disk_is_full_and_takes_them_when_it_no_longer_is",
        );
    };
    fs::write(disk.join("ballast"), vec![1; 24 * MIB]).unwrap();
    let mut writing = open(&disk, 8 * MIB);
    let refused = writing.until_refused().await;
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    writing.check(0).await;
    assert!(matches!(writing.one().await, Err(StoreError::Full { .. })));
    fs::remove_file(disk.join("ballast")).unwrap();
    for _ in 0..20 {
        writing.one().await.unwrap();
    }
    assert_eq!(*writing.store.health().borrow(), Health::Working);
    writing.store.close().await;
    let acknowledged = std::mem::take(&mut writing.acknowledged);
    drop(writing);
    let mut writing = open(&disk, 0);
    writing.acknowledged = acknowledged;
    writing.check(0).await;
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_a_write_loses_nothing_acknowledged() {
    let Some(disk) = disk() else {
        return in_small_tmpfs("a_disk_that_is_full_in_the_middle_of_a_write_loses_nothing_acknowledged");
    };
    let mut writing = open(&disk, 0);
    for _ in 0..50 {
        writing.one().await.unwrap();
    }
    for round in 0..3 {
        let ballast = fill(&disk);
        let refused = writing.until_refused().await;
        assert!(
            matches!(refused, StoreError::Unknown { .. }),
            "round {round}: {refused:?}"
        );
        let refused = writing.one().await.unwrap_err();
        assert!(
            matches!(refused, StoreError::Full { .. }),
            "round {round}: {refused:?}"
        );
        assert!(matches!(*writing.store.health().borrow(), Health::Full { .. }));
        writing.check(1).await;
        fs::remove_file(ballast).unwrap();
        for _ in 0..20 {
            writing.one().await.unwrap();
        }
        assert_eq!(*writing.store.health().borrow(), Health::Working);
        writing.check(1).await;
        eprintln!("round {round}: {} acknowledged", writing.acknowledged.len());
    }
    writing.store.close().await;
    let acknowledged = std::mem::take(&mut writing.acknowledged);
    drop(writing);
    let mut writing = open(&disk, 0);
    writing.acknowledged = acknowledged;
    writing.check(1).await;
}
