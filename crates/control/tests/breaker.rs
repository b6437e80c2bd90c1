//! The hub's mass-delete breaker as it is remembered: over restarts, with what it counts, until an operator releases it.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_control::{
    Board, Fleet, Parts, Registry, Sessions,
    outbox::{Command, Outgoing},
    registry::TokenSpec,
    seams::NoBootstrap,
    sessions::{Held, Hello},
};
use berth_model::{
    Capacity, ClusterFacts, ClusterName, ConditionKind, Digest, FleetId, Generation, Health, TenantId,
    TenantReport, TenantSpec, Term, TierName, Uid, catalogue, report::ApplyState,
};
use berth_plan::view::Settings;
use berth_provision::Simulated;
use berth_runtime::{CancellationToken, Clock, SystemClock};
use berth_store::{MemoryStore, Page, Store};
use support::by;
use tokio::sync::watch;

/// A hub over a store, with one played agent that takes everything and remembers what it was told to remove.
struct Rig {
    registry: Registry,
    sessions: Sessions,
    board: Board,
    cancel: CancellationToken,
    /// Who was to be removed, and whether that was confirmed.
    removed: watch::Receiver<BTreeMap<TenantId, bool>>,
}

fn cluster() -> ClusterName {
    ClusterName::new("eu-1").unwrap()
}

fn id(n: usize) -> TenantId {
    TenantId::new(format!("t-{n}")).unwrap()
}

fn report(
    tenant: &TenantId,
    uid: &Uid,
    generation: Generation,
    digest: Digest,
    apply: ApplyState,
) -> TenantReport {
    TenantReport {
        tenant: tenant.clone(),
        uid: uid.clone(),
        generation,
        digest,
        apply,
        health: Health::healthy(),
        observed_at: SystemClock::new().now(),
    }
}

impl Rig {
    async fn over(store: Arc<dyn Store>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (sessions, registry) = (
            Sessions::new(clock.clone()),
            Registry::new(store.clone(), clock.clone()),
        );
        let board = Board::default();
        for (name, spec) in catalogue::tiers().unwrap() {
            let _ = registry.create_tier(name.as_str(), spec, false).await;
        }
        let (fleet, _) = Fleet::start(Parts {
            store,
            provisioner: Arc::new(Simulated::new(2)),
            bootstrapper: Arc::new(NoBootstrap),
            recorder: Arc::new(berth_control::seams::NoRecorder),
            sessions: sessions.clone(),
            board: board.clone(),
            clock,
            settings: Settings::default(),
            fleet: FleetId::new("fleet-test").unwrap(),
            term: Term(1),
            mode: berth_control::Mode::Act,
        })
        .await
        .unwrap();
        let cancel = CancellationToken::new();
        tokio::spawn(fleet.run(cancel.clone()));
        if registry.cluster(&cluster()).await.is_err() {
            let ttl = Duration::from_secs(60);
            let token = registry.create_token(TokenSpec::new(cluster(), ttl)).await;
            registry
                .redeem(by(&token.unwrap().token.expose(), "key"))
                .await
                .unwrap();
        }
        let removed = play(sessions.clone());
        Self {
            registry,
            sessions,
            board,
            cancel,
            removed,
        }
    }

    async fn create(&self, n: usize) {
        let spec = TenantSpec::of_tier(TierName::new("free").unwrap());
        self.registry
            .create_tenant(id(n).as_str(), spec, "", false)
            .await
            .unwrap();
        self.until(&id(n), |conditions| conditions.is_true(ConditionKind::Ready))
            .await;
    }

    async fn delete(&self, n: usize) {
        // A hub that has only just started shows nobody yet.
        self.until(&id(n), |_| true).await;
        self.registry.delete_tenant(&id(n), None, false).await.unwrap();
    }

    async fn until(&self, id: &TenantId, wanted: impl Fn(&berth_model::Conditions) -> bool) {
        let mut follow = self.board.follow();
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                follow.mark_unchanged();
                let status = self.board.get(id).and_then(|snapshot| snapshot.status);
                if status.is_some_and(|status| wanted(&status.conditions)) {
                    return;
                }
                follow.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "tenant {id}: {:#?}", self.board.get(id));
    }

    async fn stopped(&self, n: usize) {
        self.until(&id(n), |conditions| {
            conditions
                .get(ConditionKind::Stalled)
                .is_some_and(|stalled| stalled.reason == "BreakerOpen")
        })
        .await;
    }

    async fn gone(&self, n: usize) {
        let mut follow = self.board.follow();
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            while self.board.get(&id(n)).is_some() {
                follow.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "{:#?}", self.board.get(&id(n)));
    }
}

fn play(sessions: Sessions) -> watch::Receiver<BTreeMap<TenantId, bool>> {
    let facts = ClusterFacts {
        kubernetes_version: "v1.33.1".into(),
        nodes: 3,
        ready_nodes: 3,
        capacity: Capacity {
            cpu: berth_model::MilliCpu(640_000),
            memory: berth_model::Bytes(2_560 << 30),
            pods: 5_000,
        },
        // Its walls hold.
        network_policy: berth_model::NetworkPolicyEnforcement::Enforced,
        validating_admission_policy: true,
        ..ClusterFacts::default()
    };
    let hello = Hello {
        agent_version: "test".into(),
        held: Held::new(),
        facts,
        highest_term: Term(1),
        told: None,
        trusted_pins: Vec::new(),
        issuer_pin: String::new(),
    };
    let (session, outbox) = sessions.open(&cluster(), "key", hello);
    sessions.heartbeat(&cluster(), session, Duration::ZERO, None);
    let (tell, removed) = watch::channel(BTreeMap::new());
    tokio::spawn(async move {
        loop {
            let command = match outbox.next().await {
                Outgoing::Goodbye { .. } => return,
                Outgoing::SnapshotEnd
                | Outgoing::Trust(_)
                | Outgoing::ReleaseBreaker
                | Outgoing::MintToken { .. }
                | Outgoing::ReviewToken { .. }
                | Outgoing::Probe { .. } => continue,
                Outgoing::Command(command) => command,
            };
            sessions.holds(&cluster(), session, &command);
            let said = match &command {
                Command::Assign(a) | Command::Keep(a) => report(
                    &a.tenant,
                    &a.uid,
                    a.generation,
                    a.digest.clone(),
                    ApplyState::Applied,
                ),
                Command::Withdraw {
                    tenant,
                    uid,
                    confirmed,
                    ..
                } => {
                    tell.send_modify(|removed| {
                        removed.insert(tenant.clone(), *confirmed);
                    });
                    let nothing = Digest::new("0".repeat(64)).unwrap();
                    report(tenant, uid, Generation(0), nothing, ApplyState::Withdrawn)
                }
            };
            sessions.report(&cluster(), session, said, Duration::ZERO);
            sessions.heartbeat(&cluster(), session, Duration::ZERO, None);
        }
    });
    removed
}

#[tokio::test]
async fn a_hub_stops_taking_tenants_away_remembers_it_over_a_restart_and_goes_on_when_released() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rig = Rig::over(store.clone()).await;
    for n in 0..8 {
        rig.create(n).await;
    }
    for n in 0..6 {
        rig.delete(n).await;
    }
    for n in 0..3 {
        rig.gone(n).await;
    }
    for n in 3..6 {
        rig.stopped(n).await;
    }
    assert_eq!(rig.removed.borrow().len(), 3, "no agent was told more");
    let (_, told) = rig.board.breaker(&cluster()).unwrap();
    assert!(told.contains("berth release-breaker eu-1"), "{told}");
    rig.cancel.cancel();

    let again = Rig::over(store.clone()).await;
    for n in 3..6 {
        again.stopped(n).await;
    }
    again.delete(6).await;
    again.stopped(6).await;
    assert_eq!(again.removed.borrow().len(), 0);
    assert_eq!(again.board.tripped(), [cluster()]);

    again.registry.release_breaker(&cluster()).await.unwrap();
    for n in 3..7 {
        again.gone(n).await;
    }
    assert!(
        again.removed.borrow().values().all(|confirmed| *confirmed),
        "the agent knows that an operator confirmed them"
    );
    assert_eq!(again.board.tripped(), []);
    assert!(again.sessions.view(&cluster()).is_some());
    again.cancel.cancel();
}

#[tokio::test]
async fn a_hub_that_restarts_after_each_withdrawal_counts_all_of_them() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = Rig::over(store.clone()).await;
    for n in 0..6 {
        first.create(n).await;
    }
    first.cancel.cancel();
    for n in 0..3 {
        let rig = Rig::over(store.clone()).await;
        rig.delete(n).await;
        rig.gone(n).await;
        rig.cancel.cancel();
    }
    let last = Rig::over(store.clone()).await;
    last.delete(3).await;
    last.stopped(3).await;
    assert_eq!(last.removed.borrow().len(), 0);
    last.cancel.cancel();
}

#[tokio::test]
async fn a_cluster_that_leaves_the_fleet_takes_its_breaker_along() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rig = Rig::over(store.clone()).await;
    rig.create(0).await;
    rig.delete(0).await;
    rig.gone(0).await;
    let kept = store.list("breakers/", Page::first()).await.unwrap().entries;
    assert_eq!(kept.len(), 1);
    rig.registry.cordon_cluster(&cluster(), true).await.unwrap();
    rig.registry.delete_cluster(&cluster(), None).await.unwrap();
    let kept = store.list("breakers/", Page::first()).await.unwrap().entries;
    assert_eq!(kept, []);
    rig.cancel.cancel();
}

#[tokio::test]
async fn releases_at_the_very_moment_of_withdrawals_lose_nobody() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let rig = Rig::over(store.clone()).await;
    for n in 0..12 {
        rig.create(n).await;
    }
    let registry = rig.registry.clone();
    let (stop, stopped) = watch::channel(false);
    let releasing = tokio::spawn(async move {
        while !*stopped.borrow() {
            registry.release_breaker(&cluster()).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for n in 0..12 {
        rig.delete(n).await;
    }
    for n in 0..12 {
        rig.gone(n).await;
    }
    stop.send_replace(true);
    releasing.await.unwrap();
    assert_eq!(rig.removed.borrow().len(), 12);
    rig.cancel.cancel();
}
