//! What goes on while somebody dies: a tenant is made, changed twice and deleted, by a caller that asks again when it is not
//! answered and remembers every answer.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use berth_fake::cloud::LocalCloud;
use berth_proto::v1::{Tenant, TenantSpec};
use kube::Client;
use tonic::{Code, Status};

use super::traces;
use crate::api::{Api, condition, described, is_ready, of_tier};
use crate::waiting::{LONG, until};

/// Whose life is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A tenant in a namespace.
    Namespace,
    /// A tenant with a node pool of its own.
    NodePool,
    /// A tenant with a cluster of its own.
    Cluster,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Namespace, Self::NodePool, Self::Cluster];

    const fn tier(self) -> &'static str {
        match self {
            Self::Namespace => "free",
            Self::NodePool => "premium",
            Self::Cluster => "enterprise",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "namespace",
            Self::NodePool => "node-pool",
            Self::Cluster => "cluster",
        })
    }
}

impl FromStr for Scenario {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|one| one.to_string() == text);
        found.with_context(|| format!("{text:?} is none of {:?}", Self::ALL.map(|one| one.to_string())))
    }
}

/// Where it is played.
pub(super) struct Place<'a> {
    pub(super) api: &'a Api,
    pub(super) kube: &'a Client,
    pub(super) cloud: &'a LocalCloud,
}

/// Plays the first part of the life of tenant `id`, until it is to be deleted, and looks after each act whether everything is as it
/// must be.
pub(super) async fn grow(place: &Place<'_>, scenario: Scenario, id: &str) -> anyhow::Result<()> {
    let plain = of_tier(scenario.tier());
    let wider = TenantSpec {
        namespaces: vec!["extra".to_owned()],
        ..plain.clone()
    };
    let labelled = TenantSpec {
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        ..wider.clone()
    };
    let made = create(place.api, id, &plain).await?;
    stands(place, scenario, &made, &plain).await?;
    for spec in [&wider, &labelled] {
        let changed = update(place.api, id, spec).await?;
        ensure!(changed.uid == made.uid, "{id} has become another tenant");
        ensure!(
            changed.generation > made.generation,
            "an acknowledged change raised no generation: {}",
            described(&changed)
        );
        stands(place, scenario, &changed, spec).await?;
    }
    Ok(())
}

/// Plays the end of its life, and looks whether anything is left.
pub(super) async fn go(place: &Place<'_>, scenario: Scenario, id: &str) -> anyhow::Result<()> {
    delete(place.api, id).await?;
    // Deleting was acknowledged: nothing takes that back.
    place.api.gone(id).await?;
    match scenario {
        Scenario::Cluster => traces::no_cloud(place.cloud, id).await,
        Scenario::Namespace | Scenario::NodePool => {
            traces::none(place.kube, id).await?;
            traces::no_cloud(place.cloud, id).await
        }
    }
}

/// Waits until the acknowledged tenant is as it was acknowledged, everywhere, once.
async fn stands(
    place: &Place<'_>,
    scenario: Scenario,
    known: &Tenant,
    spec: &TenantSpec,
) -> anyhow::Result<()> {
    let id = known.name.trim_start_matches("tenants/");
    let found = answered(|| place.api.tenant(id)).await?;
    let found = found.with_context(|| format!("tenant {id} was acknowledged and is lost"))?;
    ensure!(
        found.uid == known.uid && found.generation >= known.generation,
        "tenant {id} was acknowledged with uid {} at generation {} and is {} at {}",
        known.uid,
        known.generation,
        found.uid,
        found.generation
    );
    let stored = found.spec.clone().unwrap_or_default();
    ensure!(
        stored.namespaces == spec.namespaces && stored.labels == spec.labels && stored.tier == spec.tier,
        "tenant {id} was acknowledged as {spec:?} and is {stored:?}"
    );
    let ready = place.api.until(id, "Ready", is_ready).await?;
    ensure!(
        condition(&ready, "Stalled").status != "True",
        "{id} is stalled: {}",
        described(&ready)
    );
    let wanted: BTreeSet<String> = std::iter::once(format!("t-{id}"))
        .chain(spec.namespaces.iter().map(|name| format!("t-{id}--{name}")))
        .collect();
    match scenario {
        Scenario::Namespace => {
            traces::namespaces(place.kube, id, &known.uid, &wanted).await?;
            traces::groups(place.cloud, id, 0)
        }
        Scenario::NodePool => {
            traces::namespaces(place.kube, id, &known.uid, &wanted).await?;
            traces::groups(place.cloud, id, 1)
        }
        Scenario::Cluster => traces::one_cluster(place.cloud, id, &known.uid, &wanted).await,
    }
}

/// Whether the hub has answered; a connection that broke has not, and what was asked may or may not have been done.
fn unanswered(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal
    )
}

/// Asks until there is an answer, whatever it is.
async fn answered<T, F>(mut call: impl FnMut() -> F) -> anyhow::Result<Result<T, Status>>
where
    F: Future<Output = Result<T, Status>>,
{
    until(LONG, "the hub answers", || {
        let asked = call();
        async move {
            match asked.await {
                Err(status) if unanswered(&status) => Err(status.into()),
                answer => Ok(Some(answer)),
            }
        }
    })
    .await
}

async fn create(api: &Api, id: &str, spec: &TenantSpec) -> anyhow::Result<Tenant> {
    match answered(|| api.create(id, spec.clone())).await? {
        // The answer to an earlier try was lost: it is acknowledged by being read.
        Err(status) if status.code() == Code::AlreadyExists => Ok(answered(|| api.tenant(id)).await??),
        answer => Ok(answer.with_context(|| format!("create {id}"))?),
    }
}

async fn update(api: &Api, id: &str, spec: &TenantSpec) -> anyhow::Result<Tenant> {
    let answer = answered(|| api.update(id, spec.clone())).await?;
    answer.with_context(|| format!("change {id}"))
}

async fn delete(api: &Api, id: &str) -> anyhow::Result<()> {
    match answered(|| api.delete(id)).await? {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        answer => answer.with_context(|| format!("delete {id}")),
    }
}
