//! Clusters and the facts that agents report of them.

use std::collections::BTreeMap;

use berth_model::{
    AcceptedGaps, Capacity, Cluster, ClusterFacts, ClusterName, ClusterPurpose, Timestamp, Violation,
    cluster::PoolFacts,
};
use berth_proto::v1;

use super::{capacity_from_proto, capacity_to_proto};
use crate::{names, time, words};

/// What is known of a cluster besides its record.
#[derive(Clone, Debug, Default)]
pub struct ClusterStatusView {
    /// Connected, Ready; see [`super::plain_condition`].
    pub conditions: Vec<v1::Condition>,
    /// How many tenants are placed there.
    pub tenants: usize,
    /// What they have reserved.
    pub reserved: Capacity,
    /// When the agent was last heard of.
    pub evidence: Option<Timestamp>,
    /// Version of the agent; empty when none is known.
    pub agent_version: String,
}

/// The cluster as the API shows it.
#[must_use]
pub fn cluster_to_proto(cluster: &Cluster, status: &ClusterStatusView) -> v1::Cluster {
    v1::Cluster {
        status: Some(v1::ClusterStatus {
            conditions: status.conditions.clone(),
            facts: cluster.facts.as_ref().map(facts_to_proto),
            tenants: i32::try_from(status.tenants).unwrap_or(i32::MAX),
            reserved: Some(capacity_to_proto(&status.reserved)),
            evidence_time: status.evidence.map(time::to_proto),
            agent_version: status.agent_version.clone(),
        }),
        ..record(cluster)
    }
}

/// The cluster without its status.
pub(crate) fn record(cluster: &Cluster) -> v1::Cluster {
    v1::Cluster {
        name: names::cluster(&cluster.name),
        uid: cluster.uid.to_string(),
        labels: cluster.labels.clone(),
        cordoned: cluster.cordoned,
        dedicated_to: match &cluster.purpose {
            ClusterPurpose::Shared => String::new(),
            ClusterPurpose::Dedicated { tenant, .. } => tenant.to_string(),
        },
        region: cluster.region.clone(),
        cloud_name: cluster.cloud_name.clone(),
        etag: names::etag(cluster.revision),
        create_time: Some(time::to_proto(cluster.created_at)),
        status: None,
        accepted_gaps: gaps_to_proto(&cluster.accepted_gaps),
        awaiting_acceptance: cluster.awaiting_acceptance,
        revoke_time: cluster.revoked.as_ref().map(|revoked| time::to_proto(revoked.at)),
        revoke_reason: cluster
            .revoked
            .as_ref()
            .map(|revoked| revoked.reason.clone())
            .unwrap_or_default(),
    }
}

/// Gaps with the reasons for which they were accepted.
pub(crate) fn gaps_to_proto(gaps: &AcceptedGaps) -> BTreeMap<String, String> {
    gaps.iter()
        .map(|(gap, reason)| (gap.as_str().to_owned(), reason.clone()))
        .collect()
}

/// Reads them; one that is not known here is another version's business.
pub(crate) fn gaps_from_proto(gaps: &BTreeMap<String, String>) -> AcceptedGaps {
    gaps.iter()
        .filter_map(|(gap, reason)| Some((gap.parse().ok()?, reason.clone())))
        .collect()
}

/// What an admin may change of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterChange {
    /// Which cluster.
    pub name: ClusterName,
    /// The etag it must still be at.
    pub etag: Option<berth_model::Revision>,
    /// Labels from now on.
    pub labels: BTreeMap<String, String>,
    /// Region from now on.
    pub region: String,
    /// Name in the cloud from now on.
    pub cloud_name: String,
}

/// Reads the parts of a cluster that an admin may change.
///
/// # Errors
/// Every fault of form.
pub fn cluster_change_from_proto(cluster: &v1::Cluster) -> Result<ClusterChange, Vec<Violation>> {
    match (
        names::parse_cluster("cluster.name", &cluster.name),
        names::parse_etag("cluster.etag", &cluster.etag),
    ) {
        (Ok(name), Ok(etag)) => Ok(ClusterChange {
            name,
            etag,
            labels: cluster.labels.clone(),
            region: cluster.region.clone(),
            cloud_name: cluster.cloud_name.clone(),
        }),
        (name, etag) => Err(name.err().into_iter().chain(etag.err()).collect()),
    }
}

/// An agent's facts.
#[must_use]
pub fn facts_to_proto(facts: &ClusterFacts) -> v1::ClusterFacts {
    v1::ClusterFacts {
        kubernetes_uid: facts.kubernetes_uid.clone(),
        kubernetes_version: facts.kubernetes_version.clone(),
        api_url: facts.api_url.clone(),
        api_ca_pem: facts.api_ca_pem.clone(),
        nodes: facts.nodes,
        ready_nodes: facts.ready_nodes,
        capacity: Some(capacity_to_proto(&facts.capacity)),
        pools: facts
            .pools
            .iter()
            .map(|(name, pool)| {
                let capacity = Some(capacity_to_proto(&pool.capacity));
                (
                    name.clone(),
                    v1::PoolFacts {
                        nodes: pool.nodes,
                        ready_nodes: pool.ready_nodes,
                        capacity,
                    },
                )
            })
            .collect(),
        namespaces: facts.namespaces,
        provider: facts.provider.as_str().into(),
        region: facts.region.clone(),
        network_policy: facts.network_policy.as_str().into(),
        mutating_admission_policy: facts.mutating_admission_policy,
        validating_admission_policy: facts.validating_admission_policy,
        istio: facts.istio,
    }
}

/// Reads facts. Words that are not known here (an agent may be newer) count as the cautious one: generic, unknown.
#[must_use]
pub fn facts_from_proto(facts: &v1::ClusterFacts) -> ClusterFacts {
    let capacity =
        |capacity: &Option<v1::Capacity>| capacity.as_ref().map(capacity_from_proto).unwrap_or_default();
    ClusterFacts {
        kubernetes_uid: facts.kubernetes_uid.clone(),
        kubernetes_version: facts.kubernetes_version.clone(),
        api_url: facts.api_url.clone(),
        api_ca_pem: facts.api_ca_pem.clone(),
        nodes: facts.nodes,
        ready_nodes: facts.ready_nodes,
        capacity: capacity(&facts.capacity),
        pools: facts
            .pools
            .iter()
            .map(|(name, pool)| {
                let capacity = capacity(&pool.capacity);
                (
                    name.clone(),
                    PoolFacts {
                        nodes: pool.nodes,
                        ready_nodes: pool.ready_nodes,
                        capacity,
                    },
                )
            })
            .collect(),
        namespaces: facts.namespaces,
        provider: words::find(&words::PROVIDERS, &facts.provider).unwrap_or_default(),
        region: facts.region.clone(),
        network_policy: words::find(&words::NETWORK_POLICIES, &facts.network_policy).unwrap_or_default(),
        mutating_admission_policy: facts.mutating_admission_policy,
        validating_admission_policy: facts.validating_admission_policy,
        istio: facts.istio,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn facts_survive(facts in testing::facts()) {
            prop_assert_eq!(facts_from_proto(&facts_to_proto(&facts)), facts);
        }
    }

    #[test]
    fn facts_of_a_newer_agent_are_read_with_caution() {
        let facts = facts_from_proto(&v1::ClusterFacts {
            provider: "moon".into(),
            network_policy: "by-magic".into(),
            ..Default::default()
        });
        assert_eq!(facts, ClusterFacts::default());
    }

    #[test]
    fn a_change_says_all_that_is_wrong_with_it() {
        let wrong = v1::Cluster {
            name: "eu-1".into(),
            etag: "x".into(),
            ..Default::default()
        };
        let violations = cluster_change_from_proto(&wrong).unwrap_err();
        assert_eq!(violations.len(), 2);
    }
}
