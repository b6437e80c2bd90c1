//! What stands in the cluster's API says who reaches whom: no more than was declared, and all of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use berth_render::network::reach::{Cluster, End, Labels, Pod, To};
use berth_tests::world::World;
use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Client};
use serde_json::Value;

use crate::CLUSTER;

const READER: &str = r"apiVersion: berth.dev/v1
kind: Tenant
metadata:
  name: reader
spec:
  tier: standard
  environments: [dev, production]
  network:
    within: environment
    ingress:
      - {ingressController: true, ports: [8080]}
      - {monitoring: true, ports: [9090]}
      - {cidr: 203.0.113.0/24, ports: [8443]}
    egress:
      - {service: {namespace: databases, labels: {app: postgres}}, ports: [5432]}
      - {cidr: 0.0.0.0/0, ports: [443]}
      - {cidr: '::/0', ports: [443]}
      - {tenant: keeper, ports: [8000-8010]}
";

const KEEPER: &str = r"apiVersion: berth.dev/v1
kind: Tenant
metadata:
  name: keeper
spec:
  tier: standard
  network:
    ingress:
      - {tenant: reader, ports: [8005]}
";

pub(crate) async fn what_tenants_declare_of_their_network_stands_in_the_cluster_and_nothing_else(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli, kube) = (world.api()?, world.cli(), world.kube(CLUSTER)?);
    cli.apply(READER).await?;
    cli.apply(KEEPER).await?;
    api.ready("reader").await?;
    api.ready("keeper").await?;

    let cluster = seen(&kube).await?;
    let production = pod("t-reader--production", "web", [10, 0, 0, 1]);
    let dev = pod("t-reader--dev", "web", [10, 0, 0, 2]);
    let keeper = pod("t-keeper", "web", [10, 0, 0, 3]);
    let postgres = pod("databases", "postgres", [10, 0, 0, 4]);
    let redis = pod("databases", "redis", [10, 0, 0, 5]);
    let gateway = pod("ingress-nginx", "nginx", [10, 0, 0, 6]);
    let outside = |address: [u8; 4]| End::Address(IpAddr::from(address));
    for (from, end, port, open) in [
        (End::Pod(&production), End::Pod(&keeper), 8005, true),
        // Only one of the two says so.
        (End::Pod(&production), End::Pod(&keeper), 8006, false),
        (End::Pod(&keeper), End::Pod(&production), 8005, false),
        (End::Pod(&production), End::Pod(&dev), 80, false),
        (End::Pod(&production), End::Pod(&postgres), 5432, true),
        (End::Pod(&production), End::Pod(&redis), 5432, false),
        (End::Pod(&gateway), End::Pod(&dev), 8080, true),
        (End::Pod(&gateway), End::Pod(&dev), 9090, false),
        (End::Pod(&gateway), End::Pod(&keeper), 8080, false),
        (outside([203, 0, 113, 7]), End::Pod(&dev), 8443, true),
        (outside([203, 0, 114, 7]), End::Pod(&dev), 8443, false),
        (End::Pod(&production), outside([8, 8, 8, 8]), 443, true),
        (End::Pod(&production), outside([10, 99, 0, 1]), 443, false),
        (End::Pod(&production), outside([169, 254, 169, 254]), 443, false),
        (End::Pod(&production), outside([169, 254, 169, 254]), 80, false),
    ] {
        let to = To {
            protocol: "TCP",
            port,
        };
        let reached = cluster.reaches(from, end, to);
        ensure!(
            reached == open,
            "{from:?} -> {end:?} on {port}: {reached}, not {open}"
        );
    }
    let own = |name: &&str| name.starts_with("t-reader") || *name == "t-keeper";
    let open: Vec<&str> = cluster.open_namespaces().into_iter().filter(own).collect();
    ensure!(open.is_empty(), "{open:?}");

    api.remove("reader").await?;
    api.remove("keeper").await
}

/// The namespaces and policies that the API shows, each of which it takes again without a word.
async fn seen(kube: &Client) -> anyhow::Result<Cluster> {
    let mut cluster = Cluster::default();
    for name in ["databases", "ingress-nginx"] {
        cluster.namespace(name, Labels::new());
    }
    let namespaces = Api::<Namespace>::all(kube.clone());
    for namespace in namespaces.list(&ListParams::default()).await? {
        let name = namespace.metadata.name.context("a name")?;
        cluster.namespace(&name, namespace.metadata.labels.unwrap_or_default());
    }
    let policies = Api::<NetworkPolicy>::all(kube.clone());
    let mut declared = 0;
    for mut policy in policies.list(&ListParams::default()).await? {
        policy.metadata.managed_fields = None;
        policy.metadata.resource_version = None;
        let manifest = serde_json::to_value(&policy)?;
        cluster.object(&manifest)?;
        let warnings = warnings(kube, &manifest).await?;
        ensure!(warnings.is_empty(), "{manifest}: {warnings:?}");
        let of = policy.metadata.namespace.unwrap_or_default();
        let ours = of.starts_with("t-reader") || of == "t-keeper";
        declared += usize::from(ours && policy.metadata.name.is_some_and(|name| name == "allow-declared"));
    }
    ensure!(declared == 3, "{declared} policies of what is declared");
    Ok(cluster)
}

/// What the API says of a policy besides that it takes it.
async fn warnings(kube: &Client, policy: &Value) -> anyhow::Result<Vec<String>> {
    let text = |pointer: &str| {
        policy
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}");
    let request = Request::patch(format!(
        "{path}?fieldManager=test&force=true&dryRun=All&fieldValidation=Strict"
    ))
    .header("content-type", "application/apply-patch+yaml")
    .body(Body::from(serde_json::to_vec(policy)?))?;
    let answer = kube.send(request).await?;
    ensure!(answer.status().is_success(), "{path}: {}", answer.status());
    let warnings = answer.headers().get_all("warning").iter();
    Ok(warnings
        .map(|warning| String::from_utf8_lossy(warning.as_bytes()).into_owned())
        .collect())
}

fn pod(namespace: &str, app: &str, address: [u8; 4]) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        name: app.to_owned(),
        labels: [("app".to_owned(), app.to_owned())].into(),
        addresses: vec![IpAddr::from(address)],
        ports: BTreeMap::new(),
    }
}
