//! Why no packets are sent. Pure.
//!
//! Whether packets are stopped can only be seen where containers really run, by pods that try. This version starts none: it says
//! so, with the reason that weighs most, and traffic never counts as seen.

use berth_model::{ClusterFacts, NetworkPolicyEnforcement, Probe};

use super::{Aim, survey::Survey};

/// The probes of a tenant's traffic.
pub(super) fn probes(survey: &Survey, facts: &ClusterFacts, containers_run: bool) -> Vec<Probe> {
    let Some(home) = survey.main() else {
        return Vec::new();
    };
    let reason = if !containers_run {
        "no containers run here"
    } else if facts.network_policy != NetworkPolicyEnforcement::Enforced {
        "no network plug-in runs here that is known to enforce policies"
    } else {
        "this version of the agent sends no packets"
    };
    let aims = [
        (
            "traffic-in",
            format!("a connection from another tenant's pod to one in {home}"),
        ),
        (
            "traffic-out",
            format!("a connection from a pod in {home} to another tenant's"),
        ),
        (
            "traffic-metadata",
            format!("a connection from a pod in {home} to the cloud's metadata address"),
        ),
    ];
    aims.map(|(name, what)| Aim::new(name, what, "no answer").aside(reason))
        .into()
}
