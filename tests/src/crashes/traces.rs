//! What a tenant may leave, and must not: in its cluster, in the agent's memory, in the cloud, in the hub's store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, ensure};
use berth_fake::cloud::LocalCloud;
use berth_model::label;
use berth_store::{Page, SledOptions, SledStore, Store as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::ListParams;
use kube::{Api, Client};

use crate::kubernetes;
use crate::waiting::{LONG, until};

/// Marks what the agent remembers.
const LEDGER: &str = "berth.dev/ledger";

/// Waits until the tenant has exactly these namespaces, each with its uid.
pub(super) async fn namespaces(
    kube: &Client,
    id: &str,
    uid: &str,
    wanted: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let wanted: BTreeMap<String, String> = wanted.iter().map(|name| (name.clone(), uid.to_owned())).collect();
    until(LONG, "the tenant has the namespaces it asked for", || async {
        let found = namespaces_of(kube, id).await?;
        ensure!(found == wanted, "{id} has {found:?} instead of {wanted:?}");
        Ok(Some(()))
    })
    .await
}

/// The tenant's namespaces with the uid each carries.
async fn namespaces_of(kube: &Client, id: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let all = Api::<Namespace>::all(kube.clone())
        .list_metadata(&ListParams::default())
        .await?;
    let own = format!("t-{id}");
    let found = all.items.into_iter().filter_map(|namespace| {
        let name = namespace.metadata.name?;
        let uid = namespace
            .metadata
            .labels
            .and_then(|labels| labels.get(label::TENANT_UID).cloned());
        let of_tenant = name == own || name.starts_with(&format!("{own}--"));
        of_tenant.then(|| (name, uid.unwrap_or_default()))
    });
    Ok(found.collect())
}

/// Waits until neither the cluster nor the agent's memory has anything of the tenant.
pub(super) async fn none(kube: &Client, id: &str) -> anyhow::Result<()> {
    namespaces(kube, id, "", &BTreeSet::new()).await?;
    let memory = Api::<ConfigMap>::namespaced(kube.clone(), label::AGENT_NAMESPACE);
    until(LONG, "the agent has forgotten the tenant", || async {
        let known = kubernetes::names(&memory, LEDGER).await?;
        let known: Vec<String> = known.into_iter().filter(|name| name.contains(id)).collect();
        ensure!(known.is_empty(), "the agent remembers {known:?}");
        Ok(Some(()))
    })
    .await
}

/// Checks that the tenant has so many node groups in the shared clusters.
pub(super) fn groups(cloud: &LocalCloud, id: &str, wanted: usize) -> anyhow::Result<()> {
    let all = cloud.eks().nodegroups();
    let own = all.iter().filter(|(_, group)| group.contains(id)).count();
    ensure!(
        own == wanted,
        "{id} has {own} node groups instead of {wanted}: {all:?}"
    );
    Ok(())
}

/// Waits until the cloud has nothing of the tenant.
pub(super) async fn no_cloud(cloud: &LocalCloud, id: &str) -> anyhow::Result<()> {
    until(LONG, "the cloud has nothing of the tenant", || async {
        groups(cloud, id, 0)?;
        let clusters = cloud.eks().clusters();
        ensure!(
            !clusters.iter().any(|name| name.contains(id)),
            "{id} still has a cluster: {clusters:?}"
        );
        Ok(Some(()))
    })
    .await
}

/// Checks that the tenant has one cluster of its own, and these namespaces in it.
pub(super) async fn one_cluster(
    cloud: &LocalCloud,
    id: &str,
    uid: &str,
    wanted: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let clusters = cloud.clusters().await;
    let own: Vec<_> = clusters.iter().filter(|(name, _)| name.contains(id)).collect();
    ensure!(own.len() == 1, "{id} has the clusters {:?}", clusters.keys());
    let (_, access) = own.first().context("no cluster")?;
    let kube = kubernetes::client(access).await?;
    namespaces(&kube, id, uid, wanted).await
}

/// Reads the store of a hub that does not run: everything in it, by key.
///
/// # Errors
/// It cannot be opened.
pub(super) async fn store(dir: &Path) -> anyhow::Result<Vec<String>> {
    let options = SledOptions::new(dir);
    let store = tokio::task::spawn_blocking(move || SledStore::open(&options)).await??;
    let mut keys = Vec::new();
    let mut page = Page::first();
    loop {
        let listing = store.list("", page).await?;
        keys.extend(listing.entries.iter().map(|entry| entry.key.to_string()));
        match listing.entries.last() {
            Some(last) if listing.more => page = Page::after(last.key.clone()),
            _ => break,
        }
    }
    store.close().await;
    Ok(keys)
}

/// Checks that a store holds nothing of any tenant but these, and of each of them one set of objects.
pub(super) fn only_of(keys: &[String], tenants: &[String]) -> anyhow::Result<()> {
    let shelves = ["tenants/", "placements/", "assignments/", "infra/", "status/"];
    let foreign: Vec<&String> = keys
        .iter()
        .filter(|key| {
            shelves
                .iter()
                .filter_map(|shelf| key.strip_prefix(shelf))
                .any(|id| !tenants.iter().any(|tenant| tenant == id))
        })
        .collect();
    ensure!(foreign.is_empty(), "the hub's store still has {foreign:?}");
    let digests: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| key.strip_prefix("objects/"))
        .filter_map(|key| key.split('/').next())
        .collect();
    ensure!(
        digests.len() == tenants.len(),
        "the hub's store has the objects {digests:?} for the tenants {tenants:?}"
    );
    Ok(())
}
