//! The planner: who competes for room is decided in order of claim, and then each tenant's next steps by itself.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use berth_model::{TenantId, tier::Priority};

use crate::{
    Plan, Scope, View, gate,
    life::{self, Outcome},
    place::{self, Decision},
    room::Room,
    view::TenantView,
};

/// What to do next for the tenants in `scope`, how they are, and when to look again.
///
/// # Guarantees
/// The same view and scope give the same plan. No view makes it fail. Room is counted from placements, what this plan places
/// included, so that no order of calls overcommits a cluster. A tenant that has a place is not moved.
#[must_use]
pub fn plan(view: &View, scope: &Scope) -> Plan {
    let mut decisions = decide(view, scope);
    let passes = gate::decide(view, scope);
    let mut plan = Plan::default();
    let mut look = |id: &TenantId, known: &TenantView, plan: &mut Plan| {
        let decision = decisions.remove(id);
        let Outcome { steps, status, wake } = life::live(view, known, decision.as_ref(), passes.get(id));
        plan.steps.extend(steps);
        plan.status.insert(id.clone(), status);
        if let Some(at) = wake {
            plan.wake_at = Some(plan.wake_at.map_or(at, |earliest| earliest.min(at)));
            plan.wake.insert(id.clone(), at);
        }
    };
    match scope {
        Scope::All => {
            for (id, known) in &view.tenants {
                look(id, known, &mut plan);
            }
        }
        Scope::Tenants(ids) => {
            for (id, known) in ids.iter().filter_map(|id| Some((id, view.tenants.get(id)?))) {
                look(id, known, &mut plan);
            }
        }
    }
    plan
}

/// The decisions about places that are open in `scope`.
fn decide(view: &View, scope: &Scope) -> BTreeMap<TenantId, Decision> {
    let mut contenders = in_order(view, scope);
    let mut decisions = BTreeMap::new();
    if contenders.is_empty() {
        return decisions;
    }
    let mut room = Room::new(view);
    for known in contenders.drain(..) {
        if let Some(decision) = decide_one(&mut room, known) {
            decisions.insert(known.tenant.id.clone(), decision);
        }
    }
    decisions
}

/// The tenants in `scope` whose place is open, first come first: by priority, then by acceptance, then by id.
fn in_order<'a>(view: &'a View, scope: &Scope) -> Vec<&'a TenantView> {
    let open: &BTreeSet<TenantId> = &view.index.contenders;
    let mut contenders: Vec<&TenantView> = match scope {
        Scope::All => open.iter().filter_map(|id| view.tenants.get(id)).collect(),
        Scope::Tenants(ids) => ids
            .iter()
            .filter(|id| open.contains(*id))
            .filter_map(|id| view.tenants.get(id))
            .collect(),
    };
    let priority = |known: &TenantView| {
        view.tiers
            .get(&known.tenant.spec.tier)
            .map_or(Priority::Low, |tier| tier.spec.priority)
    };
    contenders.sort_by_key(|known| {
        let tenant = &known.tenant;
        (
            Reverse(priority(known)),
            tenant.created_at,
            tenant.revision,
            &tenant.id,
        )
    });
    contenders
}

/// The decision about one tenant's place, counted in `room`.
pub(crate) fn decide_one<'a>(room: &mut Room<'a>, known: &'a TenantView) -> Option<Decision> {
    if known.stalled.is_some() {
        return None;
    }
    let tier = life::tier_of(room.view, known).ok()?;
    let decision = match &known.placed {
        None => match room.own(known, &tier.spec) {
            Ok(()) => place::choose(room, &known.tenant, tier),
            Err(refusal) => Decision::Refuse(refusal),
        },
        Some(placed) => place::keep(room, &known.tenant, tier, placed),
    };
    if let Decision::Place(place) = &decision {
        room.take(known.placed.as_ref(), place);
    }
    Some(decision)
}
