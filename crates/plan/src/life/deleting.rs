//! The end of a tenant: its cluster is emptied, its infrastructure removed, and only then it is forgotten.

use berth_model::{
    ClusterName, ClusterPurpose, ConditionKind, Generation, Observed, Placement, Truth,
    infra::TroubleClass,
    report::ApplyState,
    tier::{Bootstrap, CapacityType, ClusterTemplate, NodePoolTemplate},
};

use super::{
    evidence, ground,
    pace::{self, Ask},
    sheet::{Sheet, later},
};
use crate::{
    gate::{self, Pass},
    plan::Step,
    view::{Assigned, Placed},
};

/// Whether a stage is over.
enum Stage {
    Over,
    Waiting(&'static str, String),
}

/// Takes the next step of removing the tenant, and states what is still there.
pub(super) fn delete(sheet: &mut Sheet<'_>, pass: Option<&Pass>) {
    if let Some(finding) = &sheet.known.stalled {
        sheet.stall("PlanRefused", finding.clone());
    }
    let stage = match withdraw(sheet, pass) {
        Stage::Over => release(sheet),
        waiting @ Stage::Waiting(..) => waiting,
    };
    let (reason, message) = match stage {
        Stage::Waiting(reason, message) => (reason, message),
        Stage::Over => forget(sheet),
    };
    what_is_left(sheet, &message);
    sheet.set(ConditionKind::Deleting, Truth::True, reason, message);
}

fn what_is_left(sheet: &mut Sheet<'_>, message: &str) {
    match &sheet.known.placed {
        Some(placed) => {
            let message = format!("still on cluster {}", placed.placement.cluster());
            sheet.set(ConditionKind::Placed, Truth::True, "Deleting", message);
        }
        None => sheet.set(ConditionKind::Placed, Truth::False, "Deleting", "it has no place"),
    }
    for kind in [ConditionKind::Provisioned, ConditionKind::Applied] {
        sheet.set(kind, Truth::False, "Deleting", message);
    }
    sheet.set(
        ConditionKind::Healthy,
        Truth::Unknown,
        "Deleting",
        "it is being deleted",
    );
}

fn withdraw(sheet: &mut Sheet<'_>, pass: Option<&Pass>) -> Stage {
    let known = sheet.known;
    let Some(assigned) = known.assigned.as_ref().filter(|assigned| !assigned.withdrawn) else {
        return Stage::Over;
    };
    let cluster = &assigned.cluster;
    let own = known
        .placed
        .as_ref()
        .filter(|placed| matches!(&placed.placement, Placement::Cluster { cluster: own } if own == cluster))
        .filter(|_| made_for(sheet, cluster));
    if own.is_some()
        && known
            .infra
            .observed
            .cluster
            .as_ref()
            .is_some_and(Observed::is_absent)
    {
        // The cluster is gone, and with it everything in it.
        return Stage::Over;
    }
    if !assigned.withdrawing {
        if let Some(stopped) = stopped(sheet, cluster, pass) {
            return stopped;
        }
        tell(sheet, assigned);
        return Stage::Waiting(
            "Withdrawing",
            format!("telling the agent of cluster {cluster} to remove it"),
        );
    }
    let said = known
        .report
        .as_ref()
        .filter(|evidence| evidence.report.uid == known.tenant.uid)
        .map(|evidence| &evidence.report.apply);
    if let Some(ApplyState::Withdrawn) = said {
        sheet.step(Step::SaveWithdrawn {
            tenant: known.tenant.id.clone(),
            uid: known.tenant.uid.clone(),
        });
        return Stage::Waiting("Withdrawn", format!("nothing of it is left in cluster {cluster}"));
    }
    if own.is_some() {
        // A cluster made for it alone goes with everything in it, so nobody has to wait for its agent for ever.
        let asked = known.tenant.deleting_since.unwrap_or(sheet.view.now);
        let patience = later(asked, sheet.view.settings.withdraw_patience);
        if patience <= sheet.view.now {
            return Stage::Over;
        }
        sheet.wake(patience);
    }
    if let Some(ApplyState::WithdrawFailed { reason, message }) = said {
        sheet.stall(reason, message.clone());
        if sheet.view.confirmed(known) {
            // Its agent may not know that yet.
            tell(sheet, assigned);
            sheet.wake(later(sheet.view.now, sheet.view.settings.resend_after));
        }
        return Stage::Waiting(
            "Withdrawing",
            format!("cluster {cluster} cannot be emptied: {message}"),
        );
    }
    // A failure from before the withdrawal is of an assignment; one of a withdrawal of what is not held has no generation.
    let refused = known
        .report
        .as_ref()
        .filter(|evidence| evidence.report.generation == Generation(0));
    if let (Some(ApplyState::Failed { reason, message }), Some(_)) = (said, refused) {
        sheet.stall(reason, message.clone());
        let due = later(sheet.view.now, sheet.view.settings.resend_after);
        tell(sheet, assigned);
        sheet.wake(due);
        return Stage::Waiting(
            "Withdrawing",
            format!("cluster {cluster} cannot be emptied: {message}"),
        );
    }
    if let Some(ApplyState::Withdrawing { waiting_for }) = said {
        return Stage::Waiting(
            "Withdrawing",
            format!("cluster {cluster} is being emptied; waiting for {waiting_for}"),
        );
    }
    if !sheet.view.clusters.contains_key(cluster) {
        let message = format!(
            "cluster {cluster} is not in the fleet any more, so nobody can say that it is empty; join it again"
        );
        sheet.stall("ClusterMissing", message.clone());
        return Stage::Waiting("ClusterMissing", message);
    }
    if let Some(message) = evidence::away(sheet.view, cluster) {
        return Stage::Waiting("AgentUnreachable", message);
    }
    let due = later(
        sheet.since(ConditionKind::Applied, Truth::False),
        sheet.view.settings.resend_after,
    );
    if due <= sheet.view.now {
        tell(sheet, assigned);
        sheet.wake(later(sheet.view.now, sheet.view.settings.resend_after));
    } else {
        sheet.wake(due);
    }
    Stage::Waiting(
        "Withdrawing",
        format!("waiting for the agent of cluster {cluster} to remove it"),
    )
}

/// Nothing goes while the cluster's breaker is open.
fn stopped(sheet: &mut Sheet<'_>, cluster: &ClusterName, pass: Option<&Pass>) -> Option<Stage> {
    let tripped = match pass {
        Some(Pass::Trips(tripped)) => {
            sheet.step(Step::TripBreaker {
                tenant: sheet.known.tenant.id.clone(),
                uid: sheet.known.tenant.uid.clone(),
                cluster: cluster.clone(),
                tripped: *tripped,
            });
            tripped
        }
        Some(Pass::Stopped(tripped)) => tripped,
        Some(Pass::Confirmed | Pass::Counted) | None => return None,
    };
    let message = gate::told(cluster, tripped, &sheet.view.settings.breaker);
    sheet.stall("BreakerOpen", message.clone());
    Some(Stage::Waiting("BreakerOpen", message))
}

/// Whether the fleet knows that cluster as made for this tenant alone: what it is gone with is then nobody else's.
fn made_for(sheet: &Sheet<'_>, cluster: &ClusterName) -> bool {
    let tenant = &sheet.known.tenant;
    let made = ClusterPurpose::Dedicated {
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
    };
    sheet
        .view
        .clusters
        .get(cluster)
        .is_some_and(|known| known.cluster.purpose == made)
}

fn tell(sheet: &mut Sheet<'_>, assigned: &Assigned) {
    let tenant = &sheet.known.tenant;
    sheet.step(Step::Withdraw {
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
        cluster: assigned.cluster.clone(),
        confirmed: sheet.view.confirmed(sheet.known),
    });
}

fn release(sheet: &mut Sheet<'_>) -> Stage {
    let known = sheet.known;
    let Some(placed) = &known.placed else {
        return Stage::Over;
    };
    let observed = &known.infra.observed;
    let (absent, touched) = match &placed.placement {
        Placement::Namespace { .. } => return Stage::Over,
        Placement::NodePool { .. } => (
            observed.pool.as_ref().is_some_and(Observed::is_absent),
            observed.pool.is_some(),
        ),
        Placement::Cluster { .. } => (
            observed.cluster.as_ref().is_some_and(Observed::is_absent),
            observed.cluster.is_some(),
        ),
    };
    // With a cloud it is asked even when nothing is known to have been made.
    if absent || !(touched || sheet.view.settings.cloud) {
        return Stage::Over;
    }
    let Some(step) = release_step(sheet, placed) else {
        if !touched {
            return Stage::Over;
        }
        let message = format!(
            "the record of cluster {} is gone, so its infrastructure cannot be removed by the hub",
            placed.placement.cluster()
        );
        sheet.stall("ClusterMissing", message.clone());
        return Stage::Waiting("ClusterMissing", message);
    };
    match pace::ask(&known.infra, &sheet.view.settings, sheet.view.now) {
        Ask::Busy => {}
        Ask::Now => {
            sheet.step(step);
            sheet.wake(later(sheet.view.now, sheet.view.settings.infra_poll));
        }
        Ask::At(at) => sheet.wake(at),
    }
    let what = match placed.placement.pool() {
        Some(pool) => format!("node pool {pool} in cluster {}", placed.placement.cluster()),
        None => format!("cluster {}", placed.placement.cluster()),
    };
    match (&observed.trouble, pace::trouble(&known.infra)) {
        (Some(trouble), Some(words)) => {
            if trouble.class == TroubleClass::Operator {
                sheet.stall(&trouble.code, words.clone());
            }
            Stage::Waiting("CloudTrouble", format!("removing {what}: {words}"))
        }
        _ => Stage::Waiting("Releasing", format!("waiting for {what} to be gone")),
    }
}

/// Removal needs names only; a tier that is gone must not keep what it once made.
fn release_step(sheet: &Sheet<'_>, placed: &Placed) -> Option<Step> {
    let cluster = sheet.view.clusters.get(placed.placement.cluster())?;
    let tier = sheet.view.tiers.get(&sheet.known.tenant.spec.tier);
    Some(match placed.placement.pool() {
        Some(pool) => {
            let template = tier
                .and_then(|tier| tier.spec.node_pool.clone())
                .unwrap_or_else(no_nodes);
            Step::ReleaseNodePool(ground::pool_step_of(sheet, pool, cluster, template))
        }
        None => {
            let template = tier
                .and_then(|tier| tier.spec.cluster.clone())
                .unwrap_or_else(no_cluster);
            Step::ReleaseCluster(ground::cluster_step_of(sheet, cluster, template))
        }
    })
}

fn no_nodes() -> NodePoolTemplate {
    NodePoolTemplate {
        instance_types: Vec::new(),
        capacity_type: CapacityType::default(),
        disk_gib: 0,
        min_nodes: 0,
        max_nodes: 0,
        desired_nodes: 0,
        labels: std::collections::BTreeMap::new(),
    }
}

fn no_cluster() -> ClusterTemplate {
    ClusterTemplate {
        kubernetes_version: String::new(),
        private_endpoint: true,
        bootstrap: Bootstrap::default(),
        public_access_cidrs: Vec::new(),
        logging: Vec::new(),
        tags: std::collections::BTreeMap::new(),
        nodes: no_nodes(),
    }
}

fn forget(sheet: &mut Sheet<'_>) -> (&'static str, String) {
    let known = sheet.known;
    let infra = &known.infra.observed;
    let gone = infra.pool.as_ref().is_none_or(Observed::is_absent)
        && infra.cluster.as_ref().is_none_or(Observed::is_absent);
    let emptied = known.assigned.as_ref().is_none_or(|assigned| assigned.withdrawn)
        || infra.cluster.as_ref().is_some_and(Observed::is_absent);
    if !emptied {
        let message = "its cluster is not known to be empty, nor to be gone".to_owned();
        sheet.stall("ClusterNotEmptied", message.clone());
        return ("ClusterNotEmptied", message);
    }
    if !gone || known.infra.busy {
        let message =
            "infrastructure made for it is not known to be gone, and its place does not say where it is"
                .to_owned();
        if !known.infra.busy {
            sheet.stall("InfrastructureLeft", message.clone());
        }
        return ("InfrastructureLeft", message);
    }
    let tenant = &known.tenant;
    let own = known.placed.as_ref().and_then(|placed| match &placed.placement {
        Placement::Cluster { cluster } => sheet.view.clusters.get(cluster),
        Placement::Namespace { .. } | Placement::NodePool { .. } => None,
    });
    let made = ClusterPurpose::Dedicated {
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
    };
    let cluster = own
        .filter(|own| own.cluster.purpose == made)
        .map(|own| own.cluster.name.clone());
    sheet.step(Step::Forget {
        tenant: tenant.id.clone(),
        uid: tenant.uid.clone(),
        cluster,
    });
    ("Gone", "nothing of it is left outside".to_owned())
}
