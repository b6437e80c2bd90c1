//! From the hub's answer to a new tenant's objects in the cluster, seen by a watch on the cluster's own API.

use std::collections::BTreeMap;

use anyhow::Context as _;
use berth_tests::waiting::{LONG, Watch};
use berth_tests::world::World;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::fleet::{CLUSTERS, on};
use crate::report::Table;
use crate::statistics::Samples;

const SAMPLES: usize = 60;

pub(crate) async fn measure(world: &World) -> anyhow::Result<Table> {
    let api = world.api()?;
    let kube = world.kube(CLUSTERS[0])?;
    let (mut first, mut complete) = (Samples::default(), Samples::default());
    let mut namespaces =
        Sightings::start(Api::<Namespace>::all(kube.clone()), |it| it.metadata.name.clone()).await?;
    let mut bindings = Sightings::start(Api::<RoleBinding>::all(kube.clone()), |it| {
        it.metadata.namespace.clone()
    })
    .await?;
    for number in 0..SAMPLES {
        let id = format!("near-{number}");
        api.create(&id, on(CLUSTERS[0])).await?;
        let accepted = Watch::start();
        namespaces.of(&format!("t-{id}")).await?;
        first.add(accepted.elapsed());
        bindings.of(&format!("t-{id}")).await?;
        complete.add(accepted.elapsed());
        // One at a time, on an idle machine.
        api.ready(&id).await?;
    }
    let near: Vec<String> = (0..SAMPLES).map(|number| format!("near-{number}")).collect();
    futures::future::try_join_all(near.iter().map(|id| api.remove(id))).await?;
    let mut table = Table::default();
    table.line(
        "one new tenant, until it is seen in its cluster",
        first.line(),
        "15 / - / 50",
        "OCM 27/46/52, Karmada 158/248/351, KubeFleet 291/435/666",
    );
    table.line(
        "until its first binding is seen (quota in force)",
        complete.line(),
        "",
        "",
    );
    table.line(
        "three tenants to three clusters, until all are seen",
        to_three(world).await?.line(),
        "- / - / 80",
        "OCM 70/110/137, Karmada 275/476/516, KubeFleet 528/741/761",
    );
    Ok(table)
}

async fn to_three(world: &World) -> anyhow::Result<Samples> {
    let api = world.api()?;
    let mut sightings = BTreeMap::new();
    for cluster in CLUSTERS {
        let namespaces = Api::<Namespace>::all(world.kube(cluster)?);
        sightings.insert(
            cluster,
            Sightings::start(namespaces, |it| it.metadata.name.clone()).await?,
        );
    }
    let (mut samples, mut far) = (Samples::default(), Vec::new());
    for number in 0..SAMPLES / 2 {
        let ids = CLUSTERS.map(|cluster| (cluster, format!("far-{cluster}-{number}")));
        futures::future::try_join_all(ids.iter().map(|(cluster, id)| api.create(id, on(cluster)))).await?;
        let accepted = Watch::start();
        for (cluster, id) in &ids {
            sightings
                .get_mut(cluster)
                .context("a cluster")?
                .of(&format!("t-{id}"))
                .await?;
        }
        samples.add(accepted.elapsed());
        for (_, id) in &ids {
            api.ready(id).await?;
        }
        far.extend(ids.into_iter().map(|(_, id)| id));
    }
    futures::future::try_join_all(far.iter().map(|id| api.remove(id))).await?;
    Ok(samples)
}

/// What a watch has seen come into being, by name.
pub(crate) struct Sightings {
    seen: mpsc::Receiver<String>,
    early: std::collections::BTreeSet<String>,
}

impl Sightings {
    /// Starts watching what comes from now on.
    pub(crate) async fn start<T>(api: Api<T>, name: fn(&T) -> Option<String>) -> anyhow::Result<Self>
    where
        T: Clone + std::fmt::Debug + DeserializeOwned + Resource + Send + 'static,
    {
        let now = api
            .list_metadata(&kube::api::ListParams::default().limit(1))
            .await?;
        let version = now
            .metadata
            .resource_version
            .context("a list without a version")?;
        let (sender, seen) = mpsc::channel(1024);
        tokio::spawn(async move {
            let stream = api.watch(&WatchParams::default(), &version).await?;
            let mut stream = stream.boxed();
            while let Some(event) = stream.try_next().await? {
                if let WatchEvent::Added(object) = event
                    && let Some(name) = name(&object)
                    && sender.send(name).await.is_err()
                {
                    break;
                }
            }
            Ok::<_, kube::Error>(())
        });
        Ok(Self {
            seen,
            early: std::collections::BTreeSet::new(),
        })
    }

    /// Waits until `wanted` was seen.
    pub(crate) async fn of(&mut self, wanted: &str) -> anyhow::Result<()> {
        if self.early.remove(wanted) {
            return Ok(());
        }
        let seen = async {
            while let Some(name) = self.seen.recv().await {
                if name == wanted {
                    return Ok(());
                }
                self.early.insert(name);
            }
            anyhow::bail!("the watch has ended")
        };
        tokio::time::timeout(LONG, seen)
            .await
            .with_context(|| format!("{wanted} is never seen"))?
    }
}

/// A client with connections of its own, for watching.
pub(crate) async fn watcher(world: &World, cluster: &str) -> anyhow::Result<Client> {
    let member = world.members.get(cluster).context("a cluster")?;
    berth_tests::kubernetes::client(&member.access).await
}
