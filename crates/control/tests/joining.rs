//! Joining, joining again, and being revoked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::{sync::Arc, time::Duration};

use berth_control::{
    Registry, RegistryError,
    registry::{Joining, Redeemed, TokenSpec},
};
use berth_model::ClusterName;
use berth_runtime::{Clock, ManualClock, SystemClock};
use berth_store::MemoryStore;

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

fn registry() -> Registry {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Registry::new(Arc::new(MemoryStore::new()), clock)
}

fn name(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

fn spec(cluster: &str) -> TokenSpec {
    TokenSpec::new(name(cluster), HALF_AN_HOUR)
}

async fn token(registry: &Registry, spec: TokenSpec) -> String {
    let made = registry.create_token(spec).await.unwrap();
    made.token.expose().to_string()
}

async fn rejoin_token(registry: &Registry, cluster: &str) -> String {
    let rejoin = true;
    token(
        registry,
        TokenSpec {
            rejoin,
            ..spec(cluster)
        },
    )
    .await
}

async fn redeem(registry: &Registry, token: &str, key: &str, uid: &str) -> Result<Redeemed, RegistryError> {
    let joining = Joining {
        token,
        key_sha256: key,
        kubernetes_uid: uid,
        remote: None,
    };
    registry.redeem(joining).await
}

/// Why it was refused.
fn reason<T: std::fmt::Debug>(result: Result<T, RegistryError>) -> &'static str {
    match result {
        Err(RegistryError::Refused { reason, message } | RegistryError::Precondition { reason, message }) => {
            assert!(!message.is_empty());
            reason
        }
        other => panic!("{other:?}"),
    }
}

async fn key(registry: &Registry, cluster: &str) -> String {
    registry.identity(&name(cluster)).await.unwrap().key_sha256
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_callers_with_one_token_exactly_one_wins() {
    let registry = registry();
    let token = token(&registry, spec("eu-1")).await;
    let start = Arc::new(tokio::sync::Barrier::new(100));
    let callers: Vec<_> = (0..100)
        .map(|caller| {
            let (registry, token, start) = (registry.clone(), token.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                redeem(&registry, &token, &format!("key-{caller}"), "uid-1").await
            })
        })
        .collect();
    let mut winners = Vec::new();
    for (caller, task) in callers.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(_) => winners.push(caller),
            // Whoever reads before the winner's write is in the store, or lost every try to write.
            refused => assert!(
                matches!(
                    refused,
                    Err(RegistryError::Refused {
                        reason: "TOKEN_USED",
                        ..
                    })
                ),
                "{refused:?}"
            ),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(key(&registry, "eu-1").await, format!("key-{}", winners[0]));
    assert_eq!(registry.clusters(None, 10, None).await.unwrap().items.len(), 1);
}

/// What a refusal says.
fn said(result: Result<Redeemed, RegistryError>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn the_key_that_used_a_token_may_ask_again_no_other_may_and_a_refusal_says_how_to_go_on() {
    let clock = Arc::new(ManualClock::new(SystemClock::new().now()));
    let registry = Registry::new(Arc::new(MemoryStore::new()), clock.clone());
    let text = token(&registry, spec("eu-1")).await;
    let first = redeem(&registry, &text, "key-1", "uid-1").await.unwrap();
    // The answer was lost on its way, and the agent had kept its key.
    let again = redeem(&registry, &text, "key-1", "uid-1").await.unwrap();
    assert_eq!((again.cluster, again.uid), (first.cluster, first.uid.clone()));
    // The agent's key was lost, too.
    let other = redeem(&registry, &text, "key-2", "uid-1").await;
    assert!(said(other).contains("berth token create eu-1 --rejoin"));
    let elsewhere = redeem(&registry, &text, "key-1", "uid-2").await;
    assert_eq!(reason(elsewhere), "OTHER_KUBERNETES");

    clock.advance(HALF_AN_HOUR);
    let late = redeem(&registry, &text, "key-1", "uid-1").await;
    assert!(said(late).contains("berth token create eu-1 --rejoin"));
    assert_eq!(key(&registry, "eu-1").await, "key-1");
    // As it was told.
    let rejoin = rejoin_token(&registry, "eu-1").await;
    let rejoined = redeem(&registry, &rejoin, "key-2", "uid-1").await.unwrap();
    assert_eq!(rejoined.uid, first.uid, "it is the same cluster");

    let unused = token(&registry, spec("eu-2")).await;
    clock.advance(HALF_AN_HOUR);
    let never = said(redeem(&registry, &unused, "key-3", "uid-3").await);
    assert!(
        never.contains("berth token create eu-2") && !never.contains("--rejoin"),
        "{never}"
    );
}

#[tokio::test]
async fn a_cluster_that_has_joined_joins_again_only_by_a_token_made_for_that() {
    let registry = registry();
    let early = token(&registry, spec("eu-1")).await;
    let first = token(&registry, spec("eu-1")).await;
    let no_need = TokenSpec {
        rejoin: true,
        ..spec("eu-1")
    };
    assert_eq!(reason(registry.create_token(no_need).await), "CLUSTER_NOT_JOINED");
    let joined = redeem(&registry, &first, "key-1", "uid-1").await.unwrap();

    assert_eq!(
        reason(registry.create_token(spec("eu-1")).await),
        "CLUSTER_JOINED"
    );
    let refused = redeem(&registry, &early, "key-2", "uid-1").await;
    assert_eq!(reason(refused), "REJOIN_NEEDED", "made before it had joined");
    assert_eq!(key(&registry, "eu-1").await, "key-1");

    let again = rejoin_token(&registry, "eu-1").await;
    let elsewhere = redeem(&registry, &again, "key-2", "uid-2").await;
    assert_eq!(reason(elsewhere), "OTHER_KUBERNETES");
    let rejoined = redeem(&registry, &again, "key-2", "uid-1").await.unwrap();
    assert_eq!(rejoined.uid, joined.uid, "it is the same cluster");
    assert_eq!(key(&registry, "eu-1").await, "key-2");
    assert_eq!(registry.clusters(None, 10, None).await.unwrap().items.len(), 1);
    // Its first token, which its first key may use again when the answer was lost, does not bring the first key back.
    assert_eq!(
        reason(redeem(&registry, &first, "key-1", "uid-1").await),
        "TOKEN_USED"
    );
    assert_eq!(key(&registry, "eu-1").await, "key-2");
}

#[tokio::test]
async fn one_kubernetes_cluster_is_one_cluster_of_the_fleet() {
    let registry = registry();
    let (a, b) = (
        token(&registry, spec("a")).await,
        token(&registry, spec("b")).await,
    );
    redeem(&registry, &a, "key-a", "uid-1").await.unwrap();
    assert_eq!(
        reason(redeem(&registry, &b, "key-b", "uid-1").await),
        "CLUSTER_KNOWN"
    );
    assert!(registry.cluster(&name("b")).await.is_err());
    assert_eq!(
        reason(redeem(&registry, &b, "key-b", "").await),
        "NO_KUBERNETES_UID"
    );
    assert_eq!(
        reason(redeem(&registry, &b, "key-b", "a b").await),
        "NO_KUBERNETES_UID"
    );
    // Once it is out of the fleet, it may come in under another name: by the same token, which was not used.
    registry.cordon_cluster(&name("a"), true).await.unwrap();
    registry.delete_cluster(&name("a"), None).await.unwrap();
    redeem(&registry, &b, "key-b", "uid-1").await.unwrap();
    assert_eq!(
        registry.cluster(&name("b")).await.unwrap().kubernetes_uid,
        "uid-1"
    );
}

#[tokio::test]
async fn a_token_for_a_range_of_addresses_works_from_there_alone() {
    let registry = registry();
    let from = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let text = token(&registry, TokenSpec { from, ..spec("eu-1") }).await;
    let ask = |remote: Option<&str>| {
        registry.redeem(Joining {
            token: &text,
            key_sha256: "key",
            kubernetes_uid: "uid",
            remote: remote.map(|remote| remote.parse().unwrap()),
        })
    };
    for elsewhere in [
        None,
        Some("192.0.2.1"),
        Some("2001:db9::1"),
        Some("::ffff:192.0.2.1"),
    ] {
        assert_eq!(reason(ask(elsewhere).await), "TOKEN_ELSEWHERE", "{elsewhere:?}");
    }
    // What a dual-stack listener makes of an IPv4 address.
    assert!(ask(Some("::ffff:10.1.2.3")).await.is_ok());
}

#[tokio::test]
async fn a_revoked_cluster_comes_back_by_a_later_token_and_another_key_alone() {
    let registry = registry();
    let first = token(&registry, spec("eu-1")).await;
    redeem(&registry, &first, "key-1", "uid-1").await.unwrap();
    let before = rejoin_token(&registry, "eu-1").await;

    let revoked = registry
        .revoke_cluster(&name("eu-1"), "laptop stolen")
        .await
        .unwrap();
    let when = revoked.revoked.unwrap();
    assert_eq!(when.reason, "laptop stolen");
    let twice = registry
        .revoke_cluster(&name("eu-1"), "laptop found")
        .await
        .unwrap();
    assert_eq!(twice.revoked.unwrap().at, when.at);
    assert_eq!(
        reason(redeem(&registry, &first, "key-1", "uid-1").await),
        "TOKEN_USED"
    );
    assert_eq!(
        reason(redeem(&registry, &before, "key-2", "uid-1").await),
        "TOKEN_STALE"
    );

    let after = rejoin_token(&registry, "eu-1").await;
    assert_eq!(
        reason(redeem(&registry, &after, "key-1", "uid-1").await),
        "KEY_REVOKED"
    );
    redeem(&registry, &after, "key-2", "uid-1").await.unwrap();
    assert_eq!(registry.cluster(&name("eu-1")).await.unwrap().revoked, None);
    assert!(
        registry
            .revoke_cluster(&name("eu-1"), "a\u{1b}[2J")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_cluster_waits_to_be_accepted_where_its_token_says_so() {
    let registry = registry();
    let asks = TokenSpec {
        require_accept: true,
        ..spec("eu-1")
    };
    let text = token(&registry, asks).await;
    redeem(&registry, &text, "key", "uid").await.unwrap();
    assert!(registry.cluster(&name("eu-1")).await.unwrap().awaiting_acceptance);
    registry.accept_cluster(&name("eu-1")).await.unwrap();
    assert!(!registry.cluster(&name("eu-1")).await.unwrap().awaiting_acceptance);
    // It was accepted for good.
    let again = rejoin_token(&registry, "eu-1").await;
    redeem(&registry, &again, "key-2", "uid").await.unwrap();
    assert!(!registry.cluster(&name("eu-1")).await.unwrap().awaiting_acceptance);
}
