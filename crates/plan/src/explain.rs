//! Why a tenant is where it is, or nowhere: the same looks and decisions as the plan's, with their numbers.

use std::{collections::BTreeSet, sync::Arc};

use berth_model::{
    ClusterName, ConditionKind, Conditions, Generation, Isolation, Placement, Revision, Tenant, TenantId,
    TenantSpec, Tier, Truth, Uid,
};

use crate::{
    Scope, View,
    decide::decide_one,
    life,
    place::{self, Decision, Score},
    plan::Step,
    room::Room,
    view::{InfraView, TenantView},
};

/// Why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// One line.
    pub summary: String,
    /// What was decided and what is waited for, step by step.
    pub steps: Vec<String>,
    /// Each cluster that was looked at, best first.
    pub candidates: Vec<Candidate>,
}

/// A cluster that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The cluster.
    pub cluster: ClusterName,
    /// Whether the tenant could be there.
    pub fits: bool,
    /// Whether the tenant is, or would be, there.
    pub chosen: bool,
    /// The first constraint that failed, CamelCase; empty when it fits.
    pub constraint: String,
    /// What was needed and what there was; for one that fits, its score.
    pub detail: String,
}

/// Why a tenant of the view is where it is; none when there is no such tenant.
#[must_use]
pub fn explain(view: &View, tenant: &TenantId) -> Option<Explanation> {
    let known = view.tenants.get(tenant)?;
    // Whoever competes for the same room is decided too, so that the answer is the plan's own.
    let mut scope: BTreeSet<TenantId> = view.index.contenders.clone();
    scope.insert(tenant.clone());
    let plan = crate::plan(view, &Scope::Tenants(scope));
    let decided = plan.steps.iter().find_map(|step| match step {
        Step::SavePlacement {
            tenant: of,
            placement,
            ..
        } if of == tenant => Some(placement.clone()),
        _ => None,
    });
    let chosen = known
        .placed
        .as_ref()
        .map(|placed| placed.placement.clone())
        .or(decided);
    let conditions = plan
        .status
        .get(tenant)
        .map(|status| status.conditions.clone())
        .unwrap_or_default();
    let candidates = candidates(view, known, chosen.as_ref());
    Some(Explanation {
        summary: summary(&conditions, chosen.as_ref()),
        steps: lines(&conditions),
        candidates,
    })
}

/// Where a tenant would be if it were made now, before anybody who waits.
#[must_use]
pub fn explain_spec(view: &View, id: &TenantId, spec: &TenantSpec) -> Explanation {
    let Ok(uid) = Uid::new("not-created-yet") else {
        return Explanation::default();
    };
    let known = TenantView {
        tenant: Arc::new(Tenant {
            id: id.clone(),
            uid,
            generation: Generation(1),
            revision: Revision(u64::MAX),
            created_at: view.now,
            deleting_since: None,
            spec: spec.clone(),
        }),
        placed: None,
        assigned: None,
        infra: InfraView::default(),
        report: None,
        probed: None,
        render_error: None,
        conditions: Conditions::new(),
        stalled: None,
    };
    let mut room = Room::new(view);
    let decision = behind(&mut room, &known);
    let conditions = life::live(view, &known, decision.as_ref(), None)
        .status
        .conditions;
    let chosen = match decision {
        Some(Decision::Place(place)) => Some(place.placement),
        Some(Decision::Refuse(_)) | None => None,
    };
    let summary = match &chosen {
        Some(placement) => format!("it would be placed {}", shown(placement)),
        None => summary(&conditions, None),
    };
    let steps = [ConditionKind::Accepted, ConditionKind::Placed]
        .into_iter()
        .filter_map(|kind| line(&conditions, kind))
        .collect();
    Explanation {
        summary,
        steps,
        candidates: candidates(view, &known, chosen.as_ref()),
    }
}

/// The decision about a tenant that comes after everybody in its organisation and before everybody in line for a cluster.
fn behind<'a>(room: &mut Room<'a>, known: &'a TenantView) -> Option<Decision> {
    let view = room.view;
    let organisation = &known.tenant.spec.owner.organisation;
    let waiting = view.index.by_organisation.get(organisation).into_iter().flatten();
    for other in waiting.filter_map(|id| view.tenants.get(id)) {
        if other.placed.is_none()
            && other.tenant.id != known.tenant.id
            && let Ok(tier) = life::tier_of(view, other)
        {
            // Who is held back holds nothing.
            let _held = room.own(other, &tier.spec);
        }
    }
    decide_one(room, known)
}

fn shown(placement: &Placement) -> String {
    let cluster = placement.cluster();
    match placement {
        Placement::Namespace { .. } => format!("on shared cluster {cluster}"),
        Placement::NodePool { pool, .. } => format!("in node pool {pool} of its own on cluster {cluster}"),
        Placement::Cluster { .. } => format!("on cluster {cluster} of its own"),
    }
}

fn summary(conditions: &Conditions, chosen: Option<&Placement>) -> String {
    let place = chosen.map_or_else(|| "nowhere".to_owned(), shown);
    match conditions
        .get(ConditionKind::Deleting)
        .or(conditions.get(ConditionKind::Ready))
    {
        Some(ready) if ready.kind == ConditionKind::Ready && ready.status == Truth::True => {
            format!("ready, {place}")
        }
        Some(ready) => format!("{place}, not ready ({}): {}", ready.reason, ready.message),
        None => place,
    }
}

fn lines(conditions: &Conditions) -> Vec<String> {
    ConditionKind::ALL
        .into_iter()
        .filter_map(|kind| line(conditions, kind))
        .collect()
}

fn line(conditions: &Conditions, kind: ConditionKind) -> Option<String> {
    let condition = conditions.get(kind)?;
    Some(format!(
        "{} is {} ({}): {}",
        kind.as_str(),
        condition.status.as_str(),
        condition.reason,
        condition.message
    ))
}

/// What every cluster says to the tenant as if it came now, its own reservation left out.
fn candidates(view: &View, known: &TenantView, chosen: Option<&Placement>) -> Vec<Candidate> {
    let Some(tier) = view.tiers.get(&known.tenant.spec.tier) else {
        return Vec::new();
    };
    if tier.spec.isolation == Isolation::Cluster {
        return own(view, known, tier, chosen);
    }
    let mut room = Room::new(view);
    if let Some(placed) = &known.placed {
        room.give_back(placed);
    }
    let ask = place::ask(&known.tenant, tier);
    let mut looked: Vec<(Option<Score<'_>>, u8, Candidate)> = room
        .sites
        .iter()
        .map(|site| {
            let cluster = site.cluster.name.clone();
            let chosen = chosen.is_some_and(|placement| *placement.cluster() == cluster);
            match place::look(site, &ask, &view.settings) {
                Ok(score) => {
                    let detail = format!(
                        "{}.{} % of the scarcest resource left, {} tenants",
                        score.left / 10,
                        score.left % 10,
                        score.tenants.0
                    );
                    (
                        Some(score),
                        0,
                        Candidate {
                            cluster,
                            fits: true,
                            chosen,
                            constraint: String::new(),
                            detail,
                        },
                    )
                }
                Err(constraint) => {
                    let detail = constraint.to_string();
                    let name = constraint.name().to_owned();
                    (
                        None,
                        constraint.depth(),
                        Candidate {
                            cluster,
                            fits: false,
                            chosen,
                            constraint: name,
                            detail,
                        },
                    )
                }
            }
        })
        .collect();
    looked.sort_by(|a, b| {
        (b.0, b.1)
            .cmp(&(a.0, a.1))
            .then_with(|| a.2.cluster.cmp(&b.2.cluster))
    });
    looked.into_iter().map(|(_, _, candidate)| candidate).collect()
}

fn own(view: &View, known: &TenantView, tier: &Tier, chosen: Option<&Placement>) -> Vec<Candidate> {
    let Ok(cluster) = place::cluster_name(&known.tenant.id, &known.tenant.uid) else {
        return Vec::new();
    };
    let (constraint, detail) = match place::choose(&mut Room::new(view), &known.tenant, tier) {
        _ if chosen.is_some() => (String::new(), "made for this tenant alone".to_owned()),
        Decision::Place(place) => (String::new(), place.reason),
        Decision::Refuse(refusal) => (refusal.reason.to_owned(), refusal.message),
    };
    let cluster = chosen.map_or(cluster, |placement| placement.cluster().clone());
    vec![Candidate {
        cluster,
        fits: constraint.is_empty(),
        chosen: chosen.is_some(),
        constraint,
        detail,
    }]
}
