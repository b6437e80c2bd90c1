//! What every store must do, as rules to be run over each: `berth_store::conformance_suite!(store)` makes one test of each
//! rule, where `store` is an expression that gives a fresh, empty store that nobody else writes to.
//!
//! A rule is an async function that panics when it does not hold. Only tests build this room.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "rules are tests: they fail by panicking"
)]

pub mod election;

use std::collections::BTreeMap;

use berth_model::Revision;
use bytes::Bytes;
use futures::{StreamExt, future::join_all};

use crate::{Change, Compare, Key, MAX_VALUE_BYTES, MAX_WRITES, Page, Store, StoreError, Txn, Watch};

/// Makes a test of every rule.
#[macro_export]
macro_rules! conformance_suite {
    // For a store whose history does not end by itself.
    (all but history: $store:expr) => {
        $crate::conformance_suite!(@rules $store;
            a_written_value_is_read_back_with_its_revisions
            every_transaction_that_changes_something_raises_the_revision
            a_transaction_that_changes_nothing_returns_the_current_revision
            a_compare_that_does_not_hold_stops_the_whole_transaction
            compares_tell_absent_existing_and_rewritten_keys_apart
            a_key_deleted_and_written_again_is_created_anew
            of_many_who_compare_and_swap_one_wins
            concurrent_increments_are_all_counted
            lists_are_in_order_paged_and_keep_to_their_prefix
            what_cannot_be_stored_is_refused_as_a_whole
            a_read_after_an_acknowledged_write_shows_it
            a_watch_shows_what_was_and_what_comes_in_order
            a_transactions_changes_come_together_and_the_last_says_so
            a_watch_from_a_revision_that_never_was_is_refused
            random_transactions_agree_with_a_plain_map
        );
    };
    ($store:expr) => {
        $crate::conformance_suite!(all but history: $store);
        $crate::conformance_suite!(@rules $store;
            every_transaction_that_changes_something_raises_the_revision_by_one
            a_reader_too_slow_for_the_history_is_told
        );
    };
    (@rules $store:expr; $($rule:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let store = $store;
            $crate::conformance::$rule(&store).await;
        }
    )*};
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn conflict(result: Result<Revision, StoreError>) -> (Key, Option<Revision>) {
    match result {
        Err(StoreError::Conflict { key, found }) => (key, found),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

async fn next(watch: &mut Watch) -> Change {
    tokio::time::timeout(std::time::Duration::from_secs(20), watch.next())
        .await
        .unwrap_or_else(|_| panic!("no change within 20 s"))
        .unwrap_or_else(|| panic!("the watch ended"))
        .unwrap()
}

async fn all(store: &impl Store, prefix: &str, limit: usize) -> Vec<(String, Bytes, Revision)> {
    let mut page = Page { after: None, limit };
    let mut found = Vec::new();
    loop {
        let listing = store.list(prefix, page.clone()).await.unwrap();
        assert!(listing.entries.len() <= limit);
        page.after = listing.entries.last().map(|entry| entry.key.clone());
        found.extend(
            listing
                .entries
                .into_iter()
                .map(|e| (e.key.to_string(), e.value, e.revision)),
        );
        if !listing.more {
            return found;
        }
    }
}

/// A rule.
pub async fn a_written_value_is_read_back_with_its_revisions(store: &impl Store) {
    let name = key("tenants/acme");
    assert_eq!(store.get(&name).await.unwrap(), None);
    let first = store.txn(Txn::new().put(name.clone(), "one")).await.unwrap();
    let second = store.txn(Txn::new().put(name.clone(), "two")).await.unwrap();
    let entry = store.get(&name).await.unwrap().unwrap();
    assert_eq!((&entry.key, &entry.value[..]), (&name, &b"two"[..]));
    assert_eq!((entry.created, entry.revision), (first, second));
}

/// A rule.
pub async fn every_transaction_that_changes_something_raises_the_revision(store: &impl Store) {
    let mut last = store.revision().await.unwrap();
    for step in 1..=5_u64 {
        let txn = Txn::new()
            .put(key("a"), step.to_string())
            .put(key(&format!("b/{step}")), "x");
        let revision = store.txn(txn).await.unwrap();
        assert!(revision > last, "{revision} after {last}");
        last = revision;
    }
    let deleted = store.txn(Txn::new().delete(key("a"))).await.unwrap();
    assert!(deleted > last);
    assert_eq!(store.revision().await.unwrap(), deleted);
}

/// A rule, of a store that counts its own transactions and nothing else.
pub async fn every_transaction_that_changes_something_raises_the_revision_by_one(store: &impl Store) {
    let start = store.revision().await.unwrap();
    for step in 1..=5_u64 {
        let txn = Txn::new()
            .put(key("a"), step.to_string())
            .put(key(&format!("b/{step}")), "x");
        assert_eq!(store.txn(txn).await.unwrap(), Revision(start.0 + step));
    }
    assert_eq!(
        store.txn(Txn::new().delete(key("a"))).await.unwrap(),
        Revision(start.0 + 6)
    );
    assert_eq!(store.revision().await.unwrap(), Revision(start.0 + 6));
}

/// A rule.
pub async fn a_transaction_that_changes_nothing_returns_the_current_revision(store: &impl Store) {
    let now = store.txn(Txn::new().put(key("a"), "1")).await.unwrap();
    assert_eq!(store.txn(Txn::new()).await.unwrap(), now);
    assert_eq!(store.txn(Txn::new().delete(key("never-was"))).await.unwrap(), now);
    assert_eq!(store.txn(Txn::new().if_exists(key("a"))).await.unwrap(), now);
    assert_eq!(store.revision().await.unwrap(), now);
}

/// A rule.
pub async fn a_compare_that_does_not_hold_stops_the_whole_transaction(store: &impl Store) {
    let now = store
        .txn(Txn::new().put(key("a"), "1").put(key("b"), "1"))
        .await
        .unwrap();
    let txn = Txn::new()
        .if_exists(key("b"))
        .if_absent(key("a"))
        .put(key("c"), "1")
        .put(key("b"), "2")
        .delete(key("a"));
    assert_eq!(conflict(store.txn(txn).await), (key("a"), Some(now)));
    assert_eq!(store.revision().await.unwrap(), now);
    assert_eq!(store.get(&key("c")).await.unwrap(), None);
    assert_eq!(store.get(&key("b")).await.unwrap().unwrap().value, "1");
}

/// A rule.
pub async fn compares_tell_absent_existing_and_rewritten_keys_apart(store: &impl Store) {
    let a = key("a");
    assert_eq!(
        conflict(store.txn(Txn::new().if_exists(a.clone())).await),
        (a.clone(), None)
    );
    let ahead = Txn::new().if_revision(a.clone(), Revision(1)).put(a.clone(), "x");
    assert_eq!(conflict(store.txn(ahead).await), (a.clone(), None));
    let first = store
        .txn(Txn::new().if_absent(a.clone()).put(a.clone(), "1"))
        .await
        .unwrap();
    let again = Txn::new().if_absent(a.clone()).put(a.clone(), "1");
    assert_eq!(conflict(store.txn(again).await), (a.clone(), Some(first)));
    let second = store
        .txn(Txn::new().if_revision(a.clone(), first).put(a.clone(), "2"))
        .await
        .unwrap();
    let stale = Txn::new().if_revision(a.clone(), first).put(a.clone(), "3");
    assert_eq!(conflict(store.txn(stale).await), (a.clone(), Some(second)));
}

/// A rule.
pub async fn a_key_deleted_and_written_again_is_created_anew(store: &impl Store) {
    let a = key("a");
    let first = store.txn(Txn::new().put(a.clone(), "1")).await.unwrap();
    store.txn(Txn::new().delete(a.clone())).await.unwrap();
    assert_eq!(store.get(&a).await.unwrap(), None);
    let again = store
        .txn(Txn::new().if_absent(a.clone()).put(a.clone(), "2"))
        .await
        .unwrap();
    assert!(again > first);
    assert_eq!(store.get(&a).await.unwrap().unwrap().created, again);
    let stale = store.txn(Txn::new().if_revision(a.clone(), first)).await;
    assert_eq!(conflict(stale), (a, Some(again)));
}

/// A rule.
pub async fn of_many_who_compare_and_swap_one_wins(store: &impl Store) {
    let a = key("a");
    let start = store.revision().await.unwrap();
    let claims =
        (0..64).map(|who| store.txn(Txn::new().if_absent(a.clone()).put(a.clone(), who.to_string())));
    let results = join_all(claims).await;
    let winners: Vec<_> = results
        .iter()
        .enumerate()
        .filter(|(_, result)| result.is_ok())
        .collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(
        store.get(&a).await.unwrap().unwrap().value,
        winners[0].0.to_string()
    );
    let won = store.get(&a).await.unwrap().unwrap().revision;
    assert!(won > start);
    for lost in results.into_iter().filter(Result::is_err) {
        assert_eq!(conflict(lost), (a.clone(), Some(won)));
    }
}

/// A rule.
pub async fn concurrent_increments_are_all_counted(store: &impl Store) {
    let a = key("counter");
    store.txn(Txn::new().put(a.clone(), "0")).await.unwrap();
    let count_up = async || {
        for _ in 0..20 {
            loop {
                let entry = store.get(&a).await.unwrap().unwrap();
                let value: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                let txn = Txn::new()
                    .if_revision(a.clone(), entry.revision)
                    .put(a.clone(), (value + 1).to_string());
                match store.txn(txn).await {
                    Ok(_) => break,
                    Err(StoreError::Conflict { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    join_all((0..8).map(|_| count_up())).await;
    assert_eq!(store.get(&a).await.unwrap().unwrap().value, "160");
}

/// A rule.
pub async fn lists_are_in_order_paged_and_keep_to_their_prefix(store: &impl Store) {
    let names = ["a/1", "a/10", "a/2", "a/b/c", "a0", "ab/1", "b/1"];
    let mut last = Revision(0);
    for name in names.iter().rev() {
        last = store.txn(Txn::new().put(key(name), *name)).await.unwrap();
    }
    for limit in [1, 2, 3, 100] {
        let found: Vec<_> = all(store, "a/", limit)
            .await
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(found, ["a/1", "a/10", "a/2", "a/b/c"], "pages of {limit}");
        let found: Vec<_> = all(store, "", limit)
            .await
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(found, names, "pages of {limit}");
    }
    let after = store
        .list(
            "a/",
            Page {
                after: Some(key("a/15")),
                limit: 1,
            },
        )
        .await
        .unwrap();
    assert_eq!((after.entries[0].key.as_str(), after.more), ("a/2", true));
    let before = store
        .list(
            "b/",
            Page {
                after: Some(key("a/1")),
                limit: 5,
            },
        )
        .await
        .unwrap();
    assert_eq!((before.entries.len(), before.more), (1, false));
    let none = store.list("zzz", Page::first()).await.unwrap();
    assert_eq!((none.entries.len(), none.more, none.revision), (0, false, last));
}

/// A rule.
pub async fn what_cannot_be_stored_is_refused_as_a_whole(store: &impl Store) {
    let large = vec![7_u8; MAX_VALUE_BYTES + 1];
    let too_many = (0..=MAX_WRITES).fold(Txn::new(), |txn, at| txn.put(key(&format!("k/{at}")), "x"));
    for txn in [
        Txn::new().put(key("fine"), "x").put(key("large"), large.clone()),
        Txn::new().put(key("twice"), "1").put(key("twice"), "2"),
        Txn::new().put(key("both"), "1").delete(key("both")),
        too_many,
    ] {
        assert!(matches!(store.txn(txn).await, Err(StoreError::Invalid { .. })));
    }
    assert_eq!(store.list("", Page::first()).await.unwrap().entries, []);
    let largest = Bytes::from(large).slice(1..);
    store
        .txn(Txn::new().put(key("large"), largest.clone()))
        .await
        .unwrap();
    assert_eq!(store.get(&key("large")).await.unwrap().unwrap().value, largest);
}

/// A rule.
pub async fn a_read_after_an_acknowledged_write_shows_it(store: &impl Store) {
    let write_and_look = async |who: u32| {
        for round in 0..10 {
            let name = key(&format!("w/{who}/{round}"));
            let revision = store.txn(Txn::new().put(name.clone(), "x")).await.unwrap();
            assert_eq!(
                store.get(&name).await.unwrap().map(|entry| entry.revision),
                Some(revision)
            );
            let listing = store.list(name.as_str(), Page::first()).await.unwrap();
            assert!(listing.entries.iter().any(|entry| entry.key == name) && listing.revision >= revision);
            assert!(store.revision().await.unwrap() >= revision);
        }
    };
    join_all((0..16).map(write_and_look)).await;
}

/// A rule.
pub async fn a_watch_shows_what_was_and_what_comes_in_order(store: &impl Store) {
    let start = store.revision().await.unwrap();
    let first = store.txn(Txn::new().put(key("a"), "1")).await.unwrap();
    let second = store.txn(Txn::new().put(key("b"), "2")).await.unwrap();
    let mut from_start = store.watch(start).await.unwrap();
    let mut from_first = store.watch(first).await.unwrap();
    let mut from_now = store.watch(second).await.unwrap();
    let third = store.txn(Txn::new().delete(key("a"))).await.unwrap();
    let change = |revision, name: &str, put: Option<&'static str>| Change {
        revision,
        key: key(name),
        put: put.map(Bytes::from),
        last: true,
    };
    assert_eq!(next(&mut from_start).await, change(first, "a", Some("1")));
    assert_eq!(next(&mut from_start).await, change(second, "b", Some("2")));
    assert_eq!(next(&mut from_start).await, change(third, "a", None));
    assert_eq!(next(&mut from_first).await, change(second, "b", Some("2")));
    assert_eq!(next(&mut from_now).await, change(third, "a", None));
    let waiting = tokio::spawn(async move { next(&mut from_now).await });
    let fourth = store.txn(Txn::new().put(key("c"), "4")).await.unwrap();
    assert_eq!(waiting.await.unwrap(), change(fourth, "c", Some("4")));
}

/// A rule.
pub async fn a_transactions_changes_come_together_and_the_last_says_so(store: &impl Store) {
    let start = store.txn(Txn::new().put(key("gone"), "x")).await.unwrap();
    let mut watch = store.watch(start).await.unwrap();
    let txn = Txn::new()
        .put(key("a"), "1")
        .put(key("b"), "2")
        .delete(key("gone"))
        .delete(key("never-was"));
    let revision = store.txn(txn).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let change = next(&mut watch).await;
        assert_eq!(change.revision, revision);
        seen.push((change.key.to_string(), change.put, change.last));
    }
    assert_eq!(
        seen.iter().map(|(.., last)| *last).collect::<Vec<_>>(),
        [false, false, true]
    );
    seen.sort();
    let names: Vec<_> = seen
        .iter()
        .map(|(name, put, _)| (name.as_str(), put.is_some()))
        .collect();
    assert_eq!(names, [("a", true), ("b", true), ("gone", false)]);
}

/// A rule.
pub async fn a_watch_from_a_revision_that_never_was_is_refused(store: &impl Store) {
    let now = store.txn(Txn::new().put(key("a"), "1")).await.unwrap();
    match store.watch(now.next()).await {
        Err(StoreError::Compacted { asked, newest, .. }) => assert_eq!((asked, newest), (now.next(), now)),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A rule.
pub async fn a_reader_too_slow_for_the_history_is_told(store: &impl Store) {
    let start = store.revision().await.unwrap();
    let mut slow = store.watch(start).await.unwrap();
    // Enough bytes in few transactions to push the first out of any bounded history.
    let value = Bytes::from(vec![0_u8; MAX_VALUE_BYTES]);
    for _ in 0..12 {
        let txn = (0..MAX_WRITES).fold(Txn::new(), |txn, at| {
            txn.put(key(&format!("k/{at}")), value.clone())
        });
        store.txn(txn).await.unwrap();
    }
    let told = loop {
        match slow.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the watch ended without a word"),
        }
    };
    assert!(matches!(told, StoreError::Compacted { .. }), "{told}");
    assert!(slow.next().await.is_none());
    assert!(matches!(
        store.watch(start).await,
        Err(StoreError::Compacted { .. })
    ));
}

/// A rule.
pub async fn random_transactions_agree_with_a_plain_map(store: &impl Store) {
    let start = store.revision().await.unwrap();
    let mut watch = store.watch(start).await.unwrap();
    let mut model: BTreeMap<String, (Bytes, Revision)> = BTreeMap::new();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut revision = start;
    for _ in 0..300 {
        let mut txn = Txn::new();
        for _ in 0..numbers.below(3) {
            let name = format!("k/{}", numbers.below(12));
            let found = model.get(&name).map(|(_, revision)| *revision);
            // Mostly right, sometimes not.
            let compare = match (numbers.below(8), found) {
                (0, _) => Compare::Absent(key(&name)),
                (1, _) => Compare::RevisionIs(key(&name), Revision(numbers.below(300))),
                (_, Some(revision)) => Compare::RevisionIs(key(&name), revision),
                (_, None) => Compare::Absent(key(&name)),
            };
            txn.compares.push(compare);
        }
        let mut names: Vec<u64> = (0..12).collect();
        for _ in 0..numbers.below(4) {
            let at = usize::try_from(numbers.below(names.len() as u64)).unwrap();
            let name = key(&format!("k/{}", names.swap_remove(at)));
            txn = if numbers.below(3) == 0 {
                txn.delete(name)
            } else {
                txn.put(name, numbers.below(1000).to_string())
            };
        }
        let holds = txn
            .compares
            .iter()
            .all(|c| c.holds(model.get(c.key().as_str()).map(|(_, revision)| *revision)));
        let deletes: Vec<_> = txn
            .deletes
            .iter()
            .filter(|key| model.contains_key(key.as_str()))
            .cloned()
            .collect();
        let answer = store.txn(txn.clone()).await;
        if !holds {
            conflict(answer);
            continue;
        }
        let writes = txn.puts.len() + deletes.len();
        let answered = answer.unwrap();
        assert_eq!(answered > revision, writes > 0, "{txn:?}");
        revision = answered;
        for _ in 0..writes {
            let change = next(&mut watch).await;
            assert_eq!(change.revision, revision);
            let expected = txn
                .puts
                .iter()
                .find(|(name, _)| *name == change.key)
                .map(|(_, value)| value.clone());
            assert_eq!(change.put, expected);
        }
        for name in &deletes {
            model.remove(name.as_str());
        }
        for (name, value) in txn.puts {
            model.insert(name.to_string(), (value, revision));
        }
    }
    let expected: Vec<_> = model
        .into_iter()
        .map(|(name, (value, revision))| (name, value, revision))
        .collect();
    assert_eq!(all(store, "k/", 5).await, expected);
}

/// Xorshift: the same numbers in every run, so that a failure comes back.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
