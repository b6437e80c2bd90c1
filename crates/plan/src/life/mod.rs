//! The life of one tenant: which step comes next, and what is true of it now. Knows nothing of other tenants; what they compete
//! for was decided before and is handed in.

mod accept;
mod deleting;
mod evidence;
mod ground;
mod isolation;
mod pace;
mod sheet;
mod workload;

use berth_model::{ConditionKind, Timestamp, Truth};

pub(crate) use accept::tier_of;

use crate::{
    gate::Pass,
    place::{self, Decision},
    plan::{Step, TenantStatus},
    view::{Placed, TenantView, View},
};
use sheet::Sheet;

/// What comes of looking at one tenant.
pub(crate) struct Outcome {
    pub(crate) steps: Vec<Step>,
    pub(crate) status: TenantStatus,
    pub(crate) wake: Option<Timestamp>,
}

/// Looks at one tenant. `decision` is the one about its place, where one was open.
/// `pass` says whether it may go, where it is to.
pub(crate) fn live(
    view: &View,
    known: &TenantView,
    decision: Option<&Decision>,
    pass: Option<&Pass>,
) -> Outcome {
    let mut sheet = Sheet::new(view, known);
    let accepted = accept::accept(&mut sheet);
    if known.tenant.deleting_since.is_some() {
        deleting::delete(&mut sheet, pass);
        return sheet.finish();
    }
    if let Some(finding) = &known.stalled {
        sheet.stall("PlanRefused", finding.clone());
    }
    let fresh = placed(&mut sheet, accepted, decision);
    let Some(placed) = fresh.as_ref().or(known.placed.as_ref()) else {
        sheet.nowhere();
        return sheet.finish();
    };
    let ground = ground::stand(&mut sheet, placed, accepted);
    workload::run(&mut sheet, placed, accepted, ground);
    if let Ok(tier) = accepted
        && fresh.is_none()
        && placed.generation == known.tenant.generation
        && let Some(constraint) = place::broken(view, &known.tenant, tier, placed)
    {
        sheet.warn(format!(
            "cluster {} no longer satisfies the tenant's placement: {constraint}",
            placed.placement.cluster()
        ));
    }
    sheet.finish()
}

/// The condition `Placed`, and the placement when this plan saves a new one.
fn placed(
    sheet: &mut Sheet<'_>,
    accepted: accept::Accepted<'_>,
    decision: Option<&Decision>,
) -> Option<Placed> {
    let known = sheet.known;
    match decision {
        Some(Decision::Place(place)) if sheet.may_act() => {
            sheet.set(
                ConditionKind::Placed,
                Truth::True,
                "Placed",
                on(&place.placement, &place.reason),
            );
            sheet.step(Step::SavePlacement {
                tenant: known.tenant.id.clone(),
                uid: known.tenant.uid.clone(),
                placement: place.placement.clone(),
                reserved: place.reserved,
                namespaces: place.namespaces,
                generation: known.tenant.generation,
                reason: place.reason.clone(),
                region: place.region.clone(),
                accepted_gaps: place.accepted_gaps.clone(),
            });
            return Some(Placed {
                placement: place.placement.clone(),
                reserved: place.reserved,
                namespaces: place.namespaces,
                generation: known.tenant.generation,
                decided_at: sheet.view.now,
                reason: place.reason.clone(),
                accepted_gaps: place.accepted_gaps.clone(),
            });
        }
        Some(Decision::Refuse(refusal)) if known.placed.is_some() => {
            sheet.stall(refusal.reason, refusal.message.clone());
        }
        Some(Decision::Refuse(refusal)) => {
            sheet.set(
                ConditionKind::Placed,
                Truth::False,
                refusal.reason,
                refusal.message.clone(),
            );
            if refusal.stuck {
                sheet.stall(refusal.reason, refusal.message.clone());
            } else {
                sheet.working("Placing", refusal.message.clone());
            }
            return None;
        }
        Some(Decision::Place(_)) | None => {}
    }
    match &known.placed {
        Some(placed) => sheet.set(
            ConditionKind::Placed,
            Truth::True,
            "Placed",
            on(&placed.placement, &placed.reason),
        ),
        None if accepted.is_err() => sheet.set(
            ConditionKind::Placed,
            Truth::False,
            "NotAccepted",
            "waiting for the spec to be accepted",
        ),
        None => sheet.set(
            ConditionKind::Placed,
            Truth::False,
            "Waiting",
            "waiting for a decision",
        ),
    }
    None
}

fn on(placement: &berth_model::Placement, reason: &str) -> String {
    match placement.pool() {
        Some(pool) => format!("on cluster {} in node pool {pool}: {reason}", placement.cluster()),
        None => format!("on cluster {}: {reason}", placement.cluster()),
    }
}
