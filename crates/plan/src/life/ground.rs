//! The place itself: a node pool or a cluster is made, looked at, and made anew where it cannot be mended.

use berth_model::{
    ClusterPurpose, ConditionKind, Observed, Placement, PoolName, Tier, Truth,
    infra::{InfraPhase, TroubleClass},
    tier::{Bootstrap, ClusterTemplate, NodePoolTemplate},
};

use super::{
    accept::{Accepted, NotAccepted},
    pace::{self, Ask},
    sheet::{Sheet, later},
};
use crate::{
    index::region_of,
    plan::{ClusterStep, NodePoolStep, Step},
    view::{ClusterView, Placed},
};

/// Whether the tenant's objects can be sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    Usable,
    NotYet,
}

/// States `Provisioned` and takes the steps towards it.
pub(super) fn stand(sheet: &mut Sheet<'_>, placed: &Placed, accepted: Accepted<'_>) -> Ground {
    let cluster = placed.placement.cluster();
    let Some(known) = sheet.view.clusters.get(cluster) else {
        // Its record is saved together with the placement.
        if sheet.known.placed.is_none() {
            return not_yet(
                sheet,
                "Creating",
                format!("cluster {cluster} is about to be made"),
            );
        }
        let message =
            format!("cluster {cluster} is not in the fleet any more; join it again or delete the tenant");
        sheet.stall("ClusterMissing", message.clone());
        sheet.set(
            ConditionKind::Provisioned,
            Truth::False,
            "ClusterMissing",
            message,
        );
        return Ground::NotYet;
    };
    if let ClusterPurpose::Dedicated { tenant, uid } = &known.cluster.purpose
        && (*tenant != sheet.known.tenant.id || *uid != sheet.known.tenant.uid)
    {
        let message = format!("cluster {cluster} was made for another tenant");
        sheet.stall("ForeignCluster", message.clone());
        sheet.set(
            ConditionKind::Provisioned,
            Truth::False,
            "ForeignCluster",
            message,
        );
        return Ground::NotYet;
    }
    match &placed.placement {
        Placement::Namespace { .. } => shared(sheet, known),
        Placement::NodePool { .. } => node_pool(sheet, placed, known, accepted),
        Placement::Cluster { .. } => own_cluster(sheet, placed, known, accepted),
    }
}

fn joined(known: &ClusterView) -> bool {
    known.cluster.joined_at.is_some() || known.session.is_some()
}

fn not_yet(sheet: &mut Sheet<'_>, reason: &'static str, message: String) -> Ground {
    sheet.working(reason, message.clone());
    sheet.set(ConditionKind::Provisioned, Truth::False, reason, message);
    Ground::NotYet
}

fn stuck(sheet: &mut Sheet<'_>, reason: &str, message: String) -> Ground {
    sheet.stall(reason, message.clone());
    sheet.set(ConditionKind::Provisioned, Truth::False, reason, message);
    Ground::NotYet
}

fn usable(sheet: &mut Sheet<'_>, reason: &'static str, message: String) -> Ground {
    sheet.set(ConditionKind::Provisioned, Truth::True, reason, message);
    Ground::Usable
}

fn shared(sheet: &mut Sheet<'_>, known: &ClusterView) -> Ground {
    let name = &known.cluster.name;
    if joined(known) {
        usable(sheet, "SharedCluster", format!("shared cluster {name} is there"))
    } else {
        not_yet(
            sheet,
            "NotJoined",
            format!("waiting for the agent of cluster {name} to join"),
        )
    }
}

fn node_pool(sheet: &mut Sheet<'_>, placed: &Placed, known: &ClusterView, accepted: Accepted<'_>) -> Ground {
    let Placement::NodePool { cluster, pool } = &placed.placement else {
        return Ground::NotYet;
    };
    let infra = &sheet.known.infra;
    let nodes = known
        .cluster
        .facts
        .as_ref()
        .and_then(|facts| facts.pools.get(pool.as_str()))
        .copied()
        .unwrap_or_default();
    let by_hand = !sheet.view.settings.cloud && infra.observed.pool.is_none();
    let active = matches!(
        infra
            .observed
            .pool
            .as_ref()
            .and_then(Observed::known)
            .map(|pool| pool.phase),
        Some(InfraPhase::Active | InfraPhase::Updating)
    );
    if (active || by_hand) && nodes.ready_nodes >= 1 {
        return usable(
            sheet,
            "PoolReady",
            format!(
                "node pool {pool} in cluster {cluster} has {} of {} nodes ready",
                nodes.ready_nodes, nodes.nodes
            ),
        );
    }
    let step = match pool_step(sheet, placed, known, accepted) {
        Ok(step) => step,
        Err(NotAccepted) => {
            return not_yet(sheet, "NotAccepted", "waiting for the spec to be accepted".into());
        }
    };
    if !sheet.view.settings.cloud {
        return stuck(sheet, "NoCloud", pace::no_cloud());
    }
    let phase = infra
        .observed
        .pool
        .as_ref()
        .and_then(Observed::known)
        .map(|pool| pool.phase);
    let waiting = if active {
        format!(
            "waiting for a ready node in pool {pool}: {} of {} are",
            nodes.ready_nodes, nodes.nodes
        )
    } else {
        format!(
            "waiting for node pool {pool} in cluster {cluster}: {}",
            shown(infra.observed.pool.as_ref().map(Observed::known), phase)
        )
    };
    let next = course(
        sheet,
        phase,
        infra.observed.pool.as_ref().is_some_and(Observed::is_absent),
        true,
    );
    act(sheet, next, waiting, |attempt, release| {
        let step = NodePoolStep {
            attempt,
            ..step.clone()
        };
        if release {
            Step::ReleaseNodePool(step)
        } else {
            Step::EnsureNodePool(step)
        }
    })
}

fn own_cluster(
    sheet: &mut Sheet<'_>,
    placed: &Placed,
    known: &ClusterView,
    accepted: Accepted<'_>,
) -> Ground {
    let cluster = placed.placement.cluster();
    let infra = &sheet.known.infra;
    let observed = infra.observed.cluster.as_ref();
    let phase = observed.and_then(Observed::known).map(|cluster| cluster.phase);
    let active = matches!(phase, Some(InfraPhase::Active | InfraPhase::Updating));
    let step = cluster_step(sheet, known, accepted);
    if active && joined(known) {
        if let Ok(step) = &step {
            close_endpoint(sheet, known, step, phase);
        }
        return usable(
            sheet,
            "ClusterReady",
            format!("cluster {cluster} is active and its agent has joined"),
        );
    }
    let step = match step {
        Ok(step) => step,
        Err(NotAccepted) => {
            return not_yet(sheet, "NotAccepted", "waiting for the spec to be accepted".into());
        }
    };
    if !sheet.view.settings.cloud {
        return stuck(sheet, "NoCloud", pace::no_cloud());
    }
    if active {
        return bootstrap(sheet, step);
    }
    // A cluster that the tenant lived in holds its data: only a person may decide to make another.
    let in_use = sheet.known.assigned.is_some() || known.cluster.joined_at.is_some();
    let next = course(sheet, phase, observed.is_some_and(Observed::is_absent), !in_use);
    let detail = observed
        .and_then(Observed::known)
        .map(|c| c.waiting_for.as_str())
        .filter(|text| !text.is_empty());
    let waiting = format!(
        "waiting for cluster {cluster} in {}: {}",
        step.region,
        detail.map_or_else(|| shown(observed.map(Observed::known), phase), str::to_owned)
    );
    act(sheet, next, waiting, |attempt, release| {
        let step = ClusterStep {
            attempt,
            ..step.clone()
        };
        if release {
            Step::ReleaseCluster(step)
        } else {
            Step::EnsureCluster(step)
        }
    })
}

fn shown<T>(observed: Option<Option<&T>>, phase: Option<InfraPhase>) -> String {
    match (observed, phase) {
        (None, _) => "not asked for yet".into(),
        (Some(None), _) => "not seen yet".into(),
        (Some(Some(_)), Some(phase)) => format!("{phase:?}").to_lowercase(),
        (Some(Some(_)), None) => "unknown".into(),
    }
}

/// What is to be done with something that is not usable.
enum Course {
    /// Start or look.
    Ensure { attempt: u32 },
    /// It cannot be mended: away with it, then made anew.
    Replace { attempt: u32 },
    /// It is lost, and replacing it would lose what the tenant has there.
    Lost,
}

fn course(sheet: &Sheet<'_>, phase: Option<InfraPhase>, absent: bool, replaceable: bool) -> Course {
    let infra = &sheet.known.infra;
    let replace = infra
        .observed
        .trouble
        .as_ref()
        .is_some_and(|trouble| trouble.class == TroubleClass::Replace);
    let attempt = infra.attempt;
    // Known to be absent after it was there: a new attempt has names and tokens of its own.
    if absent {
        return if replaceable {
            Course::Ensure {
                attempt: attempt.saturating_add(1),
            }
        } else {
            Course::Lost
        };
    }
    match phase {
        _ if replace && replaceable => Course::Replace { attempt },
        Some(InfraPhase::Failed | InfraPhase::Deleting) if replaceable => Course::Replace { attempt },
        Some(InfraPhase::Failed | InfraPhase::Deleting) => Course::Lost,
        _ if replace => Course::Lost,
        _ => Course::Ensure { attempt },
    }
}

fn act(sheet: &mut Sheet<'_>, course: Course, waiting: String, step: impl Fn(u32, bool) -> Step) -> Ground {
    let (attempt, release) = match course {
        Course::Ensure { attempt } => (attempt, false),
        Course::Replace { attempt } => (attempt, true),
        Course::Lost => {
            let words = pace::trouble(&sheet.known.infra).unwrap_or(waiting);
            return stuck(
                sheet,
                "InfrastructureLost",
                format!(
                    "what the tenant lives on is broken or gone, and replacing it would lose its data: {words}"
                ),
            );
        }
    };
    // Until the placement is saved, nothing may be made for it.
    if sheet.known.placed.is_some() {
        match pace::ask(&sheet.known.infra, &sheet.view.settings, sheet.view.now) {
            Ask::Busy => {}
            Ask::Now => {
                sheet.step(step(attempt, release));
                sheet.wake(later(sheet.view.now, sheet.view.settings.infra_poll));
            }
            Ask::At(at) => sheet.wake(at),
        }
    }
    let infra = &sheet.known.infra;
    match (&infra.observed.trouble, pace::trouble(infra)) {
        (Some(trouble), Some(words)) if trouble.class == TroubleClass::Operator => {
            stuck(sheet, &trouble.code, words)
        }
        (Some(_), Some(words)) => not_yet(sheet, "CloudTrouble", format!("{waiting}; last trouble {words}")),
        _ if release => not_yet(
            sheet,
            "Replacing",
            format!("{waiting}; it is removed and made anew"),
        ),
        _ => not_yet(sheet, "Creating", waiting),
    }
}

fn bootstrap(sheet: &mut Sheet<'_>, step: ClusterStep) -> Ground {
    let (settings, now) = (&sheet.view.settings, sheet.view.now);
    let infra = &sheet.known.infra;
    let cluster = step.cluster.clone();
    let when = match (&infra.bootstrap_trouble, infra.bootstrapped) {
        _ if infra.busy => Ask::Busy,
        (Some((at, _)), _) => pace::due(*at, settings.infra_poll, now),
        (None, false) => Ask::Now,
        // Applying the manifest again is harmless; an agent that never dials in may have lost its token.
        (None, true) => infra
            .looked_at
            .map_or(Ask::Now, |at| pace::due(at, settings.join_patience, now)),
    };
    match when {
        Ask::Busy => {}
        Ask::Now => {
            sheet.step(Step::Bootstrap(step));
            sheet.wake(later(now, settings.infra_poll));
        }
        Ask::At(at) => sheet.wake(at),
    }
    match (&infra.bootstrap_trouble, infra.bootstrapped) {
        (Some((_, problem)), _) => not_yet(
            sheet,
            "Bootstrapping",
            format!(
                "cluster {cluster} is active; bringing the agent in failed and is tried again: {problem}"
            ),
        ),
        (None, true) => not_yet(
            sheet,
            "WaitingForAgent",
            format!("the agent's manifest is in cluster {cluster}; waiting for the agent to dial in"),
        ),
        (None, false) => not_yet(
            sheet,
            "Bootstrapping",
            format!("cluster {cluster} is active; bringing the agent in"),
        ),
    }
}

/// A public endpoint is closed by one more look after the agent has dialled in.
fn close_endpoint(sheet: &mut Sheet<'_>, known: &ClusterView, step: &ClusterStep, phase: Option<InfraPhase>) {
    let infra = &sheet.known.infra;
    if step.template.bootstrap != Bootstrap::PublicThenPrivate
        || known.session.is_none()
        || !sheet.view.settings.cloud
    {
        return;
    }
    let Some(joined) = known.cluster.joined_at else {
        return;
    };
    let closed = infra.looked_at.is_some_and(|looked| looked > joined);
    if closed && phase == Some(InfraPhase::Active) && infra.observed.trouble.is_none() {
        return;
    }
    match if closed {
        pace::ask(infra, &sheet.view.settings, sheet.view.now)
    } else if infra.busy {
        Ask::Busy
    } else {
        Ask::Now
    } {
        Ask::Busy => {}
        Ask::Now => {
            sheet.step(Step::EnsureCluster(step.clone()));
            sheet.wake(later(sheet.view.now, sheet.view.settings.infra_poll));
        }
        Ask::At(at) => sheet.wake(at),
    }
}

/// The step about the tenant's pool, with the current attempt.
fn pool_step(
    sheet: &Sheet<'_>,
    placed: &Placed,
    known: &ClusterView,
    tier: Accepted<'_>,
) -> Result<NodePoolStep, NotAccepted> {
    let pool = placed.placement.pool().ok_or(NotAccepted)?;
    let template = tier.and_then(|tier: &Tier| tier.spec.node_pool.clone().ok_or(NotAccepted))?;
    Ok(pool_step_of(sheet, pool, known, template))
}

/// The step about the tenant's cluster, with the current attempt.
fn cluster_step(
    sheet: &Sheet<'_>,
    known: &ClusterView,
    tier: Accepted<'_>,
) -> Result<ClusterStep, NotAccepted> {
    let template = tier.and_then(|tier: &Tier| tier.spec.cluster.clone().ok_or(NotAccepted))?;
    Ok(cluster_step_of(sheet, known, template))
}

pub(super) fn pool_step_of(
    sheet: &Sheet<'_>,
    pool: &PoolName,
    known: &ClusterView,
    template: NodePoolTemplate,
) -> NodePoolStep {
    let name = &known.cluster.name;
    let cloud_name = &known.cluster.cloud_name;
    NodePoolStep {
        tenant: sheet.known.tenant.id.clone(),
        uid: sheet.known.tenant.uid.clone(),
        cluster: name.clone(),
        cloud_cluster: if cloud_name.is_empty() {
            name.to_string()
        } else {
            cloud_name.clone()
        },
        region: region_of(&known.cluster).to_owned(),
        pool: pool.clone(),
        template,
        attempt: sheet.known.infra.attempt,
    }
}

pub(super) fn cluster_step_of(
    sheet: &Sheet<'_>,
    known: &ClusterView,
    template: ClusterTemplate,
) -> ClusterStep {
    ClusterStep {
        tenant: sheet.known.tenant.id.clone(),
        uid: sheet.known.tenant.uid.clone(),
        cluster: known.cluster.name.clone(),
        region: region_of(&known.cluster).to_owned(),
        template,
        attempt: sheet.known.infra.attempt,
        agent_connected: known.session.is_some(),
    }
}
