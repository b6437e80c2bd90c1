//! A backup leads back to what was acknowledged: the newest, at a revision, at a time; whatever was cut short; and old ones go only
//! when there are newer ones of the same store.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use berth_model::{Revision, Timestamp};
use berth_runtime::{CancellationToken, clock::SystemClock};
use berth_store::{
    Entry, Key, MemoryStore, Store, Txn,
    backup::{self, BackupError, Backups, Options, Place, Source, Status, Target, place::Directory},
    snapshot,
};
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn fast() -> Options {
    Options {
        interval: Duration::from_millis(20),
        segment_bytes: 2000,
        ..Options::default()
    }
}

struct Running {
    status: watch::Receiver<Status>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn start(store: &MemoryStore, incarnation: &str, place: Arc<dyn Place>, options: Options) -> Running {
    let source = Source {
        store: Arc::new(store.clone()),
        fleet: Some("fleet-1".into()),
        incarnation: incarnation.into(),
    };
    let backups = Backups::new(source, place, Arc::new(SystemClock::new()), options);
    let (status, cancel) = (backups.status(), CancellationToken::new());
    Running {
        status,
        task: tokio::spawn(backups.run(cancel.clone())),
        cancel,
    }
}

impl Running {
    async fn until(&mut self, what: impl Fn(&Status) -> bool) -> Status {
        let seen = tokio::time::timeout(
            Duration::from_secs(60),
            self.status.wait_for(|status| what(status)),
        )
        .await
        .map(|status| status.unwrap().clone());
        seen.unwrap_or_else(|_| panic!("not reached: {:?}", self.status.borrow()))
    }

    async fn covers(&mut self, store: &MemoryStore) -> Status {
        let revision = store.revision().await.unwrap();
        self.until(|status| status.revision >= revision && status.current_at.is_some())
            .await
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

async fn write(store: &MemoryStore, random: &mut StdRng, transactions: u32) {
    for _ in 0..transactions {
        let at = random.random_range(0..60);
        let mut txn = Txn::new().put(
            key(&format!("a/{at}")),
            vec![random.random(); random.random_range(0..400)],
        );
        if random.random_bool(0.3) {
            txn = txn.delete(key(&format!("b/{at}")));
        } else {
            txn = txn.put(key(&format!("b/{at}")), "b");
        }
        store.txn(txn).await.unwrap();
    }
}

async fn all(store: &MemoryStore) -> (Revision, Vec<Entry>) {
    snapshot::contents(store).await.unwrap()
}

async fn newest(place: &dyn Place) -> (Revision, Vec<Entry>) {
    let snapshot = backup::load(place, Target::Newest).await.unwrap();
    (snapshot.summary.revision, snapshot.entries)
}

#[tokio::test]
async fn a_backup_leads_to_every_revision_that_it_covers() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let place: Arc<dyn Place> = Arc::new(Directory::new(dir.path()));
    let store = MemoryStore::new();
    write(&store, &mut random, 20).await;
    let mut running = start(&store, "one", place.clone(), fast());
    running.covers(&store).await;
    let mut moments = vec![all(&store).await];
    for _ in 0..60 {
        write(&store, &mut random, 1).await;
        moments.push(all(&store).await);
        if random.random_bool(0.2) {
            running.covers(&store).await;
        }
    }
    running.covers(&store).await;
    assert_eq!(newest(place.as_ref()).await, all(&store).await);
    for (revision, entries) in moments {
        let back = backup::load(place.as_ref(), Target::Revision(revision))
            .await
            .unwrap();
        assert_eq!((back.summary.revision, back.entries), (revision, entries));
    }
    let reports = backup::verify(place.as_ref(), |_| ()).await.unwrap();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].segments > 3, "{reports:?}");
    running.end().await;
    for missing in [
        Target::Revision(Revision(9999)),
        Target::Time(Timestamp::UNIX_EPOCH),
    ] {
        let none = backup::load(place.as_ref(), missing).await.unwrap_err();
        assert!(matches!(none, BackupError::None { .. }), "{none}");
    }
}

#[tokio::test]
async fn a_backup_leads_to_a_time() {
    let mut random = StdRng::seed_from_u64(3);
    let dir = tempfile::tempdir().unwrap();
    let place: Arc<dyn Place> = Arc::new(Directory::new(dir.path()));
    let store = MemoryStore::new();
    write(&store, &mut random, 5).await;
    let mut running = start(&store, "one", place.clone(), fast());
    let status = running.covers(&store).await;
    let (then, before) = (status.written_at.unwrap(), all(&store).await);
    write(&store, &mut random, 5).await;
    let status = running.covers(&store).await;
    assert!(status.written_at.unwrap() > then);
    let back = backup::load(place.as_ref(), Target::Time(then)).await.unwrap();
    assert_eq!((back.summary.revision, back.entries), before);
    assert_eq!(back.summary.about.created_at, then);
    running.end().await;
}

#[tokio::test]
async fn what_was_written_until_the_end_is_in_the_backup_and_a_restart_goes_on_with_the_chain() {
    let mut random = StdRng::seed_from_u64(4);
    let dir = tempfile::tempdir().unwrap();
    let place: Arc<dyn Place> = Arc::new(Directory::new(dir.path()));
    let store = MemoryStore::new();
    let slow = Options {
        interval: Duration::from_secs(3600),
        ..Options::default()
    };
    for round in 0..3 {
        let mut running = start(&store, "one", place.clone(), slow.clone());
        running.until(|status| status.written_at.is_some()).await;
        write(&store, &mut random, 10).await;
        // The watch has everything at hand by the time the task looks at it again.
        tokio::task::yield_now().await;
        running.end().await;
        assert_eq!(newest(place.as_ref()).await, all(&store).await, "round {round}");
        assert_eq!(backup::verify(place.as_ref(), |_| ()).await.unwrap().len(), 1);
    }
    // Another store begins a chain of its own.
    let other = MemoryStore::new();
    write(&other, &mut random, 3).await;
    let mut running = start(&other, "two", place.clone(), slow);
    running.until(|status| status.written_at.is_some()).await;
    running.end().await;
    assert_eq!(backup::verify(place.as_ref(), |_| ()).await.unwrap().len(), 2);
}

/// Fails some of what it is asked, before or after doing it; and may be cut off for good.
#[derive(Debug)]
struct Flaky {
    inner: Directory,
    random: Mutex<StdRng>,
    left: AtomicU32,
}

impl Flaky {
    fn fails(&self) -> Result<bool, BackupError> {
        let fails = |chance| self.random.lock().unwrap().random_bool(chance);
        if self.left.load(Ordering::Relaxed) == 0 {
            return Err(broken());
        }
        self.left.fetch_sub(1, Ordering::Relaxed);
        if fails(0.15) {
            Err(broken())
        } else {
            Ok(fails(0.15))
        }
    }

    async fn ask<T>(&self, work: impl Future<Output = Result<T, BackupError>>) -> Result<T, BackupError> {
        let answer_is_lost = self.fails()?;
        let done = work.await?;
        if answer_is_lost { Err(broken()) } else { Ok(done) }
    }
}

fn broken() -> BackupError {
    BackupError::Place {
        operation: "ask",
        name: "it".into(),
        place: "nowhere".into(),
        source: "broken".into(),
    }
}

#[async_trait]
impl Place for Flaky {
    fn name(&self) -> String {
        "flaky".into()
    }
    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BackupError> {
        self.ask(self.inner.put(name, bytes)).await
    }
    async fn get(&self, name: &str) -> Result<Option<Bytes>, BackupError> {
        self.ask(self.inner.get(name)).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<String>, BackupError> {
        self.ask(self.inner.list(folder)).await
    }
    async fn delete(&self, name: &str) -> Result<(), BackupError> {
        self.ask(self.inner.delete(name)).await
    }
}

/// Cut off after each number of steps in turn, as a killed process is: what is at the place is a whole chain each time, of a revision
/// that was, and never goes back.
#[tokio::test(start_paused = true)]
async fn wherever_it_is_cut_short_what_is_there_leads_to_a_moment_that_was() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    let mut moments: Vec<(Revision, Vec<Entry>)> = Vec::new();
    let mut reached = Revision(0);
    let options = Options {
        chain_segments: 5,
        keep_chains: 2,
        keep_for: Duration::ZERO,
        ..fast()
    };
    for steps in 1..60 {
        let place = Arc::new(Flaky {
            inner: Directory::new(dir.path()),
            random: Mutex::new(StdRng::seed_from_u64(seed + u64::from(steps))),
            left: AtomicU32::new(steps),
        });
        let mut running = start(&store, "one", place.clone(), options.clone());
        while place.left.load(Ordering::Relaxed) > 0 {
            write(&store, &mut random, 1).await;
            moments.push(all(&store).await);
            tokio::time::sleep(Duration::from_millis(random.random_range(0..3000))).await;
        }
        // The last step may have been the last that there was to do; only with more to do it is seen that nothing is done any more.
        write(&store, &mut random, 1).await;
        moments.push(all(&store).await);
        running.until(|status| status.failures > 0).await;
        running.task.abort();
        let _ = running.task.await;
        let place = Directory::new(dir.path());
        let (revision, entries) = match backup::load(&place, Target::Newest).await {
            Ok(snapshot) => (snapshot.summary.revision, snapshot.entries),
            Err(BackupError::None { .. }) if reached == Revision(0) => continue,
            Err(error) => panic!("after {steps} steps: {error}"),
        };
        assert!(
            revision >= reached,
            "after {steps} steps: went back to {revision} from {reached}"
        );
        reached = revision;
        if revision > Revision(0) {
            assert!(
                moments.contains(&(revision, entries)),
                "after {steps} steps: {revision}"
            );
        }
        for report in backup::verify(&place, |_| ()).await.unwrap() {
            assert!(report.entries.is_ok(), "after {steps} steps: {report:?}");
        }
    }
    assert!(reached > Revision(20), "{reached}");
}

#[tokio::test]
async fn old_chains_go_when_there_are_newer_ones_and_those_of_other_stores_stay() {
    let mut random = StdRng::seed_from_u64(6);
    let dir = tempfile::tempdir().unwrap();
    let place: Arc<dyn Place> = Arc::new(Directory::new(dir.path()));
    let other = MemoryStore::new();
    write(&other, &mut random, 3).await;
    let mut running = start(&other, "other", place.clone(), fast());
    running.covers(&other).await;
    running.end().await;
    let store = MemoryStore::new();
    let options = Options {
        chain_segments: 2,
        keep_chains: 2,
        keep_for: Duration::ZERO,
        ..fast()
    };
    let mut running = start(&store, "one", place.clone(), options);
    let mut seen = BTreeSet::new();
    while seen.len() < 6 {
        write(&store, &mut random, 2).await;
        running.covers(&store).await;
        let reports = backup::verify(place.as_ref(), |_| ()).await;
        seen.extend(
            reports
                .unwrap_or_default()
                .into_iter()
                .filter(|report| report.incarnation == "one")
                .map(|report| report.chain),
        );
    }
    running.until(|status| status.chains == 2).await;
    running.end().await;
    let reports = backup::verify(place.as_ref(), |_| ()).await.unwrap();
    let of = |incarnation: &str| {
        reports
            .iter()
            .filter(|report| report.incarnation == incarnation)
            .count()
    };
    assert_eq!((of("other"), of("one")), (1, 2), "{reports:?}");
    assert!(reports.iter().all(|report| report.entries.is_ok()), "{reports:?}");
}

#[tokio::test]
async fn a_damaged_file_of_a_chain_is_found_and_named() {
    let mut random = StdRng::seed_from_u64(7);
    let dir = tempfile::tempdir().unwrap();
    let place: Arc<dyn Place> = Arc::new(Directory::new(dir.path()));
    let store = MemoryStore::new();
    let mut running = start(&store, "one", place.clone(), fast());
    for _ in 0..3 {
        write(&store, &mut random, 5).await;
        running.covers(&store).await;
    }
    running.end().await;
    let names = place.list("chains").await.unwrap();
    assert!(names.len() > 3, "{names:?}");
    for name in &names {
        let whole = place.get(name).await.unwrap().unwrap();
        let mut changed = whole.to_vec();
        let at = changed.len() / 2;
        changed[at] ^= 1;
        for damaged in [Some(Bytes::from(changed)), Some(whole.slice(..at)), None] {
            let gone = damaged.is_none();
            match damaged {
                Some(bytes) => place.put(name, bytes).await.unwrap(),
                None => place.delete(name).await.unwrap(),
            }
            let refused = backup::load(place.as_ref(), Target::Newest).await;
            // A bit of the manifest may be in a text that says nothing of what is held.
            if name.ends_with("manifest.json") {
                assert!(
                    !gone || matches!(refused, Err(BackupError::None { .. })),
                    "{refused:?}"
                );
            } else {
                let file = name.rsplit('/').next().unwrap();
                let error = refused.unwrap_err();
                assert!(
                    matches!(error, BackupError::Damaged { .. }) && error.to_string().contains(file),
                    "{error}"
                );
            }
            place.put(name, whole.clone()).await.unwrap();
        }
    }
    assert_eq!(newest(place.as_ref()).await, all(&store).await);
}
