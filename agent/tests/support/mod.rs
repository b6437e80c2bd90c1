//! What the tests on a real control plane share.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod nodes;
pub(crate) mod walls;
pub(crate) mod work;

use std::time::Duration;

use berth_agent::manifest::{ManifestOptions, render};
use berth_fake::{
    access::{Access, Credentials},
    control_plane::{self, Binaries, ControlPlane, Options},
};
use http::{Method, Request};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// A control plane without nodes: API, quotas, accounts, namespaces' deletion.
pub(crate) async fn control_plane() -> ControlPlane {
    let options = Options {
        scheduler: false,
        kwok: false,
        ..Options::default()
    };
    ControlPlane::start(&Binaries::find().unwrap(), options)
        .await
        .unwrap()
}

pub(crate) fn manifest_options() -> ManifestOptions {
    ManifestOptions {
        hub_urls: vec!["https://127.0.0.1:1".into()],
        ca_pin: format!("sha256:{}", "00".repeat(32)),
        token: Some("abcdefghij.secret".into()),
        image: "berth-agent:test".into(),
        namespace: "berth-system".into(),
        mutating: true,
        api_url: None,
    }
}

/// What was answered: status code and body.
pub(crate) type Answer = (u16, Value);

pub(crate) async fn ask(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Answer {
    ask_as(client, None, method, path, body).await
}

pub(crate) async fn ask_as(
    client: &Client,
    user: Option<&str>,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let content = match method {
        Method::PATCH if path.contains("force=") => "application/apply-patch+yaml",
        Method::PATCH if body.is_some_and(Value::is_array) => "application/json-patch+json",
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content);
    // `user|group` for a member of a group.
    if let Some((user, group)) = user.map(|user| user.split_once('|').unwrap_or((user, ""))) {
        request = request.header("impersonate-user", user);
        if !group.is_empty() {
            request = request.header("impersonate-group", group);
        }
    }
    let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
    let response = client
        .send(request.body(Body::from(body)).unwrap())
        .await
        .unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect_bytes().await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// The collection that an object belongs to.
pub(crate) fn collection(object: &Value) -> String {
    let (version, kind) = (
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
    );
    let plural = match kind {
        "MutatingAdmissionPolicy" | "ValidatingAdmissionPolicy" | "NetworkPolicy" => {
            kind.to_lowercase().replace("policy", "policies")
        }
        "PriorityClass" => "priorityclasses".into(),
        "Ingress" => "ingresses".into(),
        "Endpoints" => "endpoints".into(),
        _ => format!("{}s", kind.to_lowercase()),
    };
    let root = if version.contains('/') { "apis" } else { "api" };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/{root}/{version}/namespaces/{namespace}/{plural}"),
        None => format!("/{root}/{version}/{plural}"),
    }
}

pub(crate) async fn apply(client: &Client, object: &Value) -> Answer {
    let name = object["metadata"]["name"].as_str().unwrap();
    let path = format!("{}/{name}?fieldManager=test&force=true", collection(object));
    ask(client, Method::PATCH, &path, Some(object)).await
}

pub(crate) async fn create(client: &Client, object: &Value) -> Answer {
    ask(client, Method::POST, &collection(object), Some(object)).await
}

/// Applies the agent's manifest and waits until its policies are in force.
pub(crate) async fn install(plane: &ControlPlane, options: &ManifestOptions) {
    let admin = plane.client();
    for object in render(options) {
        let (status, answer) = apply(&admin, &object).await;
        assert!(status < 300, "{}: {answer:#}", object["metadata"]["name"]);
    }
    let agent = account(plane, "berth-system", "berth-agent").await;
    let outside = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}});
    until("the agent is bounded", async || {
        refused(
            &ask(
                &agent,
                Method::POST,
                "/api/v1/namespaces?dryRun=All",
                Some(&outside),
            )
            .await,
        )
    })
    .await;
}

/// Waits for a condition, a minute at most.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let patience = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), patience)
        .await
        .unwrap_or_else(|_| panic!("not within a minute: {what}"));
}

/// A client with the account's own token.
pub(crate) async fn account(plane: &ControlPlane, namespace: &str, name: &str) -> Client {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
    let (status, answer) = ask(&plane.client(), Method::POST, &path, Some(&request)).await;
    assert_eq!(status, 201, "{answer:#}");
    let token = answer["status"]["token"].as_str().unwrap().to_owned();
    let access = Access {
        credentials: Credentials::Token(token),
        ..plane.access()
    };
    control_plane::client(&access).await.unwrap()
}

pub(crate) fn tenant_namespace(name: &str, tenant: &str, pool: Option<&str>) -> Value {
    let mut labels = json!({"berth.dev/tenant": tenant, "berth.dev/tenant-uid": "u1"});
    if let Some(pool) = pool {
        labels["berth.dev/pool"] = json!(pool);
    }
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// Refused by rights or by a policy, and not because the object itself is faulty (422).
pub(crate) fn refused((status, _): &Answer) -> bool {
    *status == 403
}

/// An agent's options as its command line without flags has them.
pub(crate) fn options(hub: http::Uri) -> berth_agent::Options {
    berth_agent::Options {
        hub: vec![hub],
        token_file: None,
        ca_pin: None,
        kubeconfig: None,
        namespace: "berth-system".into(),
        api_url: Some("https://api.eu-1.example".into()),
        withdraw_limit: 3,
        withdraw_percent: 10,
        withdraw_window: 600,
        evidence_interval: 600,
        ops_listen: None,
        instance: None,
        log_format: berth_agent::options::LogFormat::Text,
        log: "info".into(),
    }
}
