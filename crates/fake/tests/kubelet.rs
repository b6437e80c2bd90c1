//! The kubelet's player against a real kube-apiserver: an agent made of a shell script, started from a Deployment.
#![cfg(all(feature = "eks", feature = "control-plane"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers of tests are tests"
)]

use std::{path::PathBuf, sync::Arc, time::Duration};

use berth_fake::{
    control_plane::{Binaries, ControlPlane, Options},
    kubelet::{ClientOf, Kubelet, Options as KubeletOptions, PodIdentity, ProcessLauncher},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Secret, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => panic!("not within a minute: {what}"),
    }
}

/// What the script saw, once it has written all of it. The script writes to another name and renames.
async fn witness(dir: &std::path::Path, pod: &str) -> String {
    let path = dir.join(pod).join("seen");
    within("the agent writes what it sees", async {
        loop {
            if let Ok(text) = std::fs::read_to_string(&path) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

fn deployment() -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "berth-agent", "namespace": "berth-system"},
        "spec": {
            "selector": {"matchLabels": {"app": "berth-agent"}},
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": {"app": "berth-agent"}},
                "spec": {
                    "serviceAccountName": "berth-agent",
                    "containers": [{
                        "name": "agent", "image": "berth-agent:1",
                        "args": ["--hub=$(HUB)", "--token-file", "/var/run/berth/token"],
                        "env": [
                            {"name": "HUB", "value": "https://hub.invalid"},
                            {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                            {"name": "PIN", "valueFrom": {"secretKeyRef": {"name": "join", "key": "pin"}}},
                        ],
                        "volumeMounts": [
                            {"name": "join", "mountPath": "/var/run/berth"},
                            {"name": "identity", "mountPath": "/var/run/identity"},
                        ],
                    }],
                    "volumes": [
                        {"name": "join", "secret": {"secretName": "join", "items": [{"key": "token", "path": "token"}]}},
                        {"name": "identity", "projected": {"sources": [
                            {"serviceAccountToken": {"path": "jwt", "audience": "hub"}}]}},
                    ],
                },
            },
        },
    }))
    .unwrap()
}

/// The agent: notes what it was given and stays.
const SCRIPT: &str = r#"
{ echo "args: $*"; echo "namespace: $NAMESPACE"; echo "pin: $PIN"; echo "token: $(/bin/cat "$3")"
  echo "kubeconfig: $KUBECONFIG"; echo "home: $(pwd)"; } > seen.new
/bin/mv seen.new seen
exec /bin/sleep 600
"#;

struct Stage {
    plane: ControlPlane,
    client: Client,
    dir: tempfile::TempDir,
    kubelet: Kubelet,
}

impl Stage {
    async fn set() -> Self {
        let binaries = Binaries::find().unwrap();
        let options = Options {
            controller_manager: false,
            scheduler: false,
            kwok: false,
            ..Options::default()
        };
        let plane = ControlPlane::start(&binaries, options).await.unwrap();
        let client = plane.client();
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("agent.sh");
        std::fs::write(&script, SCRIPT).unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": "berth-system"}})).unwrap();
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "berth-system");
        let account = serde_json::from_value(json!({"metadata": {"name": "berth-agent"}})).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let kubelet = Kubelet::start(KubeletOptions {
            cluster: "eu-1".into(),
            access: plane.access(),
            client: ClientOf(client.clone()),
            identity: PodIdentity::ServiceAccount,
            launcher: Arc::new(ProcessLauncher {
                program: PathBuf::from("/bin/sh"),
                leading_args: vec![script.display().to_string()],
            }),
            dir: dir.path().to_owned(),
        });
        Self {
            plane,
            client,
            dir,
            kubelet,
        }
    }

    async fn deploy(&self) {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), "berth-system");
        deployments
            .create(&PostParams::default(), &deployment())
            .await
            .unwrap();
    }

    async fn give_token(&self) {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "berth-system");
        let secret = serde_json::from_value(json!({
            "metadata": {"name": "join"}, "stringData": {"token": "once-only", "pin": "sha256:00"},
        }))
        .unwrap();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }

    async fn runs(&self, starts: u64) {
        let mut played = self.kubelet.played();
        within(
            "the agent runs",
            played.wait_for(|played| played.running && played.starts >= starts),
        )
        .await
        .unwrap();
    }

    async fn rests(&self) {
        let mut played = self.kubelet.played();
        within("the agent ends", played.wait_for(|played| !played.running))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_agent_is_started_as_its_deployment_says_and_ends_with_it() {
    let stage = Stage::set().await;
    stage.deploy().await;
    // Its Secret is not there yet: like a kubelet, try again until it is.
    stage.give_token().await;
    stage.runs(1).await;

    let seen = witness(stage.dir.path(), "berth-agent-1").await;
    assert!(
        seen.contains("args: --hub=https://hub.invalid --token-file "),
        "{seen}"
    );
    assert!(
        seen.contains("namespace: berth-system") && seen.contains("pin: sha256:00"),
        "{seen}"
    );
    assert!(seen.contains("token: once-only"), "{seen}");
    let home = stage.dir.path().join("berth-agent-1");
    assert_eq!(
        std::fs::read_to_string(home.join("volumes/identity/jwt"))
            .unwrap()
            .split('.')
            .count(),
        3
    );

    let deployments: Api<Deployment> = Api::namespaced(stage.client.clone(), "berth-system");
    within("the status says ready", async {
        while deployments
            .get("berth-agent")
            .await
            .unwrap()
            .status
            .and_then(|s| s.ready_replicas)
            != Some(1)
        {}
    })
    .await;

    let none = json!({"spec": {"replicas": 0}});
    deployments
        .patch("berth-agent", &PatchParams::default(), &Patch::Merge(none))
        .await
        .unwrap();
    stage.rests().await;
    let one = json!({"spec": {"replicas": 1}});
    deployments
        .patch("berth-agent", &PatchParams::default(), &Patch::Merge(one))
        .await
        .unwrap();
    stage.runs(2).await;
    deployments
        .delete("berth-agent", &DeleteParams::background())
        .await
        .unwrap();
    stage.rests().await;
    stage.kubelet.shutdown().await;
    drop(stage.plane);
}

#[tokio::test]
async fn the_agent_has_its_own_rights_only_and_a_deleted_pod_loses_its_disk() {
    let stage = Stage::set().await;
    stage.give_token().await;
    stage.deploy().await;
    stage.runs(1).await;
    witness(stage.dir.path(), "berth-agent-1").await;
    let home = stage.dir.path().join("berth-agent-1");

    let kubeconfig = kube::config::Kubeconfig::read_from(home.join("kubeconfig")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
        .await
        .unwrap();
    let as_agent = Client::try_from(config).unwrap();
    let refused = Api::<Secret>::namespaced(as_agent, "berth-system")
        .get("join")
        .await
        .unwrap_err();
    let kube::Error::Api(refused) = refused else {
        panic!("{refused}")
    };
    assert_eq!(refused.code, 403);
    assert!(
        refused
            .message
            .contains("system:serviceaccount:berth-system:berth-agent"),
        "{}",
        refused.message
    );

    stage.kubelet.delete_pod();
    stage.runs(2).await;
    witness(stage.dir.path(), "berth-agent-2").await;
    assert!(!home.exists());
    stage.kubelet.shutdown().await;
    drop(stage.plane);
}
