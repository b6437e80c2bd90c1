//! Whether a tenant that has a place can stay there with what it asks for now. It is never moved from here.

use berth_model::{ClusterPurpose, Isolation, Placement, Tenant, Tier};

use super::{
    Constraint, Decision, Minor, Place, Refusal,
    choose::ask,
    site::{Site, room as fits},
};
use crate::{
    index::region_of,
    room::Room,
    view::{Placed, View},
};

/// The place with the new reservation, or why the place cannot take the change.
pub(crate) fn keep(room: &Room<'_>, tenant: &Tenant, tier: &Tier, placed: &Placed) -> Decision {
    let ask = ask(tenant, tier);
    let has = placed.placement.isolation();
    if has != ask.isolation {
        return Decision::Refuse(Refusal::stuck(
            "MoveNeeded",
            format!(
                "it is placed as {has} and its tier now asks for {}; moving between isolation levels is not possible",
                ask.isolation
            ),
        ));
    }
    if let Some(constraint) = broken(room.view, tenant, tier, placed) {
        return Decision::Refuse(Refusal::stuck(
            "PlacementViolated",
            format!(
                "cluster {} does not satisfy the placement asked for any more: {constraint}",
                placed.placement.cluster()
            ),
        ));
    }
    let cluster = placed.placement.cluster();
    let Some(known) = room.view.clusters.get(cluster) else {
        return Decision::Refuse(Refusal::stuck(
            "ClusterMissing",
            format!("cluster {cluster} is not in the fleet any more"),
        ));
    };
    let made = ClusterPurpose::Dedicated {
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
    };
    let right = if ask.isolation == Isolation::Cluster {
        made
    } else {
        ClusterPurpose::Shared
    };
    if known.cluster.purpose != right {
        return Decision::Refuse(Refusal::stuck(
            "ForeignCluster",
            format!("cluster {cluster} is not for this tenant's isolation"),
        ));
    }
    let place = Place {
        placement: placed.placement.clone(),
        reserved: ask.capacity,
        namespaces: ask.namespaces,
        region: region_of(&known.cluster).to_owned(),
        reason: placed.reason.clone(),
        accepted_gaps: placed.accepted_gaps.clone(),
    };
    if ask.isolation == Isolation::Cluster {
        return Decision::Place(place);
    }
    let Some(site) = room.site(cluster) else {
        return Decision::Refuse(Refusal::stuck(
            "ClusterMissing",
            format!("cluster {cluster} is not a shared cluster of the fleet"),
        ));
    };
    let free = site.usable.minus(site.reserved.capacity.minus(placed.reserved));
    let more = ask.namespaces.saturating_sub(placed.namespaces);
    let room_for_more = if more == 0 {
        Ok(())
    } else {
        site.takes_namespaces(more, &room.view.settings)
    };
    match room_for_more.and_then(|()| fits(&site.usable, &free, &ask.capacity, &placed.reserved)) {
        Ok(()) => Decision::Place(place),
        Err(constraint) => Decision::Refuse(Refusal::stuck(
            "QuotaDoesNotFit",
            format!(
                "cluster {cluster} has no room for the change, what was assigned before stays: {constraint}"
            ),
        )),
    }
}

/// The tenant's own constraint that its place does not satisfy.
pub(crate) fn broken(view: &View, tenant: &Tenant, tier: &Tier, placed: &Placed) -> Option<Constraint> {
    let wanted = &tenant.spec.placement;
    let known = view.clusters.get(placed.placement.cluster())?;
    if let Placement::Cluster { .. } = placed.placement {
        let region = region_of(&known.cluster);
        if !wanted.regions.is_empty() && !wanted.regions.iter().any(|allowed| allowed == region) {
            return Some(Constraint::Region {
                is: region.to_owned(),
                allowed: wanted.regions.clone(),
            });
        }
        let reported = known
            .cluster
            .facts
            .as_ref()
            .map(|facts| facts.kubernetes_version.as_str());
        let is = reported
            .or(tier
                .spec
                .cluster
                .as_ref()
                .map(|template| &*template.kubernetes_version))
            .unwrap_or_default();
        let least = Minor::parse(&wanted.min_kubernetes_version)?;
        return Minor::parse(is)
            .is_none_or(|is| is < least)
            .then(|| Constraint::KubernetesVersion {
                is: is.to_owned(),
                least,
            });
    }
    Site::new(known, &view.settings, view.now).suits(wanted).err()
}
