//! What an agent said of the tenant, and whether it is fresh enough to be believed.

use berth_model::{ClusterName, TenantReport, Timestamp};

use crate::{
    place::Site,
    view::{Assigned, TenantView, View},
};

/// What is known from the tenant's cluster.
pub(super) enum Word<'a> {
    /// A fresh report of what is assigned.
    Fresh { report: &'a TenantReport, at: Timestamp },
    /// The agent is there, and has not spoken of what is assigned.
    Silent,
    /// The agent is away or cannot see its API server.
    Away { message: String, at: Option<Timestamp> },
}

/// The latest word about `assigned`. A report is as old as the agent's last look at its API server.
pub(super) fn word<'a>(view: &'a View, known: &'a TenantView, assigned: &Assigned) -> Word<'a> {
    let ours = known.report.as_ref().filter(|evidence| {
        evidence.report.uid == known.tenant.uid && evidence.report.generation == assigned.generation
    });
    let heard = view
        .clusters
        .get(&assigned.cluster)
        .and_then(|cluster| cluster.evidence_at);
    let at = ours
        .map(|evidence| evidence.at)
        .max(heard.filter(|_| ours.is_some()));
    if let (Some(evidence), Some(at)) = (ours, at)
        && !Site::is_stale(at, view)
    {
        return Word::Fresh {
            report: &evidence.report,
            at,
        };
    }
    match away(view, &assigned.cluster) {
        Some(message) => Word::Away { message, at },
        None => Word::Silent,
    }
}

/// Why nothing can be heard from `cluster` now.
pub(super) fn away(view: &View, cluster: &ClusterName) -> Option<String> {
    let Some(known) = view.clusters.get(cluster) else {
        return Some(format!("cluster {cluster} is not in the fleet"));
    };
    let lifetime = view.settings.evidence_lifetime;
    let stale = known.evidence_at.is_none_or(|at| Site::is_stale(at, view));
    match (&known.session, known.evidence_at) {
        (Some(session), at) if stale => {
            let problem = session.api_error.as_deref().unwrap_or("no heartbeat");
            let at = at.map_or_else(|| "never".to_owned(), |at| format!("{at:.0}"));
            Some(format!(
                "the agent of cluster {cluster} has no fresh evidence ({problem}), last at {at}"
            ))
        }
        (Some(_), _) => None,
        (None, Some(at)) => Some(format!(
            "the agent of cluster {cluster} is not connected, last evidence at {at:.0} (believed for {} s)",
            lifetime.as_secs()
        )),
        (None, None) => Some(format!(
            "the agent of cluster {cluster} has not been heard since the hub started"
        )),
    }
}
