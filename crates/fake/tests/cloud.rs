//! What a local cloud promises, on embedded clusters.

#![expect(clippy::expect_used, reason = "a test says what is wrong by panicking")]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sdk_eks::Client;
use aws_sdk_eks::config::{BehaviorVersion, Region};
use aws_sdk_eks::types::VpcConfigRequest;
use berth_fake::Access;
use berth_fake::cloud::{LocalCloud, LocalCloudOptions, LocalControlPlane, SharedCluster};
use berth_fake::eks::Timings;
use berth_fake::kubelet::{Launch, Launcher, Running};
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Config};
use serde_json::json;

/// No agent is started here.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Launcher for Nobody {
    async fn launch(&self, _: Launch) -> Result<Box<dyn Running>, Box<dyn std::error::Error + Send + Sync>> {
        Err("nobody is started here".into())
    }
}

async fn start(data_dir: &std::path::Path) -> LocalCloud {
    let options = LocalCloudOptions {
        data_dir: data_dir.to_owned(),
        control_plane: LocalControlPlane::Embedded,
        launcher: Arc::new(Nobody),
        timings: Timings::default(),
        region: "eu-central-1".to_owned(),
        durable: false,
    };
    LocalCloud::start(options).await.expect("the cloud starts")
}

async fn kube(access: &Access) -> kube::Client {
    let kubeconfig = Kubeconfig::from_yaml(&access.kubeconfig("test")).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a configuration");
    kube::Client::try_from(config).expect("a client")
}

fn eks(cloud: &LocalCloud) -> Client {
    let key = cloud.credentials();
    let config = aws_sdk_eks::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(cloud.endpoint_url())
        .credentials_provider(Credentials::new(
            key.access_key_id,
            key.secret_access_key,
            None,
            None,
            "test",
        ))
        .build();
    Client::from_conf(config)
}

async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let looks = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), looks).await.is_ok(),
        "never {what}"
    );
}

#[tokio::test]
async fn a_shared_cluster_has_ordinary_nodes_of_its_region_and_is_an_eks_cluster() {
    let data = tempfile::tempdir().expect("a directory");
    let cloud = start(data.path()).await;
    let access = cloud
        .shared_cluster(&SharedCluster::new("shared-1", "eu-west-1"))
        .await
        .expect("it starts");
    // An embedded cluster brings a node of its own, too.
    let regional = ListParams::default().labels("topology.kubernetes.io/region");
    let nodes = Api::<Node>::all(kube(&access).await)
        .list(&regional)
        .await
        .expect("a list")
        .items;
    assert_eq!(nodes.len(), 2);
    for node in nodes {
        assert_eq!(
            node.metadata.labels.expect("labels")["topology.kubernetes.io/region"],
            "eu-west-1"
        );
        let spec = node.spec.expect("a spec");
        assert!(
            spec.provider_id
                .expect("a provider")
                .starts_with("aws:///eu-west-1")
        );
        assert!(
            spec.taints
                .unwrap_or_default()
                .iter()
                .all(|taint| taint.key.starts_with("node.kubernetes.io/"))
        );
    }
    let described = eks(&cloud)
        .describe_cluster()
        .name("shared-1")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        described.cluster.and_then(|cluster| cluster.endpoint),
        Some(access.url)
    );
    assert!(data.path().join("clusters/shared-1/kubeconfig").is_file());
    cloud.stop().await;
}

#[tokio::test]
async fn a_second_start_continues_with_the_same_clusters() {
    let data = tempfile::tempdir().expect("a directory");
    let cloud = start(data.path()).await;
    let shared = SharedCluster::new("shared-1", "eu-west-1");
    let access = cloud.shared_cluster(&shared).await.expect("it starts");
    let network = VpcConfigRequest::builder()
        .subnet_ids("subnet-1")
        .subnet_ids("subnet-2")
        .build();
    eks(&cloud)
        .create_cluster()
        .name("made")
        .version("1.33")
        .role_arn("arn:aws:iam::111122223333:role/cluster")
        .resources_vpc_config(network)
        .send()
        .await
        .expect("a cluster");
    until("made", || async { cloud.eks().access("made").is_some() }).await;
    let made = cloud.clusters().await["made"].clone();
    let configs = Api::<ConfigMap>::namespaced(kube(&made).await, "default");
    let kept = serde_json::from_value(json!({"metadata": {"name": "kept"}})).expect("an object");
    configs
        .create(&PostParams::default(), &kept)
        .await
        .expect("created");
    cloud.stop().await;

    let cloud = start(data.path()).await;
    assert_eq!(cloud.shared_cluster(&shared).await.expect("it starts"), access);
    assert_eq!(
        cloud.clusters().await.keys().collect::<Vec<_>>(),
        ["made", "shared-1"]
    );
    let made = cloud.clusters().await["made"].clone();
    let configs = Api::<ConfigMap>::namespaced(kube(&made).await, "default");
    assert!(configs.get_opt("kept").await.expect("an answer").is_some());

    eks(&cloud)
        .delete_cluster()
        .name("made")
        .send()
        .await
        .expect("it goes");
    until("gone", || async { cloud.eks().clusters() == ["shared-1"] }).await;
    assert!(!data.path().join("clusters/made").exists());
    cloud.stop().await;
}
