//! What only the embedded API promises: counting requests, living on over a restart, speaking TLS to plain `kubectl`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use berth_fake::control_plane::{self, Binaries, Binary};
use berth_fake::embedded::{EmbeddedCluster, LACKS, Options, User};
use berth_fake::ports::free_port;
use serde_json::{Value, json};

use super::ask::Ask;

fn tenant(index: usize) -> Vec<(String, Value)> {
    let (core, rbac) = (
        format!("/api/v1/namespaces/t-{index}"),
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/t-{index}"),
    );
    let net = format!("/apis/networking.k8s.io/v1/namespaces/t-{index}/networkpolicies");
    let labels = json!({"berth.dev/tenant": format!("{index}")});
    let mut objects = vec![
        (core.clone(), json!({"apiVersion": "v1", "kind": "Namespace"})),
        (
            format!("{core}/resourcequotas/q"),
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "10", "requests.cpu": "4"}}}),
        ),
        (
            format!("{core}/limitranges/l"),
            json!({"apiVersion": "v1", "kind": "LimitRange", "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}}),
        ),
    ];
    for name in ["a", "b", "c"] {
        objects.push((format!("{net}/{name}"), json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}}})));
        objects.push((format!("{rbac}/roles/{name}"), json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]})));
        objects.push((format!("{rbac}/rolebindings/{name}"), json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "roleRef": {"kind": "Role", "name": name, "apiGroup": "rbac.authorization.k8s.io"}, "subjects": [{"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"}]})));
    }
    for name in ["deployer", "app"] {
        objects.push((
            format!("{core}/serviceaccounts/{name}"),
            json!({"apiVersion": "v1", "kind": "ServiceAccount"}),
        ));
    }
    for (_, object) in &mut objects {
        object["metadata"] = json!({"labels": labels});
    }
    objects
}

#[tokio::test]
async fn tenants_applied_again_write_nothing_and_requests_are_counted() {
    let cluster = EmbeddedCluster::start(Options::default())
        .await
        .expect("a cluster");
    let client = cluster.client();
    let objects: Vec<(String, Value)> = (0..20).flat_map(tenant).collect();
    for (path, object) in &objects {
        let answer = Ask::apply(path, "berth-agent", object.clone())
            .send(&client)
            .await;
        assert!(answer.code < 300, "{path}: {}", answer.body);
    }
    let counts = cluster.requests();
    assert_eq!((counts.apply, counts.writes(), counts.reads()), (280, 280, 0));
    let mut versions = Vec::new();
    for (path, _) in &objects {
        versions.push(Ask::get(path).send(&client).await.body["metadata"]["resourceVersion"].clone());
    }
    for ((path, object), version) in objects.iter().zip(versions) {
        let answer = Ask::apply(path, "berth-agent", object.clone())
            .send(&client)
            .await;
        if !path.contains("resourcequotas") {
            assert_eq!(answer.body["metadata"]["resourceVersion"], version, "{path}");
        }
    }
    assert_eq!(cluster.requests().reads(), 280);
}

#[tokio::test]
async fn a_second_run_continues_with_the_same_cluster() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = || Options {
        data_dir: Some(directory.path().to_owned()),
        ..Options::default()
    };
    let start = async || EmbeddedCluster::start(options()).await.expect("a cluster");
    let local = "127.0.0.1:0".parse().expect("an address");
    let first = start().await;
    // One that no connection of another test takes in between.
    let port = free_port().expect("a port");
    let access = first
        .listen(([127, 0, 0, 1], port).into())
        .await
        .expect("a listener");
    let path = "/api/v1/namespaces/default/configmaps/a";
    let made = Ask::apply(
        path,
        "one",
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}),
    )
    .send(&first.client())
    .await;
    let system = Ask::get("/api/v1/namespaces/kube-system")
        .send(&first.client())
        .await
        .body;
    first.shutdown().await;
    drop(first);
    let second = start().await;
    assert_eq!(Ask::get(path).send(&second.client()).await.body, made.body);
    assert_eq!(
        Ask::get("/api/v1/namespaces/kube-system")
            .send(&second.client())
            .await
            .body["metadata"]["uid"],
        system["metadata"]["uid"]
    );
    assert_eq!(
        second.listen(local).await.expect("a listener"),
        access,
        "same port, certificate authority and token"
    );
}

#[tokio::test]
async fn strangers_are_refused_and_foreign_tokens_recognised() {
    let known = |token: &str| {
        (token == "eks").then(|| User {
            name: "hub".into(),
            groups: vec!["g".into()],
        })
    };
    let options = Options {
        authenticator: Some(std::sync::Arc::new(known)),
        ..Options::default()
    };
    let cluster = EmbeddedCluster::start(options).await.expect("a cluster");
    let mut access = cluster
        .listen("127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("a listener");
    assert_eq!(cluster.access().as_ref(), Some(&access));
    let namespaces = Ask::get("/api/v1/namespaces");
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (token, code) in [(None, 200), (Some("eks"), 200), (Some("nonsense"), 401)] {
        if let Some(token) = token {
            access.credentials = berth_fake::Credentials::Token(token.into());
        }
        let client = control_plane::client(&access).await.expect("a client");
        assert_eq!(namespaces.send(&client).await.code, code, "{token:?}");
        if token == Some("eks") {
            let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
            let who = Ask::post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
                .send(&client)
                .await
                .body;
            assert_eq!(who["status"]["userInfo"]["username"], "hub");
        }
    }
    let version = Ask::get("/version").send(&cluster.client()).await.body;
    assert_eq!(
        (version["gitVersion"].as_str(), version["lacks"].as_str()),
        (Some("v1.36.3"), Some(LACKS))
    );
    cluster.shutdown().await;
    assert_eq!(namespaces.send(&cluster.client()).await.code, 503);
}

struct Kubectl {
    program: PathBuf,
    config: PathBuf,
}

impl Kubectl {
    async fn run(&self, arguments: &[&str], input: &str) -> String {
        use tokio::io::AsyncWriteExt as _;
        let mut child = tokio::process::Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.config)
            .arg("--cache-dir")
            .arg(self.config.with_extension("cache"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("an input");
        stdin.write_all(input.as_bytes()).await.expect("input taken");
        drop(stdin);
        let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
        let output = output.expect("kubectl ends in time").expect("kubectl ends");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "kubectl {arguments:?}: {text}");
        text
    }
}

#[tokio::test]
async fn plain_kubectl_gets_applies_describes_and_deletes() {
    let binaries = Binaries::find().expect("the control plane's binaries");
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = EmbeddedCluster::start(Options::default())
        .await
        .expect("a cluster");
    let access = cluster
        .listen("127.0.0.1:0".parse().expect("an address"))
        .await
        .expect("a listener");
    let config = directory.path().join("kubeconfig");
    std::fs::write(&config, access.kubeconfig("embedded")).expect("a file");
    let program = binaries.path(Binary::Kubectl).expect("kubectl").to_owned();
    let kubectl = Kubectl { program, config };
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: web, image: 'web:1'}]}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '1'}\n";
    let said = kubectl.run(&["apply", "-f", "-"], manifest).await;
    assert!(
        said.contains("deployment.apps/web created") && said.contains("configmap/c created"),
        "{said}"
    );
    let said = kubectl
        .run(&["apply", "-f", "-"], &manifest.replace("web:1", "web:2"))
        .await;
    assert!(
        said.contains("deployment.apps/web configured") && said.contains("configmap/c unchanged"),
        "{said}"
    );
    kubectl
        .run(&["rollout", "status", "deployment/web", "--timeout=20s"], "")
        .await;
    let said = kubectl.run(&["get", "ns,deploy,quota,cm"], "").await;
    assert!(
        said.contains("namespace/kube-system") && said.contains("1/1"),
        "{said}"
    );
    let said = kubectl
        .run(
            &[
                "apply",
                "--server-side",
                "--field-manager=other",
                "--force-conflicts",
                "-f",
                "-",
            ],
            manifest,
        )
        .await;
    assert!(said.contains("deployment.apps/web serverside-applied"), "{said}");
    let said = kubectl.run(&["get", "deploy", "web", "-o", "yaml"], "").await;
    assert!(said.contains("image: web:1"), "{said}");
    for what in ["deploy/web", "ns/default", "nodes"] {
        let said = kubectl.run(&["describe", what], "").await;
        assert!(said.contains("Name:"), "{said}");
    }
    kubectl.run(&["scale", "deploy/web", "--replicas=2"], "").await;
    kubectl
        .run(
            &["apply", "-f", "-"],
            "{apiVersion: v1, kind: Namespace, metadata: {name: made}}",
        )
        .await;
    kubectl
        .run(
            &["wait", "--for=condition=Available", "deploy/web", "--timeout=20s"],
            "",
        )
        .await;
    kubectl
        .run(&["delete", "deploy/web", "cm/c", "ns/made", "--timeout=20s"], "")
        .await;
    let said = kubectl.run(&["get", "deploy,ns"], "").await;
    assert!(!said.contains("web") && !said.contains("made"), "{said}");
}
