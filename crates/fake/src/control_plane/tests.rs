//! What a control plane promises, on real processes.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Api, Client, Resource};
use serde_json::json;

use super::*;

const WITHIN: Duration = Duration::from_secs(60);

fn binaries() -> Binaries {
    Binaries::find().expect("a control plane on this machine")
}

fn api_only() -> Options {
    Options {
        controller_manager: false,
        scheduler: false,
        kwok: false,
        ..Options::default()
    }
}

async fn start(options: Options) -> ControlPlane {
    ControlPlane::start(&binaries(), options)
        .await
        .expect("the control plane starts")
}

fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("a well-formed object")
}

async fn create<T>(api: &Api<T>, value: serde_json::Value)
where
    T: Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    api.create(&PostParams::default(), &object(value))
        .await
        .expect("created");
}

async fn until<T>(api: &Api<T>, name: &str, condition: impl Condition<T>)
where
    T: Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + Resource + 'static,
{
    tokio::time::timeout(WITHIN, await_condition(api.clone(), name, condition))
        .await
        .unwrap_or_else(|_| panic!("`{name}` did not get there in time"))
        .expect("the watch works");
}

async fn namespaces(client: &Client) -> Vec<String> {
    let list = Api::<Namespace>::all(client.clone())
        .list_metadata(&ListParams::default())
        .await;
    list.expect("a list")
        .items
        .into_iter()
        .filter_map(|namespace| namespace.metadata.name)
        .collect()
}

fn runs(id: u32) -> bool {
    let id = rustix::process::Pid::from_raw(id.try_into().expect("an id")).expect("an id");
    rustix::process::test_kill_process(id).is_ok()
}

#[tokio::test]
async fn a_second_start_on_the_same_data_continues_with_the_same_address_credentials_and_objects() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let options = Options {
        data_dir: Some(data.path().join("cluster")),
        ..api_only()
    };
    let first = start(options.clone()).await;
    let configs = Api::<ConfigMap>::namespaced(first.client(), "default");
    create(
        &configs,
        json!({"metadata": {"name": "kept"}, "data": {"a": "b"}}),
    )
    .await;
    let (access, kubeconfig) = (
        first.access(),
        std::fs::read_to_string(first.kubeconfig_path()).expect("a file"),
    );
    assert!(kubeconfig.contains(&access.url));
    first.kill().await;

    let second = start(options).await;
    assert_eq!(second.access(), access);
    let configs = Api::<ConfigMap>::namespaced(second.client(), "default");
    assert!(configs.get_opt("kept").await.expect("an answer").is_some());
    assert!(
        second
            .metrics()
            .await
            .expect("metrics")
            .contains("apiserver_request_total")
    );
    second.stop().await;
}

#[tokio::test]
async fn two_control_planes_never_run_on_the_same_data() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let options = Options {
        data_dir: Some(data.path().to_owned()),
        ..api_only()
    };
    let first = start(options.clone()).await;
    let error = ControlPlane::start(&binaries(), options)
        .await
        .expect_err("it is in use");
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(namespaces(&first.client()).await.contains(&"default".to_owned()));
}

#[tokio::test]
async fn a_paused_api_keeps_its_connections_and_answers_again_when_it_is_resumed() {
    let mut plane = start(api_only()).await;
    let client = plane.client();
    plane.pause().expect("paused");
    let asked = tokio::spawn(async move { namespaces(&client).await });
    let other = super::client(&plane.access()).await.expect("a client");
    let unanswered = tokio::time::timeout(Duration::from_millis(300), namespaces(&other)).await;
    assert!(unanswered.is_err());
    plane.resume().expect("resumed");
    let answer = tokio::time::timeout(WITHIN, asked)
        .await
        .expect("an answer")
        .expect("no panic");
    assert!(answer.contains(&"default".to_owned()));
}

#[tokio::test]
async fn dropping_a_control_plane_ends_its_processes_and_removes_its_files() {
    let mut plane = start(Options::default()).await;
    plane.ensure_running().expect("everything runs");
    let ids: Vec<u32> = plane
        .followers
        .iter()
        .chain([&plane.apiserver])
        .map(Process::id)
        .collect();
    assert_eq!(ids.len(), 4);
    let memory = plane.resident_memory();
    assert!(
        memory
            .iter()
            .any(|(binary, bytes)| *binary == Binary::Etcd && *bytes > 0),
        "{memory:?}"
    );
    let home = plane.kubeconfig_path().parent().expect("a directory").to_owned();
    assert!(ids.iter().all(|id| runs(*id)));
    drop(plane);
    assert!(!ids.iter().any(|id| runs(*id)));
    assert!(!home.exists());
}

#[tokio::test]
async fn nodes_turn_ready_pods_run_jobs_complete_and_a_broken_image_stays_broken() {
    let plane = start(Options::default()).await;
    let client = plane.client();
    let nodes = Api::<Node>::all(client.clone());
    create(&nodes, json!({"metadata": {"name": "node-1"}})).await;
    until(&nodes, "node-1", |node: Option<&Node>| {
        let status = node.and_then(|node| node.status.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    })
    .await;

    let deployments = Api::<Deployment>::namespaced(client.clone(), "default");
    for (name, image) in [
        ("good", "registry.example/app:1"),
        ("bad", "registry.example/app:broken"),
    ] {
        create(
            &deployments,
            json!({
                "metadata": {"name": name},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "main", "image": image}]},
                }},
            }),
        )
        .await;
    }
    let jobs = Api::<Job>::namespaced(client.clone(), "default");
    create(
        &jobs,
        json!({"metadata": {"name": "once"}, "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example/job:1"}],
        }}}}),
    )
    .await;
    let pods = Api::<Pod>::namespaced(client, "default");
    create(
        &pods,
        json!({"metadata": {"name": "elsewhere"}, "spec": {"containers": [
            {"name": "fine", "image": "registry.example/app:1"}, {"name": "main", "image": "registry.invalid/app:1"},
        ]}}),
    )
    .await;

    until(&deployments, "good", |deployment: Option<&Deployment>| {
        deployment
            .and_then(|it| it.status.as_ref())
            .and_then(|it| it.available_replicas)
            == Some(2)
    })
    .await;
    until(&jobs, "once", conditions::is_job_completed()).await;
    until(&pods, "elsewhere", |pod: Option<&Pod>| {
        waiting_reason(pod) == Some("ImagePullBackOff")
    })
    .await;

    let of_bad = pods
        .list(&ListParams::default().labels("app=bad"))
        .await
        .expect("a list");
    assert_eq!(of_bad.items.len(), 2);
    for pod in &of_bad.items {
        let name = pod.metadata.name.as_deref().expect("a name");
        until(&pods, name, |pod: Option<&Pod>| {
            waiting_reason(pod) == Some("ImagePullBackOff")
        })
        .await;
    }
    let bad = deployments.get("bad").await.expect("a deployment");
    assert_eq!(bad.status.and_then(|status| status.available_replicas), None);

    let uid = pods
        .get("elsewhere")
        .await
        .expect("a pod")
        .metadata
        .uid
        .expect("an id");
    pods.delete("elsewhere", &DeleteParams::default())
        .await
        .expect("deleted");
    until(&pods, "elsewhere", conditions::is_deleted(&uid)).await;
}

fn waiting_reason(pod: Option<&Pod>) -> Option<&str> {
    let containers = pod?.status.as_ref()?.container_statuses.as_ref()?;
    containers
        .iter()
        .find_map(|it| it.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
}

#[tokio::test]
async fn control_planes_that_share_an_etcd_do_not_see_each_others_objects() {
    let etcd = SharedEtcd::start(&binaries(), None, false)
        .await
        .expect("etcd starts");
    let options = Options {
        etcd: Some(etcd),
        ..api_only()
    };
    let (one, other) = tokio::join!(start(options.clone()), start(options));
    create(
        &Api::<Namespace>::all(one.client()),
        json!({"metadata": {"name": "only-here"}}),
    )
    .await;
    assert!(namespaces(&one.client()).await.contains(&"only-here".to_owned()));
    assert!(
        !namespaces(&other.client())
            .await
            .contains(&"only-here".to_owned())
    );
    one.kill().await;
    assert!(namespaces(&other.client()).await.contains(&"default".to_owned()));
}

#[tokio::test]
async fn a_start_that_fails_says_which_program_stopped_and_shows_its_log() {
    let options = Options {
        apiserver_args: vec!["--no-such-flag".to_owned()],
        ..api_only()
    };
    let error = ControlPlane::start(&binaries(), options)
        .await
        .expect_err("no such flag");
    assert!(
        matches!(
            error,
            Error::Stopped {
                binary: Binary::Apiserver,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("no-such-flag"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_asked_for_but_missing_is_named() {
    let some = tempfile::tempdir().expect("a temporary directory");
    for binary in [Binary::Etcd, Binary::Apiserver] {
        let found = binaries().path(binary).expect("found").to_owned();
        std::os::unix::fs::symlink(found, some.path().join(binary.file_name())).expect("a link");
    }
    let some = Binaries::in_directories(&[some.path().to_owned()]).expect("both are there");
    let error = ControlPlane::start(&some, Options::default())
        .await
        .expect_err("kwok is missing");
    assert!(
        matches!(
            error,
            Error::Missing {
                binary: Binary::ControllerManager
            }
        ),
        "{error}"
    );
}
