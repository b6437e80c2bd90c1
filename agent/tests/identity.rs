//! How an agent keeps its identity: after a long absence, and while the fleet's authority is rolled over. With its own rights on a real
//! API server, and a small real hub.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "support/hub.rs"]
mod hub;
mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use berth_agent::{Cluster, Options, run_in};
use berth_fake::control_plane::ControlPlane;
use berth_identity::{AGENT_LIFETIME, CaPins, certificate};
use berth_proto::agent::{Trust, link_request::Message as FromAgent, link_response::Message as ToAgent};
use http::Method;
use hub::{Fleet, Hub, now};
use serde_json::Value;
use support::{account, ask, control_plane, install, manifest_options, until};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SECRETS: &str = "/api/v1/namespaces/berth-system/secrets";

struct Bench {
    plane: ControlPlane,
    dir: tempfile::TempDir,
    fleet: Arc<Fleet>,
    hub: Hub,
}

type Running = (CancellationToken, JoinHandle<Result<(), berth_agent::Error>>);

impl Bench {
    async fn new() -> Self {
        let plane = control_plane().await;
        install(&plane, &manifest_options()).await;
        let fleet = Fleet::new();
        let hub = Hub::start(&fleet).await;
        let dir = tempfile::tempdir().unwrap();
        Self {
            plane,
            dir,
            fleet,
            hub,
        }
    }

    async fn start(&self, with_token: bool) -> Running {
        let access = self.plane.access();
        let cluster = Cluster {
            client: account(&self.plane, "berth-system", "berth-agent").await,
            api_url: access.url,
            api_ca_pem: access.ca_pem,
        };
        let mut options: Options = support::options(self.hub.url());
        if with_token {
            let path = self.dir.path().join("token");
            if !path.exists() {
                std::fs::write(&path, self.fleet.token()).unwrap();
            }
            options.token_file = Some(path);
            options.ca_pin = Some(self.fleet.pin().into());
        }
        let stop = CancellationToken::new();
        let run = tokio::spawn(run_in(cluster, options, stop.clone()));
        (stop, run)
    }

    async fn secret(&self, name: &str) -> Value {
        let path = format!("{SECRETS}/{name}");
        ask(&self.plane.client(), Method::GET, &path, None).await.1
    }

    async fn token_is_gone(&self) -> bool {
        self.secret("berth-agent-token").await["code"] == 404
    }

    /// The Secret of the join token, as it was.
    async fn put_token(&self, as_it_was: &Value) {
        let body = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "berth-agent-token"},
            "data": as_it_was["data"],
        });
        let (status, answer) = ask(&self.plane.client(), Method::POST, SECRETS, Some(&body)).await;
        assert_eq!(status, 201, "{answer}");
    }

    /// What is kept of whom to trust.
    async fn certificate(&self) -> String {
        let kept = self.secret("berth-agent-identity").await;
        kept["data"]["tls.crt"].as_str().unwrap().to_owned()
    }

    async fn trusted(&self) -> CaPins {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let kept = self.secret("berth-agent-identity").await;
        let pem = STANDARD.decode(kept["data"]["ca.crt"].as_str().unwrap()).unwrap();
        CaPins::of_pem(std::str::from_utf8(&pem).unwrap()).unwrap()
    }
}

async fn end((stop, run): Running) {
    stop.cancel();
    run.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_used_is_deleted_by_whoever_starts_next_and_another_one_is_left() {
    let mut bench = Bench::new().await;
    let token = bench.secret("berth-agent-token").await;
    let agent = bench.start(true).await;
    let (session, _) = bench.hub.session().await;
    until("the Secret of the used token is gone", async || {
        bench.token_is_gone().await
    })
    .await;
    end(agent).await;
    drop(session);

    // As when it died before it had deleted it.
    bench.put_token(&token).await;
    let agent = bench.start(true).await;
    let (session, _) = bench.hub.session().await;
    assert!(
        bench.token_is_gone().await,
        "it was not deleted before the agent came back"
    );
    end(agent).await;
    drop(session);

    // Somebody brings another one, for an agent that is to get another identity: it is for them to delete the old one.
    bench.put_token(&token).await;
    std::fs::remove_file(bench.dir.path().join("token")).unwrap();
    let agent = bench.start(true).await;
    let (session, _) = bench.hub.session().await;
    assert!(!bench.token_is_gone().await);
    assert_eq!(bench.fleet.joins.load(Ordering::SeqCst), 1);
    drop(session);
    end(agent).await;
    bench.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_away_for_longer_than_its_certificate_proves_itself_by_its_key() {
    let mut bench = Bench::new().await;
    // It came with the manifest.
    let token = bench.secret("berth-agent-token").await;
    assert!(token["data"]["token"].is_string(), "{token}");
    *bench.fleet.lifetime.lock().unwrap() = Duration::from_secs(3);
    let agent = bench.start(true).await;
    let (session, _) = bench.hub.session().await;
    until("the Secret of the used token is gone", async || {
        bench.secret("berth-agent-token").await["code"] == 404
    })
    .await;
    end(agent).await;
    drop(session);
    let issued = bench.fleet.issued.lock().unwrap().clone().unwrap();
    let validity = certificate::validity(&issued).unwrap();
    until("its certificate has expired", async || validity.expired(now())).await;

    *bench.fleet.revoked.lock().unwrap() = true;
    let (_stop, refused) = bench.start(false).await;
    let error = refused.await.unwrap().unwrap_err().to_string();
    assert!(
        error.contains("the cluster was revoked") && error.contains("berth token create eu-1 --rejoin"),
        "{error}"
    );
    *bench.fleet.revoked.lock().unwrap() = false;
    *bench.fleet.lifetime.lock().unwrap() = AGENT_LIFETIME;
    let agent = bench.start(false).await;
    let (session, _) = bench.hub.session().await;
    assert_eq!(bench.fleet.recoveries.load(Ordering::SeqCst), 1);
    assert_eq!(bench.fleet.joins.load(Ordering::SeqCst), 1);
    drop(session);
    end(agent).await;
    bench.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_goes_along_when_the_authority_is_rolled_over() {
    let mut bench = Bench::new().await;
    let agent = bench.start(true).await;
    let (mut session, hello) = bench.hub.session().await;
    let first = bench.fleet.pin();
    assert_eq!(hello.trusted_pins, [first.to_string()]);
    session.welcome(1).await;
    session.ping();

    // Another fleet's authority, although it comes over the link, is not taken.
    let stranger = Fleet::new();
    let foreign = stranger.rotate(|_| {});
    session.say(ToAgent::Trust(Trust { ca_pem: foreign })).await;
    let both = bench
        .fleet
        .rotate(|authority| authority.begin_rotation(now()).unwrap());
    let pins = CaPins::of_pem(&both).unwrap();
    session.say(ToAgent::Trust(Trust { ca_pem: both })).await;
    let kept = session
        .until("that both are trusted", |message| match message {
            FromAgent::TrustKept(kept) => Some(kept.pins),
            _ => None,
        })
        .await;
    let said: Vec<String> = pins.iter().map(ToString::to_string).collect();
    assert_eq!(kept, said);
    assert_eq!(bench.trusted().await, pins);
    assert_eq!(
        bench.fleet.renewals.load(Ordering::SeqCst),
        0,
        "nothing to renew for"
    );

    let switched = bench
        .fleet
        .rotate(|authority| authority.finish_rotation(now()).unwrap());
    assert_ne!(bench.fleet.pin(), first);
    // The answer is on its way for so long that the hub has gone on meanwhile.
    let answering = bench.fleet.answering.lock().await;
    session.say(ToAgent::Trust(Trust { ca_pem: switched })).await;
    until(
        "the agent asks for a certificate of the new authority",
        async || bench.fleet.renewals.load(Ordering::SeqCst) > 0,
    )
    .await;
    let alone = bench
        .fleet
        .rotate(|authority| authority.retire_old(now()).unwrap());
    session.say(ToAgent::Trust(Trust { ca_pem: alone })).await;
    let new = CaPins::from(bench.fleet.pin());
    until("the new one alone is trusted", async || {
        bench.trusted().await == new
    })
    .await;
    let before = bench.certificate().await;
    drop(answering);
    until("the agent has a certificate of the new authority", async || {
        bench.certificate().await != before
    })
    .await;
    assert_eq!(bench.trusted().await, new, "what was said last is what counts");

    // From now on nothing of the old one opens anything.
    drop(session);
    end(agent).await;
    let agent = bench.start(false).await;
    let (session, hello) = bench.hub.session().await;
    assert_eq!(hello.trusted_pins, [bench.fleet.pin().to_string()]);
    assert_eq!(bench.fleet.recoveries.load(Ordering::SeqCst), 0);
    drop(session);
    end(agent).await;
    bench.plane.stop().await;
}
