//! What the cluster is told, and what it says of it.

use std::time::Duration;

use berth_model::{ConditionKind, Health, HealthState, TenantReport, Truth, report::ApplyState};

use super::{
    accept::Accepted,
    evidence::{self, Word},
    ground::Ground,
    sheet::{Sheet, later},
};
use crate::{
    plan::Step,
    view::{Assigned, Placed, SessionView},
};

/// Past the end of the evidence's life, so that a look then finds it over.
const JUST_PAST: Duration = Duration::from_millis(100);

/// States `Applied` and `Healthy` and takes the steps towards them.
pub(super) fn run(sheet: &mut Sheet<'_>, placed: &Placed, accepted: Accepted<'_>, ground: Ground) {
    let known = sheet.known;
    let tenant = &known.tenant;
    let cluster = placed.placement.cluster();
    // A change that the place cannot take stays out; what was assigned before stays in.
    let taken_on = placed.generation == tenant.generation && accepted.is_ok();
    let behind = known.assigned.as_ref().is_none_or(|assigned| {
        assigned.tenant_generation != tenant.generation
            || assigned.cluster != *cluster
            || assigned.withdrawn
            || gives_way(sheet, assigned)
    });
    let assign = behind && taken_on && ground == Ground::Usable && known.render_error.is_none();
    if assign {
        sheet.step(Step::Assign {
            tenant: tenant.id.clone(),
            uid: tenant.uid.clone(),
            cluster: cluster.clone(),
            tenant_generation: tenant.generation,
        });
    }
    if behind && let Some(problem) = &known.render_error {
        sheet.stall("RenderFailed", problem.clone());
    }
    match &known.assigned {
        None => unassigned(sheet, cluster.as_str(), assign),
        Some(assigned) => told(sheet, assigned, behind, assign),
    }
}

fn unassigned(sheet: &mut Sheet<'_>, cluster: &str, assign: bool) {
    if let Some(problem) = &sheet.known.render_error {
        sheet.set(
            ConditionKind::Applied,
            Truth::False,
            "RenderFailed",
            problem.clone(),
        );
    } else if assign {
        sheet.working("Assigning", format!("sending the tenant to cluster {cluster}"));
        sheet.set(
            ConditionKind::Applied,
            Truth::False,
            "Assigning",
            format!("sending the tenant to cluster {cluster}"),
        );
    } else {
        sheet.set(
            ConditionKind::Applied,
            Truth::False,
            "NotProvisioned",
            "waiting for the place to be usable",
        );
    }
    sheet.set(
        ConditionKind::Healthy,
        Truth::Unknown,
        "NotApplied",
        "nothing is there yet",
    );
}

fn told(sheet: &mut Sheet<'_>, assigned: &Assigned, behind: bool, assign: bool) {
    let holds = match sheet
        .view
        .clusters
        .get(&assigned.cluster)
        .and_then(|known| known.session.as_ref())
    {
        None => false,
        Some(session) => confirm(sheet, assigned, session, assign),
    };
    match evidence::word(sheet.view, sheet.known, assigned) {
        Word::Fresh { report, at } => {
            sheet.evidence_at = Some(at);
            sheet.wake(later(
                at,
                sheet.view.settings.evidence_lifetime.saturating_add(JUST_PAST),
            ));
            if behind {
                outdated(sheet, assigned);
            } else {
                applied(sheet, report);
            }
            healthy(sheet, &report.health);
        }
        Word::Silent if holds => {
            let message = format!(
                "the agent of cluster {} holds it; waiting for its report",
                assigned.cluster
            );
            sheet.working("WaitingForReport", message.clone());
            sheet.set(
                ConditionKind::Applied,
                Truth::Unknown,
                "WaitingForReport",
                message.clone(),
            );
            sheet.set(
                ConditionKind::Healthy,
                Truth::Unknown,
                "WaitingForReport",
                message,
            );
        }
        Word::Silent => {
            let message = format!(
                "waiting for the agent of cluster {} to take assignment {}",
                assigned.cluster, assigned.generation
            );
            sheet.working("Sending", message.clone());
            sheet.set(ConditionKind::Applied, Truth::False, "Sending", message);
            sheet.set(
                ConditionKind::Healthy,
                Truth::Unknown,
                "NotApplied",
                "what is assigned is not there yet",
            );
        }
        Word::Away { message, at } => {
            sheet.evidence_at = at;
            sheet.health = Health::new(HealthState::Unknown, message.clone());
            sheet.set(
                ConditionKind::Applied,
                Truth::Unknown,
                "AgentUnreachable",
                message.clone(),
            );
            sheet.set(
                ConditionKind::Healthy,
                Truth::Unknown,
                "AgentUnreachable",
                message,
            );
        }
    }
}

/// Whether the agent holds something that an assignment of a restored state cannot replace, and an operator has let this hub take
/// command since: then it is decided anew, above what is held.
fn gives_way(sheet: &Sheet<'_>, assigned: &Assigned) -> bool {
    let tenant = &sheet.known.tenant;
    if assigned.term >= sheet.view.command_term || assigned.withdrawing {
        return false;
    }
    let session = sheet
        .view
        .clusters
        .get(&assigned.cluster)
        .and_then(|known| known.session.as_ref());
    session
        .and_then(|session| session.held.get(&tenant.id))
        .is_some_and(|(uid, generation, digest)| {
            *uid == tenant.uid
                && (*generation > assigned.generation
                    || (*generation == assigned.generation && *digest != assigned.digest))
        })
}

/// Whether the agent holds what is assigned. It is told again when it has not confirmed that for a while.
fn confirm(sheet: &mut Sheet<'_>, assigned: &Assigned, session: &SessionView, assign: bool) -> bool {
    let tenant = &sheet.known.tenant;
    let (generation, digest) = match session.held.get(&tenant.id) {
        Some((uid, generation, digest)) if *uid == tenant.uid => (*generation, Some(digest)),
        _ => Default::default(),
    };
    if generation == assigned.generation && digest == Some(&assigned.digest) {
        return true;
    }
    if assigned.withdrawing || assign {
        return false;
    }
    if generation > assigned.generation {
        let message = format!(
            "the agent of cluster {} holds assignment {generation}, newer than {} here: the hub's state is older than the cluster's; see berth fleet difference, then berth fleet take-command",
            assigned.cluster, assigned.generation
        );
        sheet.stall("AgentAhead", message);
        return false;
    }
    if generation == assigned.generation && digest.is_some() {
        let message = format!(
            "the agent of cluster {} holds another content as assignment {generation}; see berth fleet difference, then berth fleet take-command",
            assigned.cluster
        );
        sheet.stall("AgentDisagrees", message);
        return false;
    }
    let due = later(
        sheet.since(ConditionKind::Applied, Truth::False),
        sheet.view.settings.resend_after,
    );
    if due <= sheet.view.now {
        sheet.step(Step::Resend {
            tenant: tenant.id.clone(),
            cluster: assigned.cluster.clone(),
        });
        sheet.wake(later(sheet.view.now, sheet.view.settings.resend_after));
    } else {
        sheet.wake(due);
    }
    false
}

fn outdated(sheet: &mut Sheet<'_>, assigned: &Assigned) {
    let message = format!(
        "generation {} of the spec is there, generation {} is not yet",
        assigned.tenant_generation, sheet.known.tenant.generation
    );
    sheet.working("Updating", message.clone());
    sheet.set(ConditionKind::Applied, Truth::False, "Outdated", message);
}

fn applied(sheet: &mut Sheet<'_>, report: &TenantReport) {
    match &report.apply {
        ApplyState::Applied => {
            let message = format!("assignment {} is in the cluster", report.generation);
            sheet.set(ConditionKind::Applied, Truth::True, "Applied", message);
        }
        ApplyState::Applying { waiting_for } => {
            let message = match waiting_for.as_str() {
                "" => format!("assignment {} is being applied", report.generation),
                waiting_for => format!(
                    "assignment {} is being applied; waiting for {waiting_for}",
                    report.generation
                ),
            };
            sheet.working("Applying", message.clone());
            sheet.set(ConditionKind::Applied, Truth::False, "Applying", message);
        }
        ApplyState::Failed { reason, message } => {
            sheet.stall(reason, message.clone());
            sheet.set(ConditionKind::Applied, Truth::False, reason, message.clone());
        }
        ApplyState::Withdrawing { .. } | ApplyState::WithdrawFailed { .. } | ApplyState::Withdrawn => {
            let message = "the agent has withdrawn it although it is to be there";
            sheet.stall("Withdrawn", message);
            sheet.set(ConditionKind::Applied, Truth::False, "Withdrawn", message);
        }
    }
}

fn healthy(sheet: &mut Sheet<'_>, health: &Health) {
    sheet.health = health.clone();
    let truth = match health.state {
        HealthState::Healthy => Truth::True,
        HealthState::Unknown => Truth::Unknown,
        HealthState::Progressing => {
            sheet.working("Progressing", health.message.clone());
            Truth::False
        }
        HealthState::Suspended | HealthState::Degraded | HealthState::Unhealthy => Truth::False,
    };
    let message = if health.message.is_empty() {
        "everything that was applied works"
    } else {
        &health.message
    };
    sheet.set(ConditionKind::Healthy, truth, health.state.as_str(), message);
}
