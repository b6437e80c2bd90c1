//! Hubs on a real etcd as an operator has them: moved there and back, restored, put back, cut apart, with records that nobody can read, and while the
//! authority is rolled over. Whatever happens, nothing in the cluster is touched that was not asked for.

mod authority;
mod moving;
mod partition;
mod restoring;
mod set_back;
mod starting;
mod unreadable;

use std::collections::BTreeMap;

use anyhow::Context as _;
use berth_model::label;
use berth_tests::{
    hubs::Hubs,
    waiting::{LONG, until},
};
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

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

/// How a hub that leads stands.
async fn stands(hubs: &Hubs, hub: usize, standing: &str) -> anyhow::Result<berth_proto::v1::Hub> {
    until(LONG, "the hub stands so", || async {
        let found = hubs.hubs[hub].api()?.hub().await?;
        Ok((found.standing == standing).then_some(found))
    })
    .await
    .with_context(|| hubs.logs())
}
