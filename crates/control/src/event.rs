//! How a change of the store becomes a change of the view. The only writer of what the view knows from the store.

use std::{collections::BTreeSet, sync::Arc};

use berth_model::{BundleRef, Revision, TenantId, TierName};
use berth_plan::{
    Changes,
    view::{BreakerView, ClusterView, InfraView, TenantView, View},
};

use crate::{
    evidence, keys,
    load::{self, RecordProblem},
    sessions::Sessions,
};

/// Takes one changed key into the view and notes who is concerned. What cannot be read changes nothing in the view.
pub(crate) fn try_take(
    view: &mut View,
    sessions: &Sessions,
    changes: &mut Changes,
    key: &str,
    value: Option<&[u8]>,
    revision: Revision,
) -> Result<(), RecordProblem> {
    if key == keys::FLEET {
        if let Some(value) = value {
            let fleet = load::fleet_record(value)?;
            view.command_term = fleet.command_term;
            view.commanded_at = fleet.commanded_at;
        }
    } else if let Some(id) = key.strip_prefix(keys::TENANTS) {
        tenant(view, changes, &load::id(id)?, value, revision)?;
    } else if let Some(name) = key.strip_prefix(keys::TIERS) {
        let name: berth_model::TierName = load::name(name)?;
        match value {
            Some(value) => {
                view.tiers
                    .insert(name.clone(), load::shared_tier(value, revision)?);
            }
            None => {
                view.tiers.remove(&name);
            }
        }
        again(view, |spec| spec.tier == name);
        changes.tiers.insert(name);
    } else if let Some(name) = key.strip_prefix(keys::ORGANISATIONS) {
        let name: berth_model::OrganisationName = load::name(name)?;
        match value {
            Some(value) => {
                let organisation = Arc::new(load::organisation(value, revision)?);
                view.organisations.insert(name.clone(), organisation);
            }
            None => {
                view.organisations.remove(&name);
            }
        }
        again(view, |spec| spec.owner.organisation == name.as_str());
        changes.organisations.insert(name);
    } else if let Some(rest) = key.strip_prefix(keys::BUNDLES) {
        let id = load::bundle_id(rest)?;
        if value.is_some() {
            view.bundles.insert(id.clone());
        } else {
            view.bundles.remove(&id);
        }
        let this = |used: &BundleRef| used.name == id.0 && used.version == id.1;
        let tiers: BTreeSet<TierName> = view
            .tiers
            .iter()
            .filter(|(_, tier)| tier.spec.bundles.iter().any(this))
            .map(|(name, _)| name.clone())
            .collect();
        again(view, |spec| {
            spec.bundles.iter().any(this) || tiers.contains(&spec.tier)
        });
        changes.bundles.insert(id);
    } else if let Some(name) = key.strip_prefix(keys::CLUSTERS) {
        let name: berth_model::ClusterName = load::name(name)?;
        match value {
            Some(value) => {
                let (mut cluster, key_sha256) = load::stored_cluster(value, revision)?;
                sessions.end_other_keys(&name, &key_sha256);
                if cluster.revoked.is_some() {
                    sessions.revoke(&name);
                }
                if let Some(facts) = sessions.last_facts(&name) {
                    cluster.facts = Some(facts);
                }
                view.set_cluster(Arc::new(cluster));
                if let Some(known) = view.clusters.get_mut(&name) {
                    refresh(known, sessions);
                }
            }
            None => {
                sessions.end(&name);
                view.remove_cluster(&name);
            }
        }
        changes.clusters.insert(name);
    } else if let Some(id) = key.strip_prefix(keys::PLACEMENTS) {
        let id = load::id(id)?;
        let placed = match value {
            Some(value) => Some(load::placed(value)?),
            None => None,
        };
        // A placement of an earlier tenant of that name says nothing about this one.
        let ours = placed
            .filter(|(uid, _)| is_of(view, &id, uid))
            .map(|(_, placed)| placed);
        let before = view
            .tenants
            .get(&id)
            .and_then(|known| known.placed.as_ref())
            .map(|p| p.placement.cluster().clone());
        changes.clusters.extend(before.filter(|_| ours.is_none()));
        changes.room |= view.set_placed(&id, ours);
        changes.tenants.insert(id);
    } else if let Some(id) = key.strip_prefix(keys::ASSIGNMENTS) {
        let id = load::id(id)?;
        let assigned = match value {
            Some(value) => Some(load::assigned(value)?),
            None => None,
        };
        let ours = assigned
            .filter(|(uid, _)| is_of(view, &id, uid))
            .map(|(_, assigned)| assigned);
        if let Some(known) = view.tenants.get_mut(&id) {
            known.assigned = ours;
        }
        changes.tenants.insert(id);
    } else if let Some(id) = key.strip_prefix(keys::INFRA) {
        let id = load::id(id)?;
        let record = match value {
            Some(value) => Some(load::infra(value)?),
            None => None,
        };
        let ours = record.filter(|record| is_of(view, &id, &record.tenant_uid));
        if let Some(known) = view.tenants.get_mut(&id) {
            let infra = &mut known.infra;
            match ours {
                Some(record) => {
                    infra.attempt = record.attempt;
                    infra.observed = record.observed;
                    infra.bootstrapped = record.bootstrapped;
                }
                None => {
                    *infra = InfraView {
                        busy: infra.busy,
                        ..InfraView::default()
                    }
                }
            }
        }
        changes.tenants.insert(id);
    } else if let Some(id) = key.strip_prefix(keys::EVIDENCE) {
        let id = load::id(id)?;
        let kept = value.and_then(|value| evidence::kept(&id, value));
        if let Some(known) = view.tenants.get_mut(&id) {
            let kept = kept.map(|kept| evidence::probed(&kept.evidence, kept.record.probed_at));
            known.probed = kept.filter(|probed| probed.uid == known.tenant.uid);
            hear_of_walls(known, sessions);
        }
        changes.tenants.insert(id);
    } else if let Some(name) = key.strip_prefix(keys::BREAKERS) {
        let name: berth_model::ClusterName = load::name(name)?;
        match value {
            Some(value) => {
                let memory = load::breaker(value)?;
                view.breakers
                    .insert(name.clone(), BreakerView { memory, revision });
            }
            None => {
                view.breakers.remove(&name);
            }
        }
        changes.breakers.insert(name);
    }
    // Status, objects, tokens and the fleet record are nobody's input.
    Ok(())
}

/// What could not be rendered may be now, for the tenants that stand on what has changed.
fn again(view: &mut View, concerns: impl Fn(&berth_model::TenantSpec) -> bool) {
    for known in view
        .tenants
        .values_mut()
        .filter(|known| concerns(&known.tenant.spec))
    {
        known.render_error = None;
        known.stalled = None;
    }
}

fn is_of(view: &View, id: &TenantId, uid: &berth_model::Uid) -> bool {
    view.tenants.get(id).is_some_and(|known| known.tenant.uid == *uid)
}

fn tenant(
    view: &mut View,
    changes: &mut Changes,
    id: &TenantId,
    value: Option<&[u8]>,
    revision: Revision,
) -> Result<(), RecordProblem> {
    changes.tenants.insert(id.clone());
    let Some(value) = value else {
        if let Some(cluster) = view
            .tenants
            .get(id)
            .and_then(|known| known.placed.as_ref())
            .map(|p| p.placement.cluster().clone())
        {
            changes.clusters.insert(cluster);
        }
        view.remove_tenant(id);
        return Ok(());
    };
    let tenant = Arc::new(load::tenant(value, revision)?);
    match view.tenants.get_mut(id) {
        Some(known) if known.tenant.uid == tenant.uid => {
            if known.tenant.generation != tenant.generation {
                known.render_error = None;
                known.stalled = None;
            }
            known.tenant = tenant;
            view.retouch(id);
        }
        _ => view.set_tenant(fresh(tenant)),
    }
    Ok(())
}

/// A tenant of which nothing but its record is known.
pub(crate) fn fresh(tenant: Arc<berth_model::Tenant>) -> TenantView {
    TenantView {
        tenant,
        placed: None,
        assigned: None,
        infra: InfraView::default(),
        report: None,
        probed: None,
        render_error: None,
        conditions: berth_model::Conditions::new(),
        stalled: None,
    }
}

/// Takes what the tenant's cluster has proven of its walls, where that is later than what is known.
pub(crate) fn hear_of_walls(known: &mut TenantView, sessions: &Sessions) {
    let cluster = known.assigned.as_ref().map(|assigned| &assigned.cluster);
    let said = cluster.and_then(|cluster| sessions.probed(cluster, &known.tenant.id));
    let said = said.filter(|said| said.uid == known.tenant.uid);
    known.probed = evidence::latest(known.probed.take(), said);
}

/// Takes what the sessions know of a cluster.
pub(crate) fn refresh(known: &mut ClusterView, sessions: &Sessions) {
    let name = known.cluster.name.clone();
    known.session = sessions.view(&name);
    known.evidence_at = sessions.evidence_at(&name);
    if let Some(facts) = sessions.last_facts(&name)
        && known.cluster.facts.as_ref() != Some(&facts)
    {
        Arc::make_mut(&mut known.cluster).facts = Some(facts);
    }
}
