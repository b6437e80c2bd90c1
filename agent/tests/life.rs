//! The life of an agent: joins, holds what it is told, restarts, loses its hub, meets another agent. On a real API server with
//! the rights of its manifest, against a small real hub.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "support/hub.rs"]
mod hub;
mod support;

use std::{sync::atomic::Ordering, time::Duration};

use berth_agent::{Cluster, Error, Options, run_in};
use berth_fake::control_plane::ControlPlane;
use berth_model::{
    Assignment, ClusterName, Generation, Object, TenantId, Term, Uid,
    assignment::{AppliedAs, ApplyPhase},
};
use berth_proto::agent::{self, link_request::Message as FromAgent, link_response::Message as ToAgent};
use berth_wire::{link, objects};
use http::Method;
use hub::{Fleet, Hub, Session};
use serde_json::{Value, json};
use support::{account, ask, control_plane, install, manifest_options, until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Agent {
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
}

impl Agent {
    async fn start(plane: &ControlPlane, options: Options) -> Self {
        let access = plane.access();
        let client = account(plane, "berth-system", "berth-agent").await;
        let cluster = Cluster {
            client,
            api_url: access.url,
            api_ca_pem: access.ca_pem,
        };
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run_in(cluster, options, shutdown.clone()));
        Self { shutdown, running }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.running).await;
        ended.expect("the agent should end when told").unwrap().unwrap();
    }
}

fn labels(tenant: &str) -> Value {
    json!({"berth.dev/tenant": tenant, "berth.dev/tenant-uid": "u1", "app.kubernetes.io/managed-by": "berth"})
}

fn objects_of(tenant: &str) -> Vec<Object> {
    let namespace = format!("t-{tenant}");
    let object = |phase, manifest| Object {
        phase,
        applied_as: AppliedAs::Agent,
        manifest,
    };
    vec![
        object(
            ApplyPhase::Namespace,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels(tenant)}}),
        ),
        object(
            ApplyPhase::Walls,
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "berth", "namespace": namespace, "labels": labels(tenant)},
                "spec": {"hard": {"pods": "10"}}}),
        ),
    ]
}

fn assign(tenant: &str, generation: u64, term: u64, nonce: u64) -> Vec<ToAgent> {
    let lines = objects::encode_objects(&objects_of(tenant)).unwrap();
    let assignment = Assignment {
        tenant: TenantId::new(tenant).unwrap(),
        uid: Uid::new("u1").unwrap(),
        cluster: ClusterName::new("eu-1").unwrap(),
        generation: Generation(generation),
        digest: objects::digest(&lines).unwrap(),
        term: Term(term),
    };
    let parts = link::chunk_assign(
        &assignment,
        nonce,
        &objects::compress(&lines).unwrap().into(),
        100,
    );
    parts.into_iter().map(ToAgent::Assign).collect()
}

async fn say_all(session: &Session, messages: Vec<ToAgent>) {
    for message in messages {
        session.say(message).await;
    }
}

fn acked(nonce: u64) -> impl FnMut(FromAgent) -> Option<()> {
    move |message| match message {
        FromAgent::Ack(ack) => (ack.nonce == nonce).then_some(()),
        FromAgent::Nack(nack) => panic!("refused: {nack:?}"),
        _ => None,
    }
}

fn in_state(tenant: &'static str, state: &'static str) -> impl FnMut(FromAgent) -> Option<agent::Report> {
    move |message| match message {
        FromAgent::Report(report) if report.tenant == tenant && report.apply_state == state => Some(report),
        _ => None,
    }
}

async fn namespace_status(plane: &ControlPlane, tenant: &str) -> u16 {
    ask(
        &plane.client(),
        Method::GET,
        &format!("/api/v1/namespaces/t-{tenant}"),
        None,
    )
    .await
    .0
}

/// Writes that the API server has seen from the agent's account in its own namespace and in tenants', leases apart.
async fn versions(plane: &ControlPlane) -> Vec<String> {
    let mut versions = Vec::new();
    for path in ["/api/v1/configmaps", "/api/v1/resourcequotas", "/api/v1/secrets"] {
        let (_, list) = ask(&plane.client(), Method::GET, path, None).await;
        let items = list["items"].as_array().unwrap().iter();
        versions.extend(items.map(|item| {
            format!(
                "{} {}",
                item["metadata"]["name"], item["metadata"]["resourceVersion"]
            )
        }));
    }
    versions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_joins_once_and_holds_what_it_was_told_through_restarts_of_itself_and_its_hub() {
    let plane = control_plane().await;
    install(&plane, &manifest_options()).await;
    let fleet = Fleet::new();
    let mut hub = Hub::start(&fleet).await;
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, fleet.token()).unwrap();
    let first = Options {
        token_file: Some(token_file.clone()),
        ca_pin: Some(fleet.pin().into()),
        ..support::options(hub.url())
    };

    // First start: joins, is told, applies, reports.
    let agent = Agent::start(&plane, first).await;
    let (mut session, hello) = hub.session().await;
    let facts = hello.facts.unwrap();
    let (_, kube_system) = ask(
        &plane.client(),
        Method::GET,
        "/api/v1/namespaces/kube-system",
        None,
    )
    .await;
    assert_eq!(
        facts.kubernetes_uid,
        kube_system["metadata"]["uid"].as_str().unwrap()
    );
    assert_eq!(facts.api_url, "https://api.eu-1.example");
    assert_eq!(facts.api_ca_pem, plane.access().ca_pem);
    assert_eq!(
        hello.held.unwrap(),
        agent::HeldChunk {
            held: vec![],
            last: true
        }
    );
    session.welcome(7).await;
    let age = |message| {
        if let FromAgent::Heartbeat(beat) = message {
            beat.api_age
        } else {
            None
        }
    };
    assert!(session.until("evidence", age).await.seconds < 10);
    say_all(&session, assign("acme", 1, 7, 1)).await;
    session.say(ToAgent::SnapshotEnd(agent::SnapshotEnd {})).await;
    session.until("the assignment is taken", acked(1)).await;
    let report = session.until("it is applied", in_state("acme", "applied")).await;
    assert_eq!((report.generation, report.tenant_uid.as_str()), (1, "u1"));
    assert_eq!(namespace_status(&plane, "acme").await, 200);

    // A leader that was replaced is refused, and told by whom.
    say_all(&session, assign("late", 1, 6, 2)).await;
    let nack = |message| {
        if let FromAgent::Nack(nack) = message {
            Some(nack)
        } else {
            None
        }
    };
    let nack = session.until("the old term is refused", nack).await;
    assert_eq!(
        (nack.nonce, nack.reason.as_str(), nack.highest_term),
        (2, "OlderTerm", 7)
    );
    assert_eq!(namespace_status(&plane, "late").await, 404);
    agent.stop().await;
    while session.hear().await.is_some() {}

    // Second start: no token, no join, and what is held is known.
    std::fs::remove_file(&token_file).unwrap();
    let before = versions(&plane).await;
    let agent = Agent::start(&plane, support::options(hub.url())).await;
    let (mut session, hello) = hub.session().await;
    let held = hello.held.unwrap();
    assert_eq!(hello.highest_term, 7);
    assert_eq!(
        held.held
            .iter()
            .map(|h| (h.tenant.as_str(), h.generation))
            .collect::<Vec<_>>(),
        [("acme", 1)]
    );
    session.welcome(7).await;
    session.say(ToAgent::SnapshotEnd(agent::SnapshotEnd {})).await;
    session
        .until("it is told again", in_state("acme", "applied"))
        .await;
    assert_eq!(fleet.joins.load(Ordering::SeqCst), 1);
    assert_eq!(
        versions(&plane).await,
        before,
        "a restart writes nothing when nothing differs"
    );

    // The hub goes and comes back empty: the agent comes back, and nothing was deleted.
    let address = hub.address;
    hub.stop().await;
    drop(session);
    let mut hub = Hub::start_at(&fleet, address).await;
    let (mut session, hello) = hub.session().await;
    assert_eq!(hello.held.unwrap().held.len(), 1);
    session.welcome(8).await;
    session.say(ToAgent::SnapshotEnd(agent::SnapshotEnd {})).await;
    session
        .until("everything is told again", in_state("acme", "applied"))
        .await;
    assert_eq!(namespace_status(&plane, "acme").await, 200);

    // Superseded: this one leaves.
    let goodbye = agent::Goodbye {
        reason: "Superseded".into(),
        ..Default::default()
    };
    session.say(ToAgent::Goodbye(goodbye)).await;
    while session.hear().await.is_some() {}
    agent.stop().await;

    // Withdrawn by a current term: gone.
    let agent = Agent::start(&plane, support::options(hub.url())).await;
    let (mut session, _) = hub.session().await;
    session.welcome(8).await;
    let withdraw = agent::Withdraw {
        nonce: 3,
        tenant: "acme".into(),
        tenant_uid: "u1".into(),
        term: 8,
        confirmed: false,
    };
    session.say(ToAgent::Withdraw(withdraw)).await;
    session.until("the withdrawal is taken", acked(3)).await;
    session
        .until("it is withdrawn", in_state("acme", "withdrawn"))
        .await;
    until("the namespace is gone", async || {
        namespace_status(&plane, "acme").await == 404
    })
    .await;
    agent.stop().await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_agent_acts_and_another_waits_for_its_lease_and_certificates_are_renewed() {
    let plane = control_plane().await;
    install(&plane, &manifest_options()).await;
    let fleet = Fleet::new();
    // Half of it has passed soon: due for renewal.
    *fleet.lifetime.lock().unwrap() = Duration::from_secs(8);
    let mut hub = Hub::start(&fleet).await;
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, fleet.token()).unwrap();
    let options = Options {
        token_file: Some(token_file),
        ca_pin: Some(fleet.pin().into()),
        ..support::options(hub.url())
    };

    let acting = Agent::start(&plane, options.clone()).await;
    let (mut session, _) = hub.session().await;
    *fleet.lifetime.lock().unwrap() = berth_identity::AGENT_LIFETIME;
    let signed = fleet.signed.lock().unwrap().clone();
    until("the certificate is renewed", async || {
        fleet.renewals.load(Ordering::SeqCst) > 0
    })
    .await;
    assert_eq!(*fleet.signed.lock().unwrap(), signed, "the key stays");
    let waiting = Agent::start(&plane, options).await;
    let lease = async || {
        let path = "/apis/coordination.k8s.io/v1/namespaces/berth-system/leases/berth-agent";
        ask(&plane.client(), Method::GET, path, None).await.1["spec"].clone()
    };
    let before = lease().await;
    until("the lease is renewed", async || {
        lease().await["renewTime"] != before["renewTime"]
    })
    .await;
    assert_eq!(lease().await["holderIdentity"], before["holderIdentity"]);
    assert!(hub.nobody_waits() && !waiting.running.is_finished());
    acting.stop().await;
    while session.hear().await.is_some() {}
    // The second takes over only now, with the same identity and without joining again.
    let (session, hello) = hub.session().await;
    assert!(!hello.instance.is_empty());
    assert_eq!(fleet.joins.load(Ordering::SeqCst), 1);
    drop(session);
    waiting.stop().await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_crashed_between_its_key_and_its_certificate_joins_with_that_key() {
    let plane = control_plane().await;
    install(&plane, &manifest_options()).await;
    let fleet = Fleet::new();
    let mut hub = Hub::start(&fleet).await;
    let (_, kube_system) = ask(
        &plane.client(),
        Method::GET,
        "/api/v1/namespaces/kube-system",
        None,
    )
    .await;
    let key_pem = berth_identity::key::generate().unwrap();
    let secret = json!({"metadata": {"name": "berth-agent-identity"},
        "stringData": {"tls.key": *key_pem, "kubernetes-uid": kube_system["metadata"]["uid"]}});
    let secrets = "/api/v1/namespaces/berth-system/secrets";
    assert_eq!(
        ask(&plane.client(), Method::POST, secrets, Some(&secret)).await.0,
        201
    );
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, fleet.token()).unwrap();
    let options = Options {
        token_file: Some(token_file),
        ca_pin: Some(fleet.pin().into()),
        ..support::options(hub.url())
    };
    let agent = Agent::start(&plane, options).await;
    let (session, _) = hub.session().await;
    let (_, kept) = ask(
        &plane.client(),
        Method::GET,
        &format!("{secrets}/berth-agent-identity"),
        None,
    )
    .await;
    let text = |field: &str| {
        use base64::Engine as _;
        let encoded = kept["data"][field].as_str().unwrap();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()).unwrap()
    };
    assert_eq!(text("tls.key"), *key_pem);
    assert!(berth_identity::key::belongs_to(&key_pem, &text("tls.crt")));
    assert_eq!(text("cluster"), "eu-1");
    drop(session);
    agent.stop().await;
    plane.stop().await;
}
