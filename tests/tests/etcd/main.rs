//! Hubs on a real etcd as an operator has them: moved there and back, restored, cut apart, with records that nobody can read, and while the
//! authority is rolled over. Whatever happens, nothing in the cluster is touched that was not asked for.

mod authority;
mod moving;
mod partition;
mod restoring;
mod unreadable;

use std::collections::BTreeMap;

use anyhow::Context as _;
use berth_model::label;
use berth_tests::{
    api::{is_ready, of_tier},
    cli::{Called, Cli},
    hubs::Hubs,
    waiting::{LONG, until},
};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use serde_json::Value;
use tonic::Code;

/// Everything of tenants that a hub could change in a cluster: namespaces with their UIDs, what is in them by its spec.
async fn untouched(kube: &Client) -> anyhow::Result<BTreeMap<String, String>> {
    let ours = ListParams::default().labels(label::TENANT);
    let mut found = BTreeMap::new();
    for namespace in Api::<Namespace>::all(kube.clone()).list(&ours).await?.items {
        let name = namespace.name_any();
        let (uid, version) = (namespace.uid(), namespace.resource_version());
        found.insert(name.clone(), format!("{uid:?} {version:?}"));
        let quotas = Api::<ResourceQuota>::namespaced(kube.clone(), &name);
        for quota in quotas.list(&ListParams::default()).await?.items {
            // The status is the cluster's own business.
            let spec = serde_json::to_string(&quota.spec)?;
            found.insert(
                format!("{name}/{}", quota.name_any()),
                format!("{:?} {spec}", quota.uid()),
            );
        }
    }
    Ok(found)
}

/// What of it is of one tenant.
fn of(found: &BTreeMap<String, String>, tenant: &str) -> BTreeMap<String, String> {
    let namespace = format!("t-{tenant}");
    let inside = format!("{namespace}/");
    found
        .iter()
        .filter(|(name, _)| **name == namespace || name.starts_with(&inside))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

async fn fine(cli: &Cli, arguments: &[&str]) -> anyhow::Result<Called> {
    let called = cli.call(arguments).await?;
    anyhow::ensure!(called.code == 0, "{arguments:?}: {called:?}");
    Ok(called)
}

/// What differs by tenant, and how many are equal; an error while an agent is not connected.
async fn difference(cli: &Cli) -> anyhow::Result<(BTreeMap<String, String>, i64)> {
    let called = fine(cli, &["fleet", "difference", "-o", "json"]).await?;
    let found: Value = serde_json::from_str(&called.out)?;
    let tenants = found["tenants"].as_array().context("a list")?;
    let kinds = tenants
        .iter()
        .map(|tenant| {
            let text = |field: &str| tenant[field].as_str().unwrap_or_default().to_owned();
            (text("tenant"), text("kind"))
        })
        .collect();
    let silent = found["silentClusters"].as_array().map_or(0, Vec::len);
    anyhow::ensure!(silent == 0, "the agent is not connected yet");
    Ok((kinds, found["equal"].as_i64().unwrap_or_default()))
}

/// Makes a tenant by whichever hub leads; its uid.
async fn create(hubs: &Hubs, id: &str) -> anyhow::Result<String> {
    let made = hubs
        .ask(|api| {
            let id = id.to_owned();
            async move { api.create(&id, of_tier("free")).await }
        })
        .await?;
    match made {
        Ok(tenant) => Ok(tenant.uid),
        // The answer to an earlier try was lost with the leader.
        Err(status) if status.code() == Code::AlreadyExists => uid(hubs, id).await,
        Err(status) => Err(status.into()),
    }
}

async fn uid(hubs: &Hubs, id: &str) -> anyhow::Result<String> {
    let found = hubs
        .ask(|api| {
            let id = id.to_owned();
            async move { api.tenant(&id).await }
        })
        .await??;
    Ok(found.uid)
}

async fn ready(hubs: &Hubs, id: &str) -> anyhow::Result<()> {
    until(LONG, "the tenant is ready", || async {
        let tenant = hubs
            .ask(|api| {
                let id = id.to_owned();
                async move { api.tenant(&id).await }
            })
            .await??;
        Ok(is_ready(&tenant).then_some(()))
    })
    .await
    .with_context(|| format!("{id}\n{}", hubs.logs()))
}

/// How a hub that leads stands.
async fn stands(hubs: &Hubs, hub: usize, standing: &str) -> anyhow::Result<berth_proto::v1::Hub> {
    until(LONG, "the hub stands so", || async {
        let found = hubs.hubs[hub].api()?.hub().await?;
        Ok((found.standing == standing).then_some(found))
    })
    .await
    .with_context(|| hubs.logs())
}
