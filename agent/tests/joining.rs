//! How an agent comes by its identity, and why it may not: with its own rights on a real API server, and a small real hub.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "support/hub.rs"]
mod hub;
mod support;

use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};

use berth_agent::{Cluster, Error, Options, run_in};
use berth_fake::control_plane::ControlPlane;
use http::Method;
use hub::{Fleet, Hub};
use serde_json::{Value, json};
use support::{account, ask, control_plane, install, manifest_options};
use tokio_util::sync::CancellationToken;

const SECRET: &str = "/api/v1/namespaces/berth-system/secrets/berth-agent-identity";

struct Bench {
    plane: ControlPlane,
    dir: tempfile::TempDir,
    fleet: std::sync::Arc<Fleet>,
    hub: Hub,
}

impl Bench {
    async fn new() -> Self {
        let plane = control_plane().await;
        install(&plane, &manifest_options()).await;
        let fleet = Fleet::new();
        let hub = Hub::start(&fleet).await;
        Self {
            plane,
            dir: tempfile::tempdir().unwrap(),
            fleet,
            hub,
        }
    }

    async fn cluster(&self) -> Cluster {
        let access = self.plane.access();
        let client = account(&self.plane, "berth-system", "berth-agent").await;
        Cluster {
            client,
            api_url: access.url,
            api_ca_pem: access.ca_pem,
        }
    }

    fn token_file(&self, token: &str) -> PathBuf {
        let path = self.dir.path().join("token");
        std::fs::write(&path, format!("{token}\n")).unwrap();
        path
    }

    fn options(&self, token: Option<&str>) -> Options {
        let mut options = support::options(self.hub.url());
        options.token_file = token.map(|token| self.token_file(token));
        options.ca_pin = Some(self.fleet.pin().into());
        options
    }

    /// Why the agent ends by itself.
    async fn refused(&self, options: Options) -> Error {
        let run = run_in(self.cluster().await, options, CancellationToken::new());
        let ended = tokio::time::timeout(Duration::from_secs(30), run).await;
        ended
            .expect("the agent should have ended")
            .expect_err("the agent should have been refused")
    }

    async fn secret(&self) -> Value {
        ask(&self.plane.client(), Method::GET, SECRET, None).await.1
    }

    async fn forget(&self) {
        ask(&self.plane.client(), Method::DELETE, SECRET, None).await;
    }

    fn joins(&self) -> usize {
        self.fleet.joins.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn an_agent_that_may_not_join_says_what_to_do_next() {
    let bench = Bench::new().await;

    let error = bench
        .refused(Options {
            ca_pin: None,
            ..bench.options(None)
        })
        .await;
    assert!(matches!(error, Error::NoToken), "{error}");
    assert!(error.to_string().contains("berth token create"), "{error}");
    assert_eq!(bench.secret().await["code"], 404, "nothing is left behind");

    let missing = Options {
        token_file: Some("/nonexistent/token".into()),
        ..bench.options(None)
    };
    let error = bench.refused(missing).await;
    assert!(matches!(error, Error::TokenFile { .. }), "{error}");

    let error = bench.refused(bench.options(Some("nonsense"))).await;
    assert!(matches!(error, Error::BadToken { .. }), "{error}");

    let token = bench.fleet.token();
    let other = Fleet::new().pin();
    let error = bench
        .refused(Options {
            ca_pin: Some(other.into()),
            ..bench.options(Some(&token))
        })
        .await;
    assert!(matches!(error, Error::WrongPin { .. }), "{error}");
    assert_eq!(
        bench.joins(),
        0,
        "a hub that is not the pinned one never saw the token"
    );

    let used = bench.fleet.token();
    bench.fleet.token();
    let error = bench.refused(bench.options(Some(&used))).await;
    assert!(matches!(error, Error::TokenRefused(_)), "{error}");
    assert!(error.to_string().contains("berth token create"), "{error}");

    // The key made before the first refusal is still the one that is kept.
    let kept = bench.secret().await;
    assert!(
        kept["data"]["tls.key"].is_string() && kept["data"]["tls.crt"].is_null(),
        "{kept}"
    );

    bench.forget().await;
    let copied = json!({"metadata": {"name": "berth-agent-identity"}, "stringData": {
        "tls.key": *berth_identity::key::generate().unwrap(), "kubernetes-uid": "of-another-cluster"}});
    let path = SECRET.rsplit_once('/').unwrap().0;
    assert_eq!(
        ask(&bench.plane.client(), Method::POST, path, Some(&copied))
            .await
            .0,
        201
    );
    let error = bench.refused(bench.options(Some(&bench.fleet.token()))).await;
    assert!(matches!(error, Error::CopiedIdentity { .. }), "{error}");
    assert_eq!(bench.joins(), 0);

    let rights = "/apis/rbac.authorization.k8s.io/v1/namespaces/berth-system/rolebindings/berth-agent";
    assert_eq!(
        ask(&bench.plane.client(), Method::DELETE, rights, None).await.0,
        200
    );
    let agent = bench.cluster().await.client;
    support::until("the rights are gone", async || {
        ask(&agent, Method::GET, SECRET, None).await.0 == 403
    })
    .await;
    let error = bench.refused(bench.options(None)).await;
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    assert!(error.to_string().contains("berth agent manifest"), "{error}");
    bench.plane.stop().await;
}
