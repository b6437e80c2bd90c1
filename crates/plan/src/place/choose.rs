//! The choice of a place for a tenant that has none.

use std::{cmp::Reverse, collections::BTreeMap};

use berth_model::{
    AcceptedGaps, Capacity, ClusterName, ClusterPurpose, Isolation, Placement, Tenant, Tier, quota,
};

use super::{
    Constraint, Decision, Minor, Place, Refusal, Score, Site, cluster_name, pool_name,
    score::{left_of, share},
};
use crate::{
    room::{Ask, Room},
    view::Settings,
};

/// What one cluster said: its score, or why not.
pub(crate) type Look<'a> = Result<Score<'a>, Constraint>;

/// A place for `tenant`, or why there is none.
pub(crate) fn choose<'a>(room: &mut Room<'a>, tenant: &'a Tenant, tier: &Tier) -> Decision {
    let ask = ask(tenant, tier);
    if ask.isolation == Isolation::Cluster {
        return own_cluster(room, tenant, tier, &ask);
    }
    // A store that was put back may have forgotten where it is. It must not be somewhere else besides.
    if let Some(site) = room.holder(&tenant.id) {
        let cluster = site.cluster.name.clone();
        return match look(site, &ask, &room.view.settings) {
            Ok(_) => settle(room, tenant, ask, cluster, "it is there already".into()),
            Err(constraint) => Decision::Refuse(held_there(&cluster, &constraint)),
        };
    }
    if let Some(refusal) = room.may_be_elsewhere(tenant) {
        return Decision::Refuse(refusal);
    }
    // A pool has the tenant's name, so only asks for shared room can be answered by an earlier refusal.
    let shared = ask.isolation == Isolation::Namespace;
    if shared && let Some(refusal) = room.refused(&ask) {
        return Decision::Refuse(refusal.clone());
    }
    let mut best: Option<Score<'_>> = None;
    let mut fitting = 0_usize;
    for site in &room.sites {
        if let Ok(score) = look(site, &ask, &room.view.settings) {
            fitting += 1;
            best = best.max(Some(score));
        }
    }
    let Some(best) = best else {
        let refusal = refuse(room, &ask);
        if shared {
            room.note_refusal(ask, refusal.clone());
        }
        return Decision::Refuse(refusal);
    };
    let reason = format!(
        "most room of {fitting} clusters that fit: {}.{} % of the scarcest resource is left",
        best.left / 10,
        best.left % 10
    );
    let cluster = best.name.0.clone();
    settle(room, tenant, ask, cluster, reason)
}

/// The place on a shared cluster.
fn settle(room: &Room<'_>, tenant: &Tenant, ask: Ask<'_>, cluster: ClusterName, reason: String) -> Decision {
    let site = room.site(&cluster);
    let region = site.map(|site| site.region().to_owned()).unwrap_or_default();
    let accepted_gaps = site
        .and_then(|site| site.gaps(&room.view.settings).ok())
        .unwrap_or_default();
    let (placement, reserved) = match ask.isolation {
        Isolation::NodePool => match pool_name(&tenant.id, &tenant.uid) {
            Ok(pool) => (Placement::NodePool { cluster, pool }, Capacity::default()),
            Err(error) => return Decision::Refuse(Refusal::stuck("InvalidName", error.to_string())),
        },
        Isolation::Namespace | Isolation::Cluster => (Placement::Namespace { cluster }, ask.capacity),
    };
    Decision::Place(Place {
        placement,
        reserved,
        namespaces: ask.namespaces,
        region,
        reason,
        accepted_gaps,
    })
}

fn held_there(cluster: &ClusterName, constraint: &Constraint) -> Refusal {
    let message = format!("it is in cluster {cluster} already, which does not take it: {constraint}");
    if constraint.passes() {
        Refusal::waiting("WaitingForClusters", message)
    } else {
        Refusal::stuck("HeldByCluster", message)
    }
}

/// What `tenant` asks for under `tier`. A pool's tenant uses none of the shared capacity.
pub(crate) fn ask<'a>(tenant: &'a Tenant, tier: &Tier) -> Ask<'a> {
    Ask {
        isolation: tier.spec.isolation,
        constraints: &tenant.spec.placement,
        capacity: match tier.spec.isolation {
            Isolation::NodePool => Capacity::default(),
            Isolation::Namespace | Isolation::Cluster => quota::reservation(&tenant.spec, &tier.spec),
        },
        namespaces: namespaces_of(tenant),
        pool: match tier.spec.isolation {
            Isolation::NodePool => pool_name(&tenant.id, &tenant.uid)
                .map(String::from)
                .unwrap_or_default(),
            Isolation::Namespace | Isolation::Cluster => String::new(),
        },
    }
}

fn namespaces_of(tenant: &Tenant) -> u32 {
    u32::try_from(tenant.spec.parts().len()).unwrap_or(u32::MAX)
}

/// What one shared cluster says to `ask`.
pub(crate) fn look<'a>(site: &Site<'a>, ask: &Ask<'_>, settings: &Settings) -> Look<'a> {
    if let Some(closed) = &site.closed {
        return Err(closed.clone());
    }
    site.suits(ask.constraints)?;
    site.gaps(settings)?;
    let left = if ask.isolation == Isolation::NodePool {
        site.takes_pool(&ask.pool, settings)?;
        site.takes_namespaces(ask.namespaces, settings)?;
        let groups = settings.node_groups_per_cluster;
        share(
            u64::from(groups.saturating_sub(site.reserved.pools.saturating_add(1))),
            u64::from(groups),
        )
    } else {
        site.takes_namespaces(ask.namespaces, settings)?;
        site.takes(&ask.capacity)?;
        left_of(&site.usable, &site.reserved.capacity.plus(ask.capacity))
    };
    Ok(Score {
        left,
        tenants: Reverse(site.reserved.tenants),
        name: Reverse(&site.cluster.name),
    })
}

fn refuse(room: &Room<'_>, ask: &Ask<'_>) -> Refusal {
    if room.sites.is_empty() {
        return Refusal::waiting(
            "NoClusters",
            "there is no shared cluster yet; make a join token and start an agent",
        );
    }
    let mut tally: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut nearest: Option<(u8, Constraint, &Site<'_>)> = None;
    for site in &room.sites {
        let Err(constraint) = look(site, ask, &room.view.settings) else {
            continue;
        };
        *tally.entry(constraint.name()).or_default() += 1;
        if nearest
            .as_ref()
            .is_none_or(|(depth, _, _)| constraint.depth() > *depth)
        {
            nearest = Some((constraint.depth(), constraint, site));
        }
    }
    let Some((_, constraint, site)) = nearest else {
        return Refusal::waiting("NoClusterFits", "no cluster fits");
    };
    if let Some(refusal) = too_large(room, ask) {
        return refusal;
    }
    let counts: Vec<String> = tally
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let message = format!(
        "none of {} shared clusters fits ({}); nearest is {}: {constraint}",
        room.sites.len(),
        counts.join(", "),
        site.cluster.name
    );
    match constraint {
        Constraint::NoCloud => Refusal::stuck(
            "NoCloud",
            format!("{message}; configure a cloud account or choose another tier"),
        ),
        _ if tally.len() == 1 && constraint.passes() => Refusal::waiting("WaitingForClusters", message),
        _ => Refusal::waiting("NoClusterFits", message),
    }
}

/// Whether the ask is more than any cluster has when it is empty: waiting does not help then.
fn too_large(room: &Room<'_>, ask: &Ask<'_>) -> Option<Refusal> {
    let known = || {
        room.sites
            .iter()
            .filter(|site| !matches!(site.closed, Some(Constraint::NotJoined)))
    };
    if ask.isolation != Isolation::Namespace
        || known().next().is_none()
        || known().any(|site| site.usable.fits(&ask.capacity))
    {
        return None;
    }
    let most =
        known().max_by_key(|site| (site.usable.cpu, site.usable.memory, Reverse(&site.cluster.name)))?;
    let (asked, has) = (&ask.capacity, &most.usable);
    Some(Refusal::stuck(
        "QuotaTooLarge",
        format!(
            "the quota asks for {} CPU, {} memory and {} pods, and no shared cluster is that large even when empty; \
             the largest, {}, has {} CPU, {} memory and {} pods for tenants",
            asked.cpu,
            asked.memory.about(),
            asked.pods,
            most.cluster.name,
            has.cpu,
            has.memory.about(),
            has.pods
        ),
    ))
}

fn own_cluster(room: &Room<'_>, tenant: &Tenant, tier: &Tier, ask: &Ask<'_>) -> Decision {
    let settings = &room.view.settings;
    let Some(template) = &tier.spec.cluster else {
        return Decision::Refuse(Refusal::stuck(
            "InvalidTier",
            format!("tier {} has no cluster template", tier.name),
        ));
    };
    if !settings.cloud {
        return Decision::Refuse(Refusal::stuck(
            "NoCloud",
            "this hub has no cloud account to make clusters with; configure one or choose another tier",
        ));
    }
    let made = Minor::parse(&template.kubernetes_version);
    if let Some(least) = Minor::parse(&ask.constraints.min_kubernetes_version)
        && made.is_none_or(|made| made < least)
    {
        let no = Constraint::KubernetesVersion {
            is: template.kubernetes_version.clone(),
            least,
        };
        return Decision::Refuse(Refusal::stuck(
            "KubernetesVersion",
            format!("clusters of tier {}: {no}", tier.name),
        ));
    }
    let name = match cluster_name(&tenant.id, &tenant.uid) {
        Ok(name) => name,
        Err(error) => return Decision::Refuse(Refusal::stuck("InvalidName", error.to_string())),
    };
    let ours = ClusterPurpose::Dedicated {
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
    };
    if room
        .view
        .clusters
        .get(&name)
        .is_some_and(|known| known.cluster.purpose != ours)
    {
        return Decision::Refuse(Refusal::stuck(
            "NameTaken",
            format!("a cluster {name} is there and was not made for this tenant"),
        ));
    }
    let regions: Vec<&str> = match &*ask.constraints.regions {
        [] => vec![&settings.default_region],
        regions => regions.iter().map(String::as_str).collect(),
    };
    let limit = settings.clusters_per_region;
    match regions.iter().find(|region| room.made_in(region) < limit) {
        Some(region) => Decision::Place(Place {
            placement: Placement::Cluster { cluster: name },
            reserved: ask.capacity,
            namespaces: ask.namespaces,
            region: (*region).to_owned(),
            reason: format!(
                "a cluster of its own in region {region}: {} of {limit} are made there",
                room.made_in(region)
            ),
            // Nobody else is in a cluster of the tenant's own.
            accepted_gaps: AcceptedGaps::new(),
        }),
        None => {
            let full: Vec<String> = regions
                .iter()
                .map(|region| format!("{region} {} of {limit}", room.made_in(region)))
                .collect();
            Decision::Refuse(Refusal::waiting(
                "ClustersPerRegion",
                format!("every allowed region is full: {}", full.join(", ")),
            ))
        }
    }
}
