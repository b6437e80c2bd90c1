//! The way of a tenant through the loop, on a memory store, a simulated cloud and a played agent.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use berth_control::{
    Board, Fleet, Parts, Registry, RegistryError, Sessions,
    outbox::{Command, Outgoing},
    registry::TenantChange,
    registry::TokenSpec,
    seams::Bootstrapper,
    sessions::{Fence, Held, Hello, SessionId},
};
use berth_model::{
    Capacity, ClusterFacts, ClusterName, ConditionKind, FleetId, Health, Isolation, Provider, TenantId,
    TenantReport, TenantSpec, Term, TierName, catalogue, report::ApplyState,
};
use berth_plan::view::Settings;
use berth_provision::{ClusterAccess, Simulated};
use berth_runtime::{CancellationToken, Clock, SystemClock};
use berth_store::{MemoryStore, Store};
use support::by;

/// A running loop with everything around it.
struct Rig {
    store: Arc<dyn Store>,
    registry: Registry,
    sessions: Sessions,
    board: Board,
    cloud: Arc<Simulated>,
    cancel: CancellationToken,
}

/// A bootstrap that is a played agent dialling in.
struct Dials(Sessions, Registry);

#[async_trait]
impl Bootstrapper for Dials {
    async fn bootstrap(&self, cluster: &ClusterName, _: &ClusterAccess) -> Result<(), String> {
        join(&self.1, cluster).await;
        play(self.0.clone(), cluster.clone(), facts());
        Ok(())
    }
}

fn facts() -> ClusterFacts {
    ClusterFacts {
        kubernetes_version: "v1.33.1".into(),
        nodes: 3,
        ready_nodes: 3,
        capacity: Capacity {
            cpu: berth_model::MilliCpu(64_000),
            memory: berth_model::Bytes(256 << 30),
            pods: 500,
        },
        provider: Provider::Eks,
        region: "eu-central-1".into(),
        // Its walls hold.
        network_policy: berth_model::NetworkPolicyEnforcement::Enforced,
        validating_admission_policy: true,
        ..ClusterFacts::default()
    }
}

async fn join(registry: &Registry, cluster: &ClusterName) {
    let known = registry.cluster(cluster).await;
    if known.is_ok_and(|known| known.joined_at.is_some()) {
        return;
    }
    let token = registry
        .create_token(TokenSpec::new(cluster.clone(), Duration::from_secs(60)))
        .await
        .unwrap();
    registry.redeem(by(&token.token.expose(), "key")).await.unwrap();
}

/// Plays an agent: takes everything, says at once that it is applied and healthy, or gone.
fn play(sessions: Sessions, cluster: ClusterName, facts: ClusterFacts) -> SessionId {
    let hello = Hello {
        agent_version: "test".into(),
        held: Held::new(),
        facts,
        highest_term: Term(1),
        told: None,
        trusted_pins: Vec::new(),
        issuer_pin: String::new(),
    };
    let (id, outbox) = sessions.open(&cluster, "key", hello);
    sessions.heartbeat(&cluster, id, Duration::ZERO, None);
    tokio::spawn(async move {
        let clock = SystemClock::new();
        loop {
            let outgoing = tokio::select! {
                outgoing = outbox.next() => outgoing,
                () = clock.sleep(Duration::from_secs(4)) => {
                    sessions.heartbeat(&cluster, id, Duration::ZERO, None);
                    continue;
                }
            };
            match outgoing {
                Outgoing::Goodbye { .. } => return,
                Outgoing::SnapshotEnd
                | Outgoing::Trust(_)
                | Outgoing::ReleaseBreaker
                | Outgoing::MintToken { .. }
                | Outgoing::ReviewToken { .. }
                | Outgoing::Probe { .. } => {}
                Outgoing::Command(command) => {
                    sessions.holds(&cluster, id, &command);
                    sessions.report(&cluster, id, answer(&command, &clock), Duration::ZERO);
                }
            }
        }
    });
    id
}

fn answer(command: &Command, clock: &dyn Clock) -> TenantReport {
    let report = |tenant: &TenantId, uid, generation, digest, apply| TenantReport {
        tenant: tenant.clone(),
        uid,
        generation,
        digest,
        apply,
        health: Health::healthy(),
        observed_at: clock.now(),
    };
    match command {
        Command::Assign(a) | Command::Keep(a) => report(
            &a.tenant,
            a.uid.clone(),
            a.generation,
            a.digest.clone(),
            ApplyState::Applied,
        ),
        Command::Withdraw { tenant, uid, .. } => {
            let digest = berth_model::Digest::new("0".repeat(64)).unwrap();
            report(
                tenant,
                uid.clone(),
                berth_model::Generation(0),
                digest,
                ApplyState::Withdrawn,
            )
        }
    }
}

impl Rig {
    async fn start() -> Self {
        Self::over(Arc::new(MemoryStore::new()), Arc::new(Simulated::new(2))).await
    }

    async fn over(store: Arc<dyn Store>, cloud: Arc<Simulated>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sessions = Sessions::new(clock.clone());
        let registry = Registry::new(store.clone(), clock.clone());
        let board = Board::default();
        for (name, spec) in catalogue::tiers().unwrap() {
            match registry.create_tier(name.as_str(), spec, false).await {
                Ok(_) | Err(RegistryError::AlreadyExists { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let settings = Settings {
            cloud: true,
            default_region: "eu-central-1".into(),
            infra_poll: Duration::from_millis(5),
            retry_first: Duration::from_millis(5),
            ..Settings::default()
        };
        let (fleet, _) = Fleet::start(Parts {
            store: store.clone(),
            provisioner: cloud.clone(),
            bootstrapper: Arc::new(Dials(sessions.clone(), registry.clone())),
            recorder: Arc::new(berth_control::seams::NoRecorder),
            sessions: sessions.clone(),
            board: board.clone(),
            clock,
            settings,
            fleet: FleetId::new("fleet-test").unwrap(),
            term: Term(1),
            mode: berth_control::Mode::Act,
        })
        .await
        .unwrap();
        let cancel = CancellationToken::new();
        tokio::spawn(fleet.run(cancel.clone()));
        Self {
            store,
            registry,
            sessions,
            board,
            cloud,
            cancel,
        }
    }

    async fn shared(&self, name: &str) {
        let name = ClusterName::new(name).unwrap();
        join(&self.registry, &name).await;
        play(self.sessions.clone(), name, facts());
    }

    async fn create(&self, id: &str, tier: &str) {
        let spec = TenantSpec::of_tier(TierName::new(tier).unwrap());
        self.registry.create_tenant(id, spec, "", false).await.unwrap();
    }

    /// Waits until the board shows the tenant as `wanted` has it.
    async fn until(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(Option<&berth_control::TenantSnapshot>) -> bool,
    ) {
        let id = TenantId::new(id).unwrap();
        let mut follow = self.board.follow();
        let waited = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                follow.mark_unchanged();
                if wanted(self.board.get(&id).as_ref()) {
                    return;
                }
                // A tenant that is gone leaves the board by a change too.
                follow.changed().await.unwrap();
            }
        });
        assert!(
            waited.await.is_ok(),
            "tenant {id} is not {what}: {:#?}",
            self.board.get(&id).and_then(|s| s.status)
        );
    }

    async fn ready(&self, id: &str) {
        self.until(id, "Ready", |snapshot| {
            snapshot
                .and_then(|s| s.status.as_ref())
                .is_some_and(|s| s.conditions.is_true(ConditionKind::Ready))
        })
        .await;
    }

    async fn gone(&self, id: &str) {
        self.until(id, "gone", |snapshot| snapshot.is_none()).await;
    }
}

#[tokio::test]
async fn a_namespace_tenant_is_placed_assigned_ready_and_removed_without_a_trace() {
    let rig = Rig::start().await;
    rig.shared("eu-1").await;
    rig.create("acme", "standard").await;
    rig.ready("acme").await;
    let seen = rig.board.get(&TenantId::new("acme").unwrap()).unwrap();
    assert_eq!(seen.placement.unwrap().isolation(), Isolation::Namespace);
    rig.registry
        .delete_tenant(&TenantId::new("acme").unwrap(), None, false)
        .await
        .unwrap();
    rig.gone("acme").await;
    for shelf in [
        "tenants/",
        "placements/",
        "assignments/",
        "status/",
        "infra/",
        "objects/",
    ] {
        let left = rig.store.list(shelf, berth_store::Page::first()).await.unwrap();
        assert!(left.entries.is_empty(), "{shelf} still holds {:?}", left.entries);
    }
    rig.cancel.cancel();
}

#[tokio::test]
async fn a_cluster_tenant_gets_a_cluster_of_its_own_and_gives_it_back() {
    let rig = Rig::start().await;
    rig.create("acme", "enterprise").await;
    rig.ready("acme").await;
    let placement = rig
        .board
        .get(&TenantId::new("acme").unwrap())
        .unwrap()
        .placement
        .unwrap();
    assert_eq!(placement.isolation(), Isolation::Cluster);
    assert!(rig.registry.cluster(placement.cluster()).await.is_ok());
    rig.registry
        .delete_tenant(&TenantId::new("acme").unwrap(), None, false)
        .await
        .unwrap();
    rig.gone("acme").await;
    assert!(matches!(
        rig.registry.cluster(placement.cluster()).await,
        Err(RegistryError::NotFound { .. })
    ));
    rig.cancel.cancel();
}

#[tokio::test]
async fn a_restarted_loop_continues_and_changes_nothing_when_nothing_differs() {
    let rig = Rig::start().await;
    rig.shared("eu-1").await;
    for id in ["a", "b", "c"] {
        rig.create(id, "free").await;
    }
    for id in ["a", "b", "c"] {
        rig.ready(id).await;
    }
    rig.cancel.cancel();
    let before = rig
        .store
        .list("assignments/", berth_store::Page::first())
        .await
        .unwrap()
        .entries;
    let again = Rig::over(rig.store.clone(), rig.cloud.clone()).await;
    again.shared("eu-1").await;
    for id in ["a", "b", "c"] {
        again.ready(id).await;
    }
    let after = again
        .store
        .list("assignments/", berth_store::Page::first())
        .await
        .unwrap()
        .entries;
    assert_eq!(
        before
            .iter()
            .map(|entry| (&entry.key, entry.revision))
            .collect::<Vec<_>>(),
        after
            .iter()
            .map(|entry| (&entry.key, entry.revision))
            .collect::<Vec<_>>(),
    );
    again.cancel.cancel();
}

#[tokio::test]
async fn a_tenant_that_fits_nowhere_says_so_and_is_placed_when_a_cluster_comes() {
    let rig = Rig::start().await;
    rig.create("acme", "standard").await;
    rig.until("acme", "refused a place", |snapshot| {
        snapshot
            .and_then(|s| s.status.as_ref())
            .and_then(|s| s.conditions.get(ConditionKind::Placed))
            .is_some_and(|placed| placed.status == berth_model::Truth::False && !placed.reason.is_empty())
    })
    .await;
    rig.shared("eu-1").await;
    rig.ready("acme").await;
    rig.cancel.cancel();
}

#[tokio::test]
async fn a_changed_spec_raises_the_assignment_and_the_same_spec_does_not() {
    let rig = Rig::start().await;
    rig.shared("eu-1").await;
    rig.create("acme", "standard").await;
    rig.ready("acme").await;
    let change = |labels: &'static str| TenantChange {
        id: "acme".into(),
        change: move |old: Option<&TenantSpec>| {
            let mut spec = old.unwrap().clone();
            spec.labels.insert("team".into(), labels.into());
            Ok(spec)
        },
        etag: None,
        request_id: String::new(),
        validate_only: false,
        allow_missing: false,
    };
    let changed = rig.registry.update_tenant(change("blue")).await.unwrap().tenant;
    assert_eq!(changed.generation.0, 2);
    let same = rig.registry.update_tenant(change("blue")).await.unwrap().tenant;
    assert_eq!(
        (same.generation, same.revision),
        (changed.generation, changed.revision)
    );
    rig.until("acme", "at generation 2", |snapshot| {
        snapshot
            .and_then(|s| s.status.as_ref())
            .is_some_and(|s| s.observed_generation.0 == 2 && s.conditions.is_true(ConditionKind::Ready))
    })
    .await;
    rig.cancel.cancel();
}

#[tokio::test]
async fn a_join_token_works_once_and_for_one_key() {
    let rig = Rig::start().await;
    let cluster = ClusterName::new("eu-1").unwrap();
    let token = rig
        .registry
        .create_token(TokenSpec::new(cluster, Duration::from_secs(60)))
        .await
        .unwrap();
    let text = token.token.expose();
    assert!(rig.registry.redeem(by(&text, "key-1")).await.is_ok());
    assert!(
        rig.registry.redeem(by(&text, "key-1")).await.is_ok(),
        "the answer may have been lost"
    );
    let refused = rig.registry.redeem(by(&text, "key-2")).await.unwrap_err();
    assert!(
        matches!(
            refused,
            RegistryError::Refused {
                reason: "TOKEN_USED",
                ..
            }
        ),
        "{refused}"
    );
    let forged = format!("{}.{}", token.info.id, "A".repeat(43));
    assert!(matches!(
        rig.registry.redeem(by(&forged, "key-1")).await,
        Err(RegistryError::Refused {
            reason: "TOKEN_UNKNOWN",
            ..
        })
    ));
    rig.cancel.cancel();
}

#[tokio::test]
async fn a_token_for_a_tenants_own_cluster_is_worth_nothing_without_that_cluster() {
    let rig = Rig::start().await;
    rig.create("acme", "enterprise").await;
    rig.ready("acme").await;
    let acme = TenantId::new("acme").unwrap();
    let own = rig.board.get(&acme).unwrap().placement.unwrap().cluster().clone();
    let token = rig
        .registry
        .create_token(TokenSpec {
            rejoin: true,
            ..TokenSpec::new(own.clone(), Duration::from_secs(60))
        })
        .await
        .unwrap();
    rig.registry.delete_tenant(&acme, None, false).await.unwrap();
    rig.gone("acme").await;
    let stale = |refused: Result<_, RegistryError>| {
        matches!(
            refused,
            Err(RegistryError::Refused {
                reason: "TOKEN_STALE",
                ..
            })
        )
    };
    assert!(stale(rig.registry.redeem(by(&token.token.expose(), "key")).await));
    assert!(matches!(
        rig.registry.cluster(&own).await,
        Err(RegistryError::NotFound { .. })
    ));
    // Nor is it for another cluster of that name.
    join(&rig.registry, &own).await;
    assert!(stale(rig.registry.redeem(by(&token.token.expose(), "key")).await));
    rig.cancel.cancel();
}

/// A loop over `store` that was started and does not run.
async fn started(
    store: Arc<dyn Store>,
    sessions: Sessions,
    board: Board,
) -> (Fleet, berth_control::fleet::FleetHandle) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let registry = Registry::new(store.clone(), clock.clone());
    Fleet::start(Parts {
        store,
        provisioner: Arc::new(Simulated::new(2)),
        bootstrapper: Arc::new(Dials(sessions.clone(), registry)),
        recorder: Arc::new(berth_control::seams::NoRecorder),
        sessions,
        board,
        clock,
        settings: Settings::default(),
        fleet: FleetId::new("fleet-test").unwrap(),
        term: Term(5),
        mode: berth_control::Mode::Act,
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_loop_that_begins_where_agents_know_a_higher_term_commands_nothing_from_the_start() {
    let sessions = Sessions::new(Arc::new(SystemClock::new()));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (_, handle) = started(store.clone(), sessions.clone(), Board::default()).await;
    assert_eq!(handle.standing().fence, None);
    let hello = Hello {
        agent_version: "test".into(),
        held: Held::new(),
        facts: facts(),
        highest_term: Term(9),
        told: None,
        trusted_pins: Vec::new(),
        issuer_pin: String::new(),
    };
    sessions.open(&ClusterName::new("eu-1").unwrap(), "key", hello);
    let (_, handle) = started(store, sessions, Board::default()).await;
    let fence = handle.standing().fence;
    assert!(
        matches!(&fence, Some(Fence::HigherTerm { term: Term(9), cluster }) if cluster.as_str() == "eu-1"),
        "{fence:?}"
    );
}

#[tokio::test]
async fn readers_see_every_tenant_before_a_loop_has_begun_to_run() {
    let rig = Rig::start().await;
    rig.create("acme", "free").await;
    rig.cancel.cancel();
    let board = Board::default();
    let sessions = Sessions::new(Arc::new(SystemClock::new()));
    let _not_running = started(rig.store.clone(), sessions, board.clone()).await;
    let seen = board.get(&TenantId::new("acme").unwrap()).unwrap();
    assert!(seen.status.is_some());
}
