//! What is there at the end, and whether it is what should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use berth_control::keys;
use berth_model::{ConditionKind, Tenant, Truth};
use berth_store::{Page, Store as _};
use berth_wire::record;

use crate::world::World;

/// What is there at the end.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// What did not settle; none when everything did.
    pub settled: Option<String>,
    /// Uids of the tenants there are.
    pub uids: BTreeSet<String>,
    /// What is in the cloud, with the uid it is for.
    pub cloud: Vec<(String, String)>,
    /// Namespaces by cluster, with their tenant's uid.
    pub tenants: BTreeMap<String, BTreeMap<String, String>>,
    /// The same after the rest, when there was one.
    pub last: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

impl End {
    /// Reads it.
    ///
    /// # Errors
    /// The store or a cluster does not answer.
    pub async fn read(world: &World) -> anyhow::Result<Self> {
        let tenants = tenants(world).await?;
        let (mut cloud, pools) = world.cloud.census();
        cloud.extend(pools);
        let mut inside = BTreeMap::new();
        for (name, site) in world.sites() {
            inside.insert(name.to_string(), site.member.tenants().await?);
        }
        Ok(Self {
            settled: None,
            uids: tenants.iter().map(|tenant| tenant.uid.to_string()).collect(),
            cloud,
            tenants: inside,
            last: None,
        })
    }
}

async fn tenants(world: &World) -> anyhow::Result<Vec<Tenant>> {
    let listed = world.truth.memory().list(keys::TENANTS, Page::first()).await?;
    Ok(listed
        .entries
        .iter()
        .map(|entry| record::decode_tenant(&entry.value, entry.revision).map(|record| record.tenant))
        .collect::<Result<_, _>>()?)
}

/// What is not yet as it should be; none when everything is.
///
/// # Errors
/// The store or a cluster does not answer.
pub async fn unsettled(world: &World) -> anyhow::Result<Option<String>> {
    let Some(leader) = world.leader() else {
        return Ok(Some("no hub leads".into()));
    };
    let mut open = String::new();
    let mut inside: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, site) in world.sites() {
        inside.insert(name.to_string(), site.member.tenants().await?);
    }
    let mut wanted: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for tenant in tenants(world).await? {
        let id = &tenant.id;
        let snapshot = leader.board.get(id);
        let cluster = snapshot
            .as_ref()
            .and_then(|snapshot| Some(snapshot.placement.as_ref()?.cluster().to_string()));
        // Where another tenant of its name lives that the store was made to forget, only a person can help it.
        if let Some(cluster) = cluster
            && let Some(inside) = inside.get_mut(&cluster)
            && inside.iter().any(|(name, uid)| {
                *uid != tenant.uid.as_str()
                    && tenant.namespaces().contains(name)
                    && world.forgotten.strays(&cluster, uid)
            })
        {
            inside.retain(|_, uid| *uid != tenant.uid.as_str());
            continue;
        }
        if tenant.deleting_since.is_some() {
            let shown = leader.board.get(id).and_then(|snapshot| snapshot.status.clone());
            let _ = write!(
                open,
                "{id} is still being deleted: {:?}; ",
                shown.map(|status| said(&status.conditions))
            );
            continue;
        }
        let Some(snapshot) = snapshot else {
            let _ = write!(open, "{id} is not shown; ");
            continue;
        };
        let Some(status) = &snapshot.status else {
            let _ = write!(open, "{id} has no status; ");
            continue;
        };
        if status.observed_generation != tenant.generation {
            let _ = write!(
                open,
                "{id} is shown at generation {}; ",
                status.observed_generation
            );
        }
        if let Some(placement) = &snapshot.placement {
            if !status.conditions.is_true(ConditionKind::Ready) {
                let _ = write!(open, "{id} is not Ready: {}; ", said(&status.conditions));
                continue;
            }
            let inside = wanted.entry(placement.cluster().to_string()).or_default();
            for namespace in tenant.namespaces() {
                inside.insert(namespace.to_string(), tenant.uid.to_string());
            }
        } else if status
            .conditions
            .get(ConditionKind::Placed)
            .is_none_or(|placed| placed.status != Truth::False)
        {
            let _ = write!(open, "{id} is nowhere and nobody says why; ");
        }
    }
    for (name, mut inside) in inside {
        let should = wanted.remove(&name).unwrap_or_default();
        inside.retain(|namespace, uid| should.contains_key(namespace) || !world.forgotten.strays(&name, uid));
        if inside != should {
            let _ = write!(open, "cluster {name} holds {inside:?} instead of {should:?}; ");
        }
    }
    for (name, tenants) in wanted {
        let _ = write!(open, "{tenants:?} are Ready in {name}, which does not exist; ");
    }
    if world.rare.set_back.is_some() {
        // A cluster that the store was made to forget joins again.
        for (name, site) in world.sites() {
            if site.cloud_name.is_none() && !leader.sessions.is_connected(&name) {
                let _ = write!(open, "the agent of {name} is away; ");
            }
        }
    }
    Ok((!open.is_empty()).then_some(open))
}

fn said(conditions: &berth_model::Conditions) -> String {
    conditions
        .iter()
        .filter(|condition| condition.status != Truth::True)
        .map(|condition| format!("{:?}={} {}", condition.kind, condition.reason, condition.message))
        .collect::<Vec<_>>()
        .join(", ")
}
