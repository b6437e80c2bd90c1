//! Evidence of isolation on its way through the hub: what is believed, what is kept, and what the tenant's conditions make of it.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use berth_control::{
    Board, Fleet, Mode, Parts, Registry, Sessions,
    evidence::{Disbelief, Proven, believe},
    keys,
    outbox::{Command, Outgoing},
    registry::TokenSpec,
    seams::Bootstrapper,
    sessions::{Held, Hello, SessionId},
};
use berth_identity::{AGENT_LIFETIME, Authority, certificate, key, seal};
use berth_model::{
    Assignment, Capacity, ClusterFacts, ClusterName, ConditionKind, Evidence, FleetId, Generation, Health,
    Probe, ProbeOutcome, TenantId, TenantReport, TenantSpec, Term, TierName, Timestamp, Truth, catalogue,
    report::ApplyState,
};
use berth_plan::view::Settings;
use berth_provision::{ClusterAccess, NoCloud};
use berth_runtime::{CancellationToken, Clock, SystemClock};
use berth_store::{MemoryStore, Store};
use berth_wire::evidence::{Sealed, pack, statement};
use support::by;

struct Nobody;

#[async_trait]
impl Bootstrapper for Nobody {
    async fn bootstrap(&self, _: &ClusterName, _: &ClusterAccess) -> Result<(), String> {
        Err("nobody dials in here".into())
    }
}

fn cluster() -> ClusterName {
    ClusterName::new("eu-1").unwrap()
}

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// A hub with one cluster and one tenant that is applied there.
struct Stage {
    store: Arc<dyn Store>,
    registry: Registry,
    sessions: Sessions,
    board: Board,
    cancel: CancellationToken,
    session: SessionId,
    assignment: Assignment,
}

async fn hub(store: &Arc<dyn Store>) -> (Registry, Sessions, Board, CancellationToken) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (sessions, board) = (Sessions::new(clock.clone()), Board::default());
    let registry = Registry::new(store.clone(), clock.clone());
    for (name, spec) in catalogue::tiers().unwrap() {
        drop(registry.create_tier(name.as_str(), spec, false).await);
    }
    let parts = Parts {
        store: store.clone(),
        provisioner: Arc::new(NoCloud),
        bootstrapper: Arc::new(Nobody),
        recorder: Arc::new(berth_control::seams::NoRecorder),
        sessions: sessions.clone(),
        board: board.clone(),
        clock,
        settings: Settings::default(),
        fleet: FleetId::new("f-1").unwrap(),
        term: Term(1),
        mode: Mode::Act,
    };
    let (fleet, _) = Fleet::start(parts).await.unwrap();
    let cancel = CancellationToken::new();
    tokio::spawn(fleet.run(cancel.clone()));
    (registry, sessions, board, cancel)
}

fn hello() -> Hello {
    let facts = ClusterFacts {
        kubernetes_version: "v1.36.3".into(),
        nodes: 3,
        ready_nodes: 3,
        capacity: Capacity {
            cpu: berth_model::MilliCpu(64_000),
            memory: berth_model::Bytes(256 << 30),
            pods: 500,
        },
        // Its walls hold.
        network_policy: berth_model::NetworkPolicyEnforcement::Enforced,
        validating_admission_policy: true,
        ..ClusterFacts::default()
    };
    Hello {
        agent_version: "test".into(),
        held: Held::new(),
        facts,
        highest_term: Term(1),
        told: None,
        trusted_pins: Vec::new(),
        issuer_pin: String::new(),
    }
}

impl Stage {
    async fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (registry, sessions, board, cancel) = hub(&store).await;
        let token = registry
            .create_token(TokenSpec::new(cluster(), Duration::from_secs(60)))
            .await;
        registry
            .redeem(by(&token.unwrap().token.expose(), "key"))
            .await
            .unwrap();
        let (session, outbox) = sessions.open(&cluster(), "key", hello());
        sessions.heartbeat(&cluster(), session, Duration::ZERO, None);
        let spec = TenantSpec::of_tier(TierName::new("standard").unwrap());
        registry.create_tenant("acme", spec, "", false).await.unwrap();
        let command = loop {
            if let Outgoing::Command(command @ Command::Assign(_)) = outbox.next().await {
                break command;
            }
        };
        sessions.holds(&cluster(), session, &command);
        let Command::Assign(assignment) = command else {
            unreachable!("only assignments are taken");
        };
        let report = TenantReport {
            tenant: acme(),
            uid: assignment.uid.clone(),
            generation: assignment.generation,
            digest: assignment.digest.clone(),
            apply: ApplyState::Applied,
            health: Health::healthy(),
            observed_at: SystemClock::new().now(),
        };
        sessions.report(&cluster(), session, report, Duration::ZERO);
        Self {
            store,
            registry,
            sessions,
            board,
            cancel,
            session,
            assignment,
        }
    }

    fn evidence(&self, outcome: ProbeOutcome) -> Evidence {
        let now = SystemClock::new().now();
        Evidence {
            tenant: acme(),
            uid: self.assignment.uid.clone(),
            cluster: cluster(),
            generation: self.assignment.generation,
            digest: self.assignment.digest.clone(),
            started_at: now,
            finished_at: now,
            interval_seconds: 600,
            agent_version: "test".into(),
            kubernetes_version: "v1.36.3".into(),
            policies: BTreeMap::new(),
            probes: vec![Probe {
                name: "pod-node-name".into(),
                what: "a pod".into(),
                expected: "refused".into(),
                seen: String::new(),
                required: true,
                outcome,
            }],
            refused_attempts: 0,
        }
    }

    fn prove(&self, evidence: Evidence) {
        self.sessions
            .prove(&cluster(), self.session, proven(evidence), Duration::ZERO);
    }

    async fn until(&self, kind: ConditionKind, status: Truth, reason: &str) {
        until(&self.board, kind, status, reason).await;
    }
}

fn proven(evidence: Evidence) -> Proven {
    let document = statement(&evidence).unwrap();
    Proven {
        evidence,
        sealed: Sealed {
            statement_zstd: pack(&document).unwrap(),
            signature: vec![1],
        },
        certificate_pem: "pem".into(),
    }
}

/// Waits until the tenant's condition is so.
async fn until(board: &Board, kind: ConditionKind, status: Truth, reason: &str) {
    let condition = || {
        let status = board.get(&acme())?.status?;
        status.conditions.get(kind).cloned()
    };
    let mut follow = board.follow();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            follow.mark_unchanged();
            if condition().is_some_and(|now| now.status == status && now.reason == reason) {
                return;
            }
            follow.changed().await.unwrap();
        }
    });
    assert!(
        waited.await.is_ok(),
        "not {status:?} {reason}: {:#?}",
        condition()
    );
}

async fn kept(store: &Arc<dyn Store>) -> Option<berth_store::Entry> {
    store.get(&keys::evidence(&acme())).await.unwrap()
}

/// Waits until evidence is kept that is as `wanted`.
async fn until_kept(stage: &Stage, verdict: berth_model::Verdict) -> berth_store::Entry {
    let mut changes = stage.store.watch(berth_model::Revision(0)).await.unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        use futures::StreamExt as _;
        loop {
            let found = stage.registry.evidence(&acme()).await.unwrap();
            if found.is_some_and(|found| found.evidence.findings().verdict == verdict) {
                return;
            }
            changes.next().await.unwrap().unwrap();
        }
    });
    waited.await.unwrap();
    kept(&stage.store).await.unwrap()
}

fn failed() -> ProbeOutcome {
    ProbeOutcome::Failed {
        hole: "the API server takes a pod that names its node".into(),
    }
}

#[tokio::test]
async fn a_proof_turns_isolated_true_a_hole_makes_unready_and_a_restarted_hub_still_knows() {
    let stage = Stage::new().await;
    stage.until(ConditionKind::Ready, Truth::True, "Ready").await;
    stage
        .until(ConditionKind::Isolated, Truth::Unknown, "NotProbed")
        .await;
    stage.prove(stage.evidence(ProbeOutcome::Passed));
    stage
        .until(ConditionKind::Isolated, Truth::True, "WallsHold")
        .await;
    stage.until(ConditionKind::Ready, Truth::True, "Ready").await;
    until_kept(&stage, berth_model::Verdict::Passed).await;
    stage.prove(stage.evidence(failed()));
    stage
        .until(ConditionKind::Isolated, Truth::False, "ProbeFailed")
        .await;
    stage
        .until(ConditionKind::Ready, Truth::False, "NotIsolated")
        .await;
    until_kept(&stage, berth_model::Verdict::Failed).await;
    stage.cancel.cancel();
    let (_, _, board, cancel) = hub(&stage.store).await;
    until(&board, ConditionKind::Isolated, Truth::False, "ProbeFailed").await;
    cancel.cancel();
}

#[tokio::test]
async fn the_same_findings_again_are_not_written_again() {
    let stage = Stage::new().await;
    stage.prove(stage.evidence(ProbeOutcome::Passed));
    let first = until_kept(&stage, berth_model::Verdict::Passed).await;
    stage.prove(stage.evidence(ProbeOutcome::Passed));
    // It has been looked at when nothing is left that was not kept.
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while stage.sessions.unkept(&cluster(), &acme()).is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap();
    assert_eq!(kept(&stage.store).await.unwrap().revision, first.revision);
    stage.prove(stage.evidence(failed()));
    let other = until_kept(&stage, berth_model::Verdict::Failed).await;
    assert!(other.revision > first.revision);
}

#[tokio::test]
async fn what_is_older_or_of_another_tenant_of_the_name_changes_nothing() {
    let stage = Stage::new().await;
    let newer = stage.assignment.generation;
    stage.prove(stage.evidence(ProbeOutcome::Passed));
    stage
        .until(ConditionKind::Isolated, Truth::True, "WallsHold")
        .await;
    let older = Evidence {
        generation: Generation(newer.0 - 1),
        ..stage.evidence(failed())
    };
    stage.prove(older);
    let known = stage.sessions.probed(&cluster(), &acme()).unwrap();
    assert_eq!((known.generation, known.findings.failed), (newer, 0));
    let late = stage.evidence(failed());
    stage
        .sessions
        .prove(&cluster(), stage.session, proven(late), Duration::from_secs(600));
    assert_eq!(
        stage
            .sessions
            .probed(&cluster(), &acme())
            .unwrap()
            .findings
            .failed,
        0
    );
    // A session that was replaced proves nothing any more.
    let (session, _) = stage.sessions.open(&cluster(), "key", hello());
    stage.prove(stage.evidence(failed()));
    assert_eq!(
        stage
            .sessions
            .probed(&cluster(), &acme())
            .unwrap()
            .findings
            .failed,
        0
    );
    let foreign = Evidence {
        uid: berth_model::Uid::new("another").unwrap(),
        ..stage.evidence(failed())
    };
    stage
        .sessions
        .prove(&cluster(), session, proven(foreign), Duration::ZERO);
    stage
        .sessions
        .heartbeat(&cluster(), session, Duration::ZERO, Some("away".into()));
    stage
        .sessions
        .heartbeat(&cluster(), session, Duration::ZERO, None);
    let condition = stage.board.get(&acme()).unwrap().status.unwrap();
    assert_eq!(
        condition.conditions.get(ConditionKind::Isolated).unwrap().status,
        Truth::True
    );
}

#[tokio::test]
async fn the_evidence_of_a_tenant_goes_with_it() {
    let stage = Stage::new().await;
    stage.prove(stage.evidence(ProbeOutcome::Passed));
    until_kept(&stage, berth_model::Verdict::Passed).await;
    stage.registry.delete_tenant(&acme(), None, false).await.unwrap();
    let report = TenantReport {
        tenant: acme(),
        uid: stage.assignment.uid.clone(),
        generation: Generation(0),
        digest: stage.assignment.digest.clone(),
        apply: ApplyState::Withdrawn,
        health: Health::healthy(),
        observed_at: SystemClock::new().now(),
    };
    let mut follow = stage.board.follow();
    let waited = tokio::time::timeout(Duration::from_secs(60), async {
        while stage.board.get(&acme()).is_some() {
            stage
                .sessions
                .report(&cluster(), stage.session, report.clone(), Duration::ZERO);
            follow.changed().await.unwrap();
        }
    });
    waited.await.unwrap();
    assert!(kept(&stage.store).await.is_none());
}

/// An agent's key and its certificate, DER.
fn agent(authority: &Authority, now: Timestamp) -> (String, Vec<u8>) {
    let key = key::generate().unwrap();
    let request = key::signing_request(&key).unwrap();
    let fleet = FleetId::new("f-1").unwrap();
    let issued = authority
        .issue_agent(
            &fleet,
            (&cluster(), &berth_model::Uid::new("c-1").unwrap()),
            &request,
            now,
            AGENT_LIFETIME,
        )
        .unwrap();
    let der = certificate::first(&issued.certificate_pem).unwrap();
    (key.to_string(), der.to_vec())
}

#[tokio::test]
async fn only_what_the_sessions_own_key_signed_of_its_own_cluster_is_believed() {
    let stage = Stage::new().await;
    let now = SystemClock::new().now();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(directory.path(), now).unwrap();
    let ((key, certificate), (other_key, _)) = (agent(&authority, now), agent(&authority, now));
    let signed = |evidence: &Evidence, key: &str| {
        let document = statement(evidence).unwrap();
        Sealed {
            statement_zstd: pack(&document).unwrap(),
            signature: seal::sign(key, &document).unwrap(),
        }
    };
    let good = stage.evidence(ProbeOutcome::Passed);
    let fine = believe(signed(&good, &key), &certificate, &cluster()).unwrap();
    assert_eq!(fine.evidence, good);
    assert_eq!(
        certificate::first(&fine.certificate_pem).unwrap().to_vec(),
        certificate
    );

    let tampered = Sealed {
        signature: signed(&stage.evidence(failed()), &key).signature,
        ..signed(&good, &key)
    };
    let refused =
        |sealed, certificate: &[u8], of: &ClusterName| believe(sealed, certificate, of).unwrap_err();
    assert!(matches!(
        refused(tampered, &certificate, &cluster()),
        Disbelief::Signature
    ));
    let foreign = signed(&good, &other_key);
    assert!(matches!(
        refused(foreign, &certificate, &cluster()),
        Disbelief::Signature
    ));
    let elsewhere = ClusterName::new("us-1").unwrap();
    let lying = refused(signed(&good, &key), &certificate, &elsewhere);
    assert!(matches!(lying, Disbelief::OtherCluster(_)), "{lying}");
    let nobody = refused(signed(&good, &key), &[], &cluster());
    assert!(matches!(nobody, Disbelief::Certificate(_)), "{nobody}");
    let noise = Sealed {
        statement_zstd: vec![7; 100],
        signature: vec![7; 70],
    };
    assert!(matches!(
        refused(noise, &certificate, &cluster()),
        Disbelief::Unreadable(_)
    ));
    let kinds: BTreeSet<&str> = fine
        .evidence
        .probes
        .iter()
        .map(|probe| probe.name.as_str())
        .collect();
    assert_eq!(kinds, ["pod-node-name"].into());
}
