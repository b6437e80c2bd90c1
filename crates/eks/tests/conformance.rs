//! The provisioner over the fake EKS: the seam's conformance suite, and what only EKS has.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers of tests are tests"
)]

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use berth_eks::{EksConfig, EksProvisioner, Network, StaticCredentials};
use berth_fake::eks::{FakeEks, NoClusters, Options, Timings};
use berth_model::{
    Observed,
    infra::{InfraPhase, TroubleClass},
    tier::Bootstrap,
};
use berth_provision::{
    ClusterRequest, Provisioner, tag,
    testing::{Census, Fault, Rig, cluster_request, conformance, pool_request},
};

const SHARED: &str = "shared-1";

struct FakeRig {
    fake: FakeEks,
    config: EksConfig,
    cloud: Arc<EksProvisioner>,
}

impl FakeRig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut EksConfig)) -> Self {
        let options = Options {
            timings: Timings::Held,
            ..Options::new(Arc::new(NoClusters))
        };
        let fake = FakeEks::start(options).await.unwrap();
        let access = berth_fake::Access {
            url: "https://shared.invalid".into(),
            ca_pem: String::new(),
            credentials: berth_fake::Credentials::Token(String::new()),
        };
        fake.adopt(SHARED, access, "1.33", "eu-central-1").await.unwrap();
        let mut config = config(&fake);
        adjust(&mut config);
        let cloud = Arc::new(EksProvisioner::new(config.clone()).await.unwrap());
        Self { fake, config, cloud }
    }

    /// Looks and lets time pass until the cluster is active.
    async fn active(&self, want: &ClusterRequest) {
        for _ in 0..10 {
            let seen = self.cloud.ensure_cluster(want).await.unwrap();
            if seen
                .known()
                .is_some_and(|cluster| cluster.phase == InfraPhase::Active)
            {
                return;
            }
            self.fake.advance().await;
        }
        panic!("never active");
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
        bootstrap_cidrs: vec!["192.0.2.1/32".into()],
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

#[async_trait]
impl Rig for FakeRig {
    fn provisioner(&self) -> Arc<dyn Provisioner> {
        self.cloud.clone()
    }

    async fn inject(&self, fault: Fault) {
        let faults = self.fake.faults();
        let refuse = |status, code, message| faults.refuse_next("Create*", status, code, message);
        match fault {
            Fault::LostAnswer => faults.lose_next_answer(),
            Fault::Throttled => faults.throttle(1),
            Fault::ServerDown => refuse(500, "ServerException", "internal error"),
            Fault::Quota => refuse(
                400,
                "ResourceLimitExceededException",
                "limit exceeded for account",
            ),
            Fault::Denied => refuse(403, "AccessDeniedException", "not authorized to perform this"),
            Fault::Broken { code, message, .. } => faults.break_next_nodegroup(code, message),
        }
    }

    async fn settle(&self) {
        self.fake.advance().await;
    }

    async fn disown(&self) {
        self.fake.retag_everything(tag::FLEET, "somebody-else");
    }

    async fn census(&self) -> Census {
        let clusters = self
            .fake
            .clusters()
            .into_iter()
            .filter(|name| name != SHARED)
            .count();
        let pools = self
            .fake
            .nodegroups()
            .into_iter()
            .filter(|(cluster, _)| cluster == SHARED)
            .count();
        Census { clusters, pools }
    }

    async fn shared_cluster(&self) -> String {
        SHARED.into()
    }
}

#[tokio::test]
async fn eks_passes_the_conformance_suite() {
    conformance(FakeRig::new).await;
}

#[tokio::test]
async fn a_clusters_token_opens_that_cluster_and_no_other() {
    let rig = FakeRig::new().await;
    let (mine, other) = (cluster_request("acme", 1), cluster_request("beta", 1));
    rig.active(&mine).await;
    rig.active(&other).await;
    let access = rig.cloud.cluster_access(&mine).await.unwrap();
    let name = |seen: Observed<berth_model::ClusterInfra>| seen.known().unwrap().cloud_name.clone();
    let mine = name(rig.cloud.ensure_cluster(&mine).await.unwrap());
    let other = name(rig.cloud.ensure_cluster(&other).await.unwrap());
    let user = rig
        .fake
        .authenticate(&mine, access.bearer_token.reveal())
        .unwrap();
    assert_eq!(user.groups, ["system:masters"]);
    assert_eq!(rig.fake.authenticate(&other, access.bearer_token.reveal()), None);
    assert_eq!(
        rig.fake
            .authenticate(&mine, &format!("{}x", access.bearer_token.reveal())),
        None
    );
}

#[tokio::test]
async fn a_hub_that_is_not_the_maker_is_admitted_by_an_access_entry() {
    let rig = FakeRig::with(|config| {
        config.hub_principal_arn = Some("arn:aws:iam::111122223333:user/other-hub".into());
    })
    .await;
    let want = cluster_request("acme", 1);
    rig.active(&want).await;
    let key = rig.fake.add_user("other-hub");
    let mut config = rig.config.clone();
    config.credentials = Some(StaticCredentials {
        access_key_id: key.access_key_id,
        secret_access_key: key.secret_access_key,
        session_token: None,
    });
    let hub = EksProvisioner::new(config).await.unwrap();
    let access = hub.cluster_access(&want).await.unwrap();
    let cluster = rig
        .fake
        .clusters()
        .into_iter()
        .find(|name| name != SHARED)
        .unwrap();
    let user = rig.fake.authenticate(&cluster, access.bearer_token.reveal());
    assert_eq!(
        user.map(|user| user.groups),
        Some(vec!["system:masters".to_owned()])
    );

    let stranger = rig.fake.add_user("stranger");
    let mut config = rig.config.clone();
    config.credentials = Some(StaticCredentials {
        access_key_id: stranger.access_key_id,
        secret_access_key: stranger.secret_access_key,
        session_token: None,
    });
    let access = EksProvisioner::new(config)
        .await
        .unwrap()
        .cluster_access(&want)
        .await
        .unwrap();
    assert_eq!(
        rig.fake.authenticate(&cluster, access.bearer_token.reveal()),
        None
    );
}

#[tokio::test]
async fn a_public_endpoint_is_closed_once_the_agent_is_there_and_stays_closed() {
    let rig = FakeRig::new().await;
    let mut want = cluster_request("acme", 1);
    want.template.bootstrap = Bootstrap::PublicThenPrivate;
    rig.active(&want).await;
    want.agent_connected = true;
    let closing = rig.cloud.ensure_cluster(&want).await.unwrap();
    let closing = closing.known().unwrap();
    assert_eq!(closing.phase, InfraPhase::Updating);
    assert!(
        closing.waiting_for.contains("endpoint"),
        "{}",
        closing.waiting_for
    );
    rig.fake.advance().await;
    let closed = rig.cloud.ensure_cluster(&want).await.unwrap();
    assert_eq!(
        closed.known().map(|cluster| cluster.phase),
        Some(InfraPhase::Active)
    );
}

#[tokio::test]
async fn a_changed_template_moves_the_bounds_of_a_pool_and_not_its_nodes() {
    let rig = FakeRig::new().await;
    let mut want = pool_request("acme", 1, SHARED);
    rig.cloud.ensure_node_pool(&want).await.unwrap();
    rig.fake.advance().await;
    want.template.max_nodes = 30;
    want.template.desired_nodes = 9;
    want.labels.insert("team".into(), "data".into());
    let phase = |seen: Observed<berth_model::NodePoolInfra>| {
        seen.known().map(|pool| (pool.phase, pool.desired_nodes))
    };
    assert_eq!(
        phase(rig.cloud.ensure_node_pool(&want).await.unwrap()),
        Some((InfraPhase::Updating, 3))
    );
    rig.fake.advance().await;
    for _ in 0..2 {
        assert_eq!(
            phase(rig.cloud.ensure_node_pool(&want).await.unwrap()),
            Some((InfraPhase::Active, 3))
        );
    }
}

#[tokio::test]
async fn what_eks_refuses_for_good_needs_an_operator_and_is_told_in_its_words() {
    let rig = FakeRig::new().await;
    let mut cluster = cluster_request("acme", 1);
    cluster.template.kubernetes_version = "1.2".into();
    let failure = rig.cloud.ensure_cluster(&cluster).await.unwrap_err();
    assert_eq!(
        (failure.class(), failure.trouble.code.as_str()),
        (TroubleClass::Operator, "InvalidParameterException")
    );
    assert!(
        failure
            .trouble
            .message
            .contains("unsupported Kubernetes version 1.2"),
        "{failure}"
    );

    let gone = pool_request("acme", 1, "no-such-cluster");
    let failure = rig.cloud.ensure_node_pool(&gone).await.unwrap_err();
    assert_eq!(
        (failure.class(), failure.trouble.code.as_str()),
        (TroubleClass::Operator, "ResourceNotFoundException")
    );
}

#[tokio::test]
async fn a_cluster_that_could_not_be_made_says_why() {
    let rig = FakeRig::new().await;
    let want = cluster_request("acme", 1);
    rig.fake
        .faults()
        .break_next_cluster("InsufficientFreeAddresses", "subnet-1 has no free addresses");
    rig.cloud.ensure_cluster(&want).await.unwrap();
    rig.fake.advance().await;
    let failure = rig.cloud.ensure_cluster(&want).await.unwrap_err();
    assert_eq!(
        (failure.class(), failure.trouble.code.as_str()),
        (TroubleClass::Operator, "InsufficientFreeAddresses")
    );
    assert!(failure.trouble.message.contains("no free addresses"));
}

#[tokio::test]
async fn an_unreachable_cloud_and_a_wrong_key_are_different_failures() {
    let rig = FakeRig::new().await;
    let mut wrong = rig.config.clone();
    wrong.credentials = Some(StaticCredentials {
        access_key_id: "AKIDWRONG".into(),
        secret_access_key: "wrong".into(),
        session_token: None,
    });
    let cloud = EksProvisioner::new(wrong).await.unwrap();
    let failure = cloud
        .ensure_cluster(&cluster_request("acme", 1))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class(), failure.trouble.code.as_str()),
        (TroubleClass::Operator, "UnrecognizedClientException")
    );

    rig.fake.shutdown().await;
    let failure = rig
        .cloud
        .ensure_cluster(&cluster_request("acme", 1))
        .await
        .unwrap_err();
    assert_eq!(failure.class(), TroubleClass::Retry, "{failure}");
}

#[tokio::test]
async fn a_region_without_subnets_is_refused_before_aws_is_asked() {
    let rig = FakeRig::new().await;
    let mut want = cluster_request("acme", 1);
    want.region = "us-west-2".into();
    let failure = rig.cloud.ensure_cluster(&want).await.unwrap_err();
    assert_eq!(
        (failure.class(), failure.trouble.code.as_str()),
        (TroubleClass::Operator, "UnknownRegion")
    );
}
