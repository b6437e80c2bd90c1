//! What a second run of the fake EKS finds.
#![cfg(feature = "eks")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers of tests are tests"
)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sdk_eks::{Client, config::BehaviorVersion, types::VpcConfigRequest};
use berth_fake::{
    Access,
    eks::{Authenticator, Backend, BoxError, FakeEks, NoClusters, Options, Timings},
};

/// Counts what is asked of it.
#[derive(Debug, Default)]
struct Counting(Mutex<Vec<String>>);

#[async_trait]
impl Backend for Counting {
    async fn start_cluster(&self, name: &str, version: &str, who: Authenticator) -> Result<Access, BoxError> {
        self.0.lock().unwrap().push(format!("start {name} {version}"));
        NoClusters.start_cluster(name, version, who).await
    }

    async fn stop_cluster(&self, name: &str) -> Result<(), BoxError> {
        self.0.lock().unwrap().push(format!("stop {name}"));
        Ok(())
    }

    async fn client(&self, _: &str, _: &Access) -> Result<Option<kube::Client>, BoxError> {
        Ok(None)
    }
}

fn client(fake: &FakeEks) -> Client {
    let key = fake.credentials();
    let config = aws_sdk_eks::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_sdk_eks::config::Region::new("eu-central-1"))
        .retry_config(aws_sdk_eks::config::retry::RetryConfig::disabled())
        .endpoint_url(fake.endpoint_url())
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

async fn create(eks: &Client, name: &str) {
    let network = VpcConfigRequest::builder()
        .subnet_ids("subnet-1")
        .subnet_ids("subnet-2")
        .build();
    let role = "arn:aws:iam::111122223333:role/cluster";
    eks.create_cluster()
        .name(name)
        .role_arn(role)
        .version("1.33")
        .resources_vpc_config(network)
        .send()
        .await
        .unwrap();
}

async fn status(eks: &Client, name: &str) -> String {
    let cluster = eks
        .describe_cluster()
        .name(name)
        .send()
        .await
        .unwrap()
        .cluster
        .unwrap();
    cluster.status.unwrap().as_str().to_owned()
}

#[tokio::test]
async fn a_second_run_goes_on_where_the_first_one_ended() {
    let dir = tempfile::tempdir().unwrap();
    let options = |backend: Arc<Counting>| Options {
        data_dir: Some(dir.path().to_owned()),
        timings: Timings::Held,
        ..Options::new(backend)
    };
    let first = FakeEks::start(options(Arc::default())).await.unwrap();
    create(&client(&first), "ready").await;
    first.advance().await;
    create(&client(&first), "half-made").await;
    first.shutdown().await;

    let backend: Arc<Counting> = Arc::default();
    let second = FakeEks::start(options(backend.clone())).await.unwrap();
    let eks = client(&second);
    assert_eq!(status(&eks, "ready").await, "ACTIVE");
    assert!(second.access("ready").is_some());
    assert_eq!(status(&eks, "half-made").await, "CREATING");
    second.advance().await;
    assert_eq!(status(&eks, "half-made").await, "ACTIVE");
    eks.delete_cluster().name("ready").send().await.unwrap();
    second.advance().await;
    assert_eq!(second.clusters(), ["half-made"]);
    assert_eq!(
        *backend.0.lock().unwrap(),
        ["start ready 1.33", "start half-made 1.33", "stop ready"]
    );
    second.shutdown().await;
}

#[tokio::test]
async fn a_throttled_account_answers_429_as_often_as_it_was_told() {
    let fake = FakeEks::start(Options::new(Arc::new(NoClusters))).await.unwrap();
    let eks = client(&fake);
    fake.faults().throttle(2);
    for _ in 0..2 {
        let refused = eks.list_clusters().send().await.unwrap_err();
        assert_eq!(refused.raw_response().unwrap().status().as_u16(), 429);
    }
    assert!(eks.list_clusters().send().await.is_ok());
    fake.shutdown().await;
}
