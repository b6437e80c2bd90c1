//! Quantities as a real API server writes them back and as its quotas add them up.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod support;

use berth_model::Quantity;
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use support::{ask, control_plane, create, until};

/// What a quota is written with.
const WRITTEN: [&str; 50] = [
    "0",
    "00",
    "0.1",
    "000.5",
    ".5",
    "1",
    "1.5",
    "100m",
    "1000m",
    "1500m",
    "1001u",
    "1n",
    "1.5n",
    "0.1n",
    "12e-3",
    "1e-12",
    "1e3",
    "15e2",
    "4e4",
    "12e6",
    "1.2345e2",
    "100e-1",
    "1000",
    "1500",
    "1k",
    "1000k",
    "1M",
    "1G",
    "1T",
    "1P",
    "1000P",
    "1E",
    "1.5E",
    "100000000000000000000",
    "1Ki",
    "0.5Ki",
    "1.1Ki",
    "1024Ki",
    "1025Ki",
    "0.0001Ki",
    "0.5Gi",
    "1.5Gi",
    "2048Gi",
    "1Ti",
    "1.7Ei",
    "7Ei",
    "8Ei",
    "9Ei",
    "129e6",
    "128974848000m",
];

/// Texts that an API server keeps as they are although it would write them otherwise.
const KEPT: [&str; 6] = ["+2", "5.", "1.500", "1E3", "1e+3", "1e0"];

/// Pods' requests, one after another, and what all of them may ask for together.
const CPU: (&str, [&str; 24]) = (
    "4",
    [
        "0.1", "100m", "1e3", "12e-3", "1500m", "1n", "0.1n", "1e-6", "999u", "1k", "1", "4", "1.0001",
        "0.25", "3", "1e0", "36e-3", "1m", "0", "8Ei", "1n", "0.0009", "500u", "1n",
    ],
);
const MEMORY: (&str, [&str; 24]) = (
    "2Ti",
    [
        "1.5Gi",
        "0.5Gi",
        "1G",
        "1E",
        "1Ti",
        "128974848",
        "129e6",
        "129M",
        "123Mi",
        "0.1",
        "1e3",
        "1Ti",
        "8Ei",
        "512Gi",
        "1025Ki",
        "100m",
        "1500m",
        "1k",
        "508Gi",
        "1Pi",
        "1.1Ki",
        "12e6",
        "1M",
        "2Gi",
    ],
);

fn read(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

async fn quota(client: &Client, namespace: &str, name: &str, amount: &str, limit: &str) -> Value {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hard": {amount: limit}},
    });
    let (status, answer) = create(client, &quota).await;
    assert_eq!(status, 201, "{limit}: {answer:#}");
    answer
}

async fn namespace(client: &Client, name: &str) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    assert_eq!(create(client, &namespace).await.0, 201);
    let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
    until("the namespace has its account", async || {
        ask(client, Method::GET, &account, None).await.0 == 200
    })
    .await;
}

/// Every amount is written back as we write it canonically, or kept as it was and means the same.
async fn written_back(client: &Client) {
    namespace(client, "written").await;
    for (at, text) in WRITTEN.iter().chain(&KEPT).enumerate() {
        let answer = quota(client, "written", &format!("q-{at}"), "requests.cpu", text).await;
        let path = format!("/api/v1/namespaces/written/resourcequotas/q-{at}");
        let stored = ask(client, Method::GET, &path, None).await.1;
        for shown in [answer, stored] {
            let shown = shown["spec"]["hard"]["requests.cpu"].as_str().unwrap().to_owned();
            let ours = read(text).in_resource_list();
            assert_eq!(read(&shown), ours, "{text} is written back as {shown}");
            let expected = if KEPT.contains(text) {
                (*text).to_owned()
            } else {
                ours.canonical()
            };
            assert_eq!(shown, expected, "{text}");
        }
    }
}

/// A pod comes in exactly when our sum says that it fits, and what the quota has counted is our sum.
async fn added_up(
    client: &Client,
    namespace_name: &str,
    resource: &str,
    (limit, requests): (&str, [&str; 24]),
) {
    let amount = format!("requests.{resource}");
    namespace(client, namespace_name).await;
    quota(client, namespace_name, "all", &amount, limit).await;
    let path = format!("/api/v1/namespaces/{namespace_name}/resourcequotas/all");
    until("the quota is in force", async || {
        let quota = ask(client, Method::GET, &path, None).await.1;
        quota["status"]["hard"][&*amount] == quota["spec"]["hard"][&*amount]
            && quota["status"]["used"][&*amount] == "0"
    })
    .await;
    let mut used = Quantity::zero();
    let (mut taken, mut refused) = (0, 0);
    for (at, request) in requests.iter().enumerate() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("pod-{at}"), "namespace": namespace_name},
            "spec": {"containers": [{
                "name": "main", "image": "none",
                "resources": {"requests": {resource: request}},
            }]},
        });
        let sum = used.checked_add(&read(request).in_resource_list()).unwrap();
        let fits = sum <= read(limit);
        let (status, answer) = create(client, &pod).await;
        let said = answer["message"].as_str().unwrap_or_default();
        assert_eq!(status == 201, fits, "{used} + {request} of {limit}: {said}");
        if fits {
            used = sum;
            taken += 1;
        } else {
            assert!(status == 403 && said.contains("exceeded quota"), "{said}");
            refused += 1;
        }
        let counted = ask(client, Method::GET, &path, None).await.1;
        let counted = counted["status"]["used"][&*amount].as_str().unwrap().to_owned();
        assert_eq!(counted, used.canonical(), "after {request}");
    }
    assert!(taken > 10 && refused > 4, "{taken} taken, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_arithmetic_is_the_api_servers() {
    let plane = control_plane().await;
    let client = plane.client();
    written_back(&client).await;
    added_up(&client, "cpu", "cpu", CPU).await;
    added_up(&client, "memory", "memory", MEMORY).await;
}
