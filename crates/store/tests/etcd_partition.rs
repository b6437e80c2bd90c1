//! An etcd whose members do not hear each other, under the stores of two hubs: who is with the smaller part neither writes nor reads what is
//! no longer so, and everything goes on by itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod etcd_support;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use berth_fake::control_plane::{Cut, EtcdCluster};
use berth_model::Revision;
use berth_store::{
    Candidate, Election, EtcdError, EtcdOptions, EtcdStore, Leadership, Store, StoreError, Txn,
};
use etcd_client::Client;
use etcd_support::{etcd_with_a_network, key, options};
use futures::StreamExt;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(90), work).await.unwrap()
}

fn candidate(id: &str) -> Candidate {
    Candidate {
        id: id.into(),
        ..Candidate::default()
    }
}

/// Connects, once the members that are asked know who leads them: on a busy machine they may be about to elect.
async fn connected(options: EtcdOptions) -> EtcdStore {
    soon(async {
        loop {
            match EtcdStore::connect(&options).await {
                Ok(store) => return store,
                Err(EtcdError::Store(error)) if error.retryable() => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await
}

/// A store that knows the member `first` and then the others.
async fn store_from(etcd: &EtcdCluster, first: usize) -> EtcdStore {
    let mut urls = etcd.client_urls();
    urls.rotate_left(first);
    let options = EtcdOptions {
        endpoints: urls,
        ..options(etcd)
    };
    connected(options).await
}

/// A store that knows one member alone.
async fn store_at(etcd: &EtcdCluster, member: usize) -> EtcdStore {
    let options = EtcdOptions {
        endpoints: vec![etcd.client_urls()[member].clone()],
        ..options(etcd)
    };
    connected(options).await
}

/// The member that leads etcd itself, and one that follows.
async fn ranks(etcd: &EtcdCluster) -> (usize, usize) {
    soon(async {
        loop {
            for (at, url) in etcd.client_urls().into_iter().enumerate() {
                let mut client = Client::connect([url], None).await.unwrap();
                let status = client.status().await.unwrap();
                if status.leader() == status.header().unwrap().member_id() {
                    return (at, (at + 1) % 3);
                }
            }
        }
    })
    .await
}

/// Counts up one key for as long as it may, and notes what was acknowledged. It stops at an answer that is missing: whether that write was
/// taken is for the next leader to find.
struct Writer {
    acknowledged: Arc<Mutex<u64>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

async fn counter(store: &EtcdStore) -> Result<(u64, Revision), StoreError> {
    Ok(store
        .get(&key("counter"))
        .await?
        .map_or((0, Revision(0)), |entry| {
            let text = String::from_utf8(entry.value.to_vec()).unwrap();
            (text.parse().unwrap(), entry.revision)
        }))
}

/// Raises the counter by one, if nobody else does.
async fn raise(store: &EtcdStore) -> Result<u64, StoreError> {
    let (now, revision) = counter(store).await?;
    let next = now + 1;
    let txn = match revision {
        Revision(0) => Txn::new().if_absent(key("counter")),
        revision => Txn::new().if_revision(key("counter"), revision),
    };
    store.txn(txn.put(key("counter"), next.to_string())).await?;
    Ok(next)
}

impl Writer {
    fn start(store: EtcdStore) -> Self {
        let (acknowledged, stop) = (Arc::<Mutex<u64>>::default(), Arc::<AtomicBool>::default());
        let task = tokio::spawn({
            let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
            async move {
                while !stop.load(Ordering::Relaxed) {
                    match raise(&store).await {
                        Ok(count) => *acknowledged.lock().unwrap() = count,
                        Err(StoreError::NotLeader) => return,
                        Err(StoreError::Conflict { .. }) => {}
                        Err(error) => assert!(error.retryable(), "{error}"),
                    }
                }
            }
        });
        Self {
            acknowledged,
            stop,
            task,
        }
    }

    fn acknowledged(&self) -> u64 {
        *self.acknowledged.lock().unwrap()
    }

    async fn more(&self, by: u64) {
        let wanted = self.acknowledged() + by;
        soon(async {
            while self.acknowledged() < wanted {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        *self.acknowledged.lock().unwrap()
    }
}

async fn leads(store: &EtcdStore, id: &str) -> Leadership {
    soon(store.campaign(&candidate(id))).await.unwrap()
}

/// Two hubs that know all members; the leader's is cut off from the others.
async fn through_a_cut(how: Cut, of_etcds_leader: bool) {
    let etcd = etcd_with_a_network().await;
    let (leader, follower) = ranks(&etcd).await;
    let victim = if of_etcds_leader { leader } else { follower };
    let (first, second) = (store_from(&etcd, victim).await, store_from(&etcd, victim).await);
    let leadership = leads(&first, "first").await;
    let fence = first.fence().unwrap();
    let writer = Writer::start(first.clone());
    let mut watch = second.watch(second.revision().await.unwrap()).await.unwrap();
    let waiting = tokio::spawn({
        let second = second.clone();
        async move { leads(&second, "second").await }
    });
    writer.more(20).await;

    etcd.cut_off(victim, how);
    // Either the first goes by other members and leads on, or the second takes over; in both cases writing goes on.
    let at_the_cut = writer.acknowledged();
    let goes_on = async {
        loop {
            if writer.acknowledged() > at_the_cut + 20 {
                return true;
            }
            if waiting.is_finished() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let same = soon(goes_on).await;
    let acknowledged = if same {
        assert!(leadership.holds(), "{how:?}: it writes and does not lead");
        writer.end().await
    } else {
        soon(leadership.lost()).await;
        let acknowledged = writer.end().await;
        assert!(second.fence().unwrap() > fence, "{how:?}");
        let refused = first.txn(Txn::new().put(key("late"), "x")).await;
        assert!(
            matches!(refused, Err(StoreError::NotLeader)),
            "{how:?}: {refused:?}"
        );
        acknowledged
    };
    let active = if same { &first } else { &second };
    let (found, _) = soon(async {
        loop {
            match counter(active).await {
                Ok(found) => return found,
                Err(error) => assert!(error.retryable(), "{error}"),
            }
        }
    })
    .await;
    // One write may have been taken whose answer got lost.
    assert!(
        found == acknowledged || found == acknowledged + 1,
        "{how:?}: acknowledged {acknowledged}, found {found}"
    );
    let during = soon(async {
        loop {
            match raise(active).await {
                Ok(count) => return count,
                Err(error) => assert!(
                    error.retryable() || matches!(error, StoreError::Conflict { .. }),
                    "{error}"
                ),
            }
        }
    })
    .await;

    etcd.heal();
    // Whoever was with the smaller part sees the same, and a watch has missed and repeated nothing.
    let behind = store_at(&etcd, victim).await;
    let (seen, revision) = soon(async {
        loop {
            match counter(&behind).await {
                Ok(found) => return found,
                Err(error) => assert!(error.retryable(), "{error}"),
            }
        }
    })
    .await;
    assert!(seen >= during, "{how:?}: {seen} of {during}");
    let mut shown = BTreeMap::new();
    soon(async {
        loop {
            let change = watch.next().await.unwrap().unwrap();
            if change.key != key("counter") {
                continue;
            }
            let text = String::from_utf8(change.put.unwrap().to_vec()).unwrap();
            assert_eq!(shown.insert(text.parse::<u64>().unwrap(), change.revision), None);
            if change.revision >= revision {
                return;
            }
        }
    })
    .await;
    let first_shown = *shown.keys().next().unwrap();
    assert!(
        shown.keys().copied().eq(first_shown..=seen),
        "{how:?}: the watch has gaps"
    );
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_between_etcds_leader_and_the_others_loses_nothing_and_heals_by_itself() {
    through_a_cut(Cut::Both, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_between_a_following_member_and_the_others_loses_nothing_and_heals_by_itself() {
    through_a_cut(Cut::Both, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_leader_that_is_not_heard_loses_nothing_and_heals_by_itself() {
    through_a_cut(Cut::Mute, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_leader_that_hears_nobody_loses_nothing_and_heals_by_itself() {
    through_a_cut(Cut::Deaf, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_following_member_that_hears_nobody_loses_nothing_and_heals_by_itself() {
    through_a_cut(Cut::Deaf, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_reaches_the_smaller_part_alone_writes_nothing_reads_nothing_old_and_is_followed() {
    let etcd = etcd_with_a_network().await;
    let (victim, _) = ranks(&etcd).await;
    let stranded = store_at(&etcd, victim).await;
    let other = store_from(&etcd, (victim + 1) % 3).await;
    let leadership = leads(&stranded, "stranded").await;
    let fence = stranded.fence().unwrap();
    let written = Txn::new().put(key("value"), "before");
    stranded.txn(written).await.unwrap();
    let waiting = tokio::spawn({
        let other = other.clone();
        async move { leads(&other, "other").await }
    });

    etcd.cut_off(victim, Cut::Both);
    // What it asks now is answered as it was before the cut, by what it had just agreed on with the others, or not at all.
    let during = stranded.txn(Txn::new().put(key("during"), "x")).await;
    assert!(
        matches!(
            during,
            Err(StoreError::Unavailable { .. } | StoreError::NotLeader)
        ),
        "a member that agrees with nobody has taken a write: {during:?}"
    );
    let new = soon(waiting).await.unwrap();
    assert!(other.fence().unwrap() > fence);
    assert!(!leadership.holds(), "two lead at once");
    other.txn(Txn::new().put(key("value"), "after")).await.unwrap();
    for _ in 0..3 {
        let read = stranded.get(&key("value")).await;
        assert!(
            matches!(read, Err(StoreError::Unavailable { .. })),
            "read from a member that agrees with nobody: {read:?}"
        );
    }
    let late = stranded.txn(Txn::new().put(key("late"), "x")).await;
    assert!(matches!(late, Err(StoreError::NotLeader)), "{late:?}");

    etcd.heal();
    let value = soon(async {
        loop {
            match stranded.get(&key("value")).await {
                Ok(found) => return found.unwrap().value,
                Err(error) => assert!(error.retryable(), "{error}"),
            }
        }
    })
    .await;
    assert_eq!(value, "after");
    for lost in ["during", "late"] {
        assert_eq!(stranded.get(&key(lost)).await.unwrap(), None, "{lost}");
    }
    assert!(new.holds(), "the cut's end has cost the new leader its lead");
}
