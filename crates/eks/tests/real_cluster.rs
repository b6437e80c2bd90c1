//! The cluster tier's way on real parts: the provisioner asks the fake EKS, which hands out a real kube-apiserver, and the
//! hub's presigned token opens it through the token webhook.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers of tests are tests"
)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use berth_eks::{EksConfig, EksProvisioner, Network, StaticCredentials};
use berth_fake::{
    Access,
    control_plane::{Binaries, ControlPlane, Options as PlaneOptions, TokenWebhook},
    eks::{Authenticator, Backend, BoxError, FakeEks, Options},
};
use berth_model::{infra::InfraPhase, label};
use berth_provision::{
    ClusterRequest, Provisioner,
    testing::{cluster_request, pool_request},
};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    core::v1::{Namespace, Node},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::Mutex;

const LIMIT: Duration = Duration::from_secs(90);

/// Real control planes, without anything that runs pods.
#[derive(Debug, Default)]
struct RealPlanes(Mutex<BTreeMap<String, ControlPlane>>);

#[async_trait]
impl Backend for RealPlanes {
    async fn start_cluster(
        &self,
        name: &str,
        _: &str,
        authenticator: Authenticator,
    ) -> Result<Access, BoxError> {
        let options = PlaneOptions {
            controller_manager: false,
            scheduler: false,
            kwok: false,
            token_webhook: Some(TokenWebhook {
                url: authenticator.webhook_url,
                ca_pem: authenticator.webhook_ca_pem,
            }),
            ..PlaneOptions::default()
        };
        let plane = ControlPlane::start(&Binaries::find()?, options).await?;
        let access = plane.access();
        self.0.lock().await.insert(name.to_owned(), plane);
        Ok(access)
    }

    async fn stop_cluster(&self, name: &str) -> Result<(), BoxError> {
        if let Some(plane) = self.0.lock().await.remove(name) {
            plane.stop().await;
        }
        Ok(())
    }
}

fn config(fake: &FakeEks) -> EksConfig {
    let key = fake.credentials();
    EksConfig {
        default_region: "eu-central-1".into(),
        regions: BTreeMap::from([(
            "eu-central-1".into(),
            Network {
                subnet_ids: vec!["subnet-1".into(), "subnet-2".into()],
                security_group_ids: Vec::new(),
            },
        )]),
        cluster_role_arn: "arn:aws:iam::111122223333:role/cluster".into(),
        node_role_arn: "arn:aws:iam::111122223333:role/node".into(),
        hub_principal_arn: None,
        bootstrap_cidrs: Vec::new(),
        ami_type: "AL2023_x86_64_STANDARD".into(),
        endpoint_url: Some(fake.endpoint_url()),
        profile: None,
        credentials: Some(StaticCredentials {
            access_key_id: key.access_key_id,
            secret_access_key: key.secret_access_key,
            session_token: None,
        }),
    }
}

async fn active(fake: &FakeEks, cloud: &EksProvisioner, want: &ClusterRequest) -> String {
    let looking = async {
        loop {
            let seen = cloud.ensure_cluster(want).await.unwrap();
            if let Some(cluster) = seen.known().filter(|cluster| cluster.phase == InfraPhase::Active) {
                return cluster.cloud_name.clone();
            }
            fake.advance().await;
        }
    };
    tokio::time::timeout(LIMIT, looking).await.unwrap()
}

async fn sign_in(cloud: &EksProvisioner, want: &ClusterRequest) -> Client {
    let access = cloud.cluster_access(want).await.unwrap();
    let token = berth_fake::Credentials::Token(access.bearer_token.reveal().to_owned());
    let access = Access {
        url: access.endpoint,
        ca_pem: access.ca_pem,
        credentials: token,
    };
    let kubeconfig = Kubeconfig::from_yaml(&access.kubeconfig("hub")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn the_hubs_presigned_token_opens_the_cluster_it_had_made_and_the_nodes_are_there() {
    let planes = Arc::new(RealPlanes::default());
    let fake = FakeEks::start(Options::new(planes.clone())).await.unwrap();
    let cloud = EksProvisioner::new(config(&fake)).await.unwrap();
    let want = cluster_request("acme", 1);
    let cluster = active(&fake, &cloud, &want).await;

    let hub = sign_in(&cloud, &want).await;
    let whoami: Api<SelfSubjectReview> = Api::all(hub.clone());
    let me = whoami
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .unwrap();
    let user = me.status.and_then(|status| status.user_info).unwrap();
    assert_eq!(user.username.as_deref(), Some(fake.credentials().arn.as_str()));
    assert!(user.groups.unwrap().iter().any(|group| group == "system:masters"));
    let namespace = Namespace {
        metadata: kube::api::ObjectMeta {
            name: Some("berth-system".into()),
            ..Default::default()
        },
        ..Default::default()
    };
    Api::<Namespace>::all(hub.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();

    let nodes: Api<Node> = Api::all(hub.clone());
    let own = nodes.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(own.len(), 3);
    assert!(
        own.iter()
            .all(|node| node.metadata.labels.as_ref().unwrap()["workload"] == "data-processing")
    );

    let mut pool = pool_request("beta", 1, &cluster);
    pool.template.desired_nodes = 4;
    let made = async {
        while cloud
            .ensure_node_pool(&pool)
            .await
            .unwrap()
            .known()
            .unwrap()
            .phase
            != InfraPhase::Active
        {
            fake.advance().await;
        }
    };
    tokio::time::timeout(LIMIT, made).await.unwrap();
    let pooled = ListParams::default().labels(&format!("{}=beta", label::POOL));
    let nodes_of_pool = nodes.list(&pooled).await.unwrap().items;
    assert_eq!(nodes_of_pool.len(), 4);
    for node in nodes_of_pool {
        let taint = node
            .spec
            .unwrap()
            .taints
            .unwrap()
            .into_iter()
            .find(|taint| taint.key == label::POOL)
            .unwrap();
        assert_eq!(
            (taint.value.as_deref(), taint.effect.as_str()),
            (Some("beta"), "NoSchedule")
        );
        assert_eq!(node.status.unwrap().allocatable.unwrap()["cpu"].0, "3920m");
    }

    let gone = async {
        while !cloud.release_node_pool(&pool).await.unwrap().is_absent() {
            fake.advance().await;
        }
        assert_eq!(nodes.list(&pooled).await.unwrap().items.len(), 0);
        while !cloud.release_cluster(&want).await.unwrap().is_absent() {
            fake.advance().await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap();
    assert!(planes.0.lock().await.is_empty());
    fake.shutdown().await;
}
