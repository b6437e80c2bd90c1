//! S1: no acknowledged write is lost by `kill -9`, whenever it comes.
//!
//! The test starts itself as a child that writes and says on its standard output what was acknowledged; the child is killed
//! in the middle of it, over and over, on one directory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use berth_store::{Key, Page, SledOptions, SledStore, Store, Txn};
use rand::{Rng, SeedableRng, rngs::StdRng};

const CHILD: &str = "BERTH_STORE_KILL_TEST_DIR";
const KILLS: u32 = 20;
const WRITERS: u32 = 4;

fn options(dir: &Path) -> SledOptions {
    // A killed process loses nothing the kernel has: syncing would only make the test slow.
    SledOptions {
        fsync: false,
        ..SledOptions::new(dir)
    }
}

/// Not a rule of its own: what the child of the test below does. Without its variable it has nothing to do.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(SledStore::open(&options(Path::new(&dir))).unwrap());
        let start = store.revision().await.unwrap().0;
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let store = store.clone();
            writers.spawn(async move {
                for step in 0.. {
                    // Keys come back, so that rewriting is tested as well as adding.
                    let name = format!("w/{writer}/{}", (start + step) % 97);
                    let value = format!(
                        "{start}-{step}-{}",
                        "x".repeat(usize::try_from(step % 700).unwrap())
                    );
                    let txn = Txn::new()
                        .put(Key::new(&name).unwrap(), value.clone())
                        .put(Key::new(format!("{name}/twin")).unwrap(), value.clone());
                    let revision = store.txn(txn).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ACK {revision} {name} {value}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
    });
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_writes_until_it_is_killed",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_by_killing_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // By key: the newest acknowledged revision and value.
    let mut acknowledged: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for kill in 0..KILLS {
        let mut child = start(dir.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut left = random.random_range(1..400_u32);
        // Whatever the pipe holds when the child dies was acknowledged too, so reading goes on to its end.
        while let Some(Ok(line)) = lines.next() {
            let mut fields = line.split(' ');
            if fields.next().is_none_or(|first| !first.ends_with("ACK")) {
                continue;
            }
            let (Some(revision), Some(name), Some(value)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let revision: u64 = revision.parse().unwrap();
            let newest = acknowledged.entry(name.to_owned()).or_default();
            if revision > newest.0 {
                *newest = (revision, value.to_owned());
            }
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert_eq!(left, 0, "the child ended by itself");
        let store =
            SledStore::open(&options(dir.path())).unwrap_or_else(|error| panic!("kill {kill}: {error}"));
        runtime.block_on(check(&store, &acknowledged, kill));
    }
    assert!(acknowledged.len() > 100);
}

async fn check(store: &SledStore, acknowledged: &BTreeMap<String, (u64, String)>, kill: u32) {
    let listing = store.list("w/", Page::first()).await.unwrap();
    assert!(!listing.more);
    let found: BTreeMap<_, _> = listing
        .entries
        .iter()
        .map(|entry| (entry.key.as_str(), entry))
        .collect();
    for (name, (revision, value)) in acknowledged {
        let entry = found
            .get(name.as_str())
            .unwrap_or_else(|| panic!("kill {kill}: {name} is lost"));
        assert!(
            entry.revision.0 >= *revision,
            "kill {kill}: {name} went back to {}",
            entry.revision
        );
        if entry.revision.0 == *revision {
            assert_eq!(entry.value, value.as_bytes(), "kill {kill}: {name}");
        }
    }
    // A transaction is there as a whole or not at all.
    for (name, entry) in found.iter().filter(|(name, _)| !name.ends_with("/twin")) {
        let twin = found
            .get(format!("{name}/twin").as_str())
            .unwrap_or_else(|| panic!("{name} has no twin"));
        assert_eq!(
            (&twin.value, twin.revision),
            (&entry.value, entry.revision),
            "kill {kill}: {name}"
        );
    }
}
