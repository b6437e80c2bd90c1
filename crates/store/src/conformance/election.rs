//! What every election must do: `berth_store::election_suite!(arena)` makes one test of each rule, where `arena` is an
//! expression that gives an [`Arena`] nobody else uses.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};

use super::key;
use crate::{Candidate, Election, Leadership, Store, StoreError, Txn};

/// A store that several hubs share.
#[async_trait::async_trait]
pub trait Arena: Send + Sync {
    /// What one hub has of it.
    type Hub: Store + Election;
    /// Another hub on the same store, as another process would have it.
    async fn hub(&self) -> Self::Hub;
}

/// Makes a test of every rule.
#[macro_export]
macro_rules! election_suite {
    ($arena:expr) => {
        $crate::election_suite!(@rules $arena;
            of_several_candidates_one_leads_and_each_has_its_turn
            everybody_learns_who_leads_and_that_nobody_does
            who_never_campaigned_writes_and_who_follows_does_not
            who_gave_up_writes_no_more_and_may_lead_again
            a_campaign_that_is_dropped_stands_no_more
        );
    };
    (@rules $arena:expr; $($rule:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let arena = $arena;
            $crate::conformance::election::$rule(&arena).await;
        }
    )*};
}

fn candidate(id: impl ToString) -> Candidate {
    let id = id.to_string();
    Candidate {
        api_url: format!("https://{id}:7443"),
        agent_url: format!("https://{id}:7444"),
        id,
    }
}

/// Longer than any of it takes; that it is reached is a failure, not a measure.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .unwrap_or_else(|_| panic!("not within 60 s"))
}

async fn until_told(hub: &impl Election, wanted: Option<&Candidate>) {
    let mut leader = hub.leader();
    soon(leader.wait_for(|leader| leader.as_ref() == wanted))
        .await
        .unwrap();
}

async fn write(hub: &impl Store, name: &str) -> Result<(), StoreError> {
    hub.txn(Txn::new().put(key(name), "x")).await.map(drop)
}

async fn refused(hub: &impl Store, name: &str) {
    let answer = write(hub, name).await;
    assert!(matches!(answer, Err(StoreError::NotLeader)), "{answer:?}");
    assert_eq!(hub.get(&key(name)).await.unwrap(), None);
}

/// A rule.
pub async fn of_several_candidates_one_leads_and_each_has_its_turn(arena: &impl Arena) {
    let mut hubs = Vec::new();
    for _ in 0..4 {
        hubs.push(arena.hub().await);
    }
    let mut campaigns: FuturesUnordered<_> = hubs
        .iter()
        .enumerate()
        .map(|(at, hub)| async move { (at, hub.campaign(&candidate(at)).await.unwrap()) })
        .collect();
    let mut past: Vec<usize> = Vec::new();
    let mut now: Option<(usize, Leadership)> = None;
    for turn in 0..4 {
        if let Some((at, leadership)) = now.take() {
            drop(leadership);
            past.push(at);
        }
        let (at, leadership) = soon(campaigns.next()).await.unwrap();
        assert!(!past.contains(&at) && leadership.holds());
        for (other, hub) in hubs.iter().enumerate().filter(|(other, _)| *other != at) {
            refused(hub, &format!("by/{other}/{turn}")).await;
        }
        write(&hubs[at], &format!("turn/{turn}")).await.unwrap();
        assert!(leadership.holds());
        now = Some((at, leadership));
    }
}

/// A rule.
pub async fn everybody_learns_who_leads_and_that_nobody_does(arena: &impl Arena) {
    let (first, second, onlooker) = (arena.hub().await, arena.hub().await, arena.hub().await);
    let (a, b) = (candidate("a"), candidate("b"));
    let leadership = soon(first.campaign(&a)).await.unwrap();
    for hub in [&first, &second, &onlooker] {
        until_told(hub, Some(&a)).await;
    }
    drop(leadership);
    for hub in [&first, &second, &onlooker] {
        until_told(hub, None).await;
    }
    let _leadership = soon(second.campaign(&b)).await.unwrap();
    for hub in [&first, &second, &onlooker] {
        until_told(hub, Some(&b)).await;
    }
}

/// A rule.
pub async fn who_never_campaigned_writes_and_who_follows_does_not(arena: &impl Arena) {
    let (tool, leader, follower) = (arena.hub().await, arena.hub().await, arena.hub().await);
    write(&tool, "before").await.unwrap();
    let _leadership = soon(leader.campaign(&candidate("leader"))).await.unwrap();
    let candidate = candidate("follower");
    let campaign = follower.campaign(&candidate);
    tokio::pin!(campaign);
    // Polled once, it stands.
    assert!(futures::poll!(&mut campaign).is_pending());
    refused(&follower, "by-a-follower").await;
    write(&leader, "by-the-leader").await.unwrap();
    assert!(follower.get(&key("by-the-leader")).await.unwrap().is_some());
    assert!(follower.get(&key("before")).await.unwrap().is_some());
}

/// A rule.
pub async fn who_gave_up_writes_no_more_and_may_lead_again(arena: &impl Arena) {
    let hub = arena.hub().await;
    let leadership = soon(hub.campaign(&candidate("a"))).await.unwrap();
    write(&hub, "first").await.unwrap();
    drop(leadership);
    refused(&hub, "between").await;
    let leadership = soon(hub.campaign(&candidate("a"))).await.unwrap();
    write(&hub, "second").await.unwrap();
    assert!(leadership.holds());
}

/// A rule.
pub async fn a_campaign_that_is_dropped_stands_no_more(arena: &impl Arena) {
    let (first, second, third) = (arena.hub().await, arena.hub().await, arena.hub().await);
    let leadership = soon(first.campaign(&candidate("first"))).await.unwrap();
    {
        let dropped = candidate("dropped");
        let campaign = second.campaign(&dropped);
        tokio::pin!(campaign);
        assert!(futures::poll!(&mut campaign).is_pending());
        until_told(&second, Some(&candidate("first"))).await;
        assert!(futures::poll!(&mut campaign).is_pending());
    }
    drop(leadership);
    let leadership = soon(third.campaign(&candidate("third"))).await.unwrap();
    until_told(&second, Some(&candidate("third"))).await;
    refused(&second, "by-who-dropped").await;
    write(&third, "by-the-third").await.unwrap();
    assert!(leadership.holds());
}
