//! A shared cluster as placement sees it: what it takes, what it has, what is taken, this plan's own decisions included.

use std::{collections::BTreeMap, time::Duration};

use berth_model::{
    AcceptedGaps, Capacity, Cluster, ClusterFacts, Digest, Gap, Generation, MilliCpu,
    NetworkPolicyEnforcement, Provider, TenantId, Timestamp, Uid, tenant::PlacementConstraints,
};

use super::{Constraint, Minor};
use crate::{
    index::region_of,
    view::{ClusterView, Reserved, Settings, View},
};

/// A shared cluster.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) cluster: &'a Cluster,
    facts: Option<&'a ClusterFacts>,
    /// Why it takes no new tenants at all.
    pub(crate) closed: Option<Constraint>,
    /// Capacity less the headroom.
    pub(crate) usable: Capacity,
    /// What is reserved, this plan's own decisions included.
    pub(crate) reserved: Reserved,
    /// Everybody's namespaces, as reported.
    reported_namespaces: u32,
    /// Whom its agent holds, as far as is known.
    pub(crate) held: Option<&'a BTreeMap<TenantId, (Uid, Generation, Digest)>>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(known: &'a ClusterView, settings: &Settings, now: Timestamp) -> Self {
        let facts = known.cluster.facts.as_ref();
        let capacity = facts.map(|facts| facts.capacity).unwrap_or_default();
        Self {
            cluster: &known.cluster,
            facts,
            closed: closed(known, settings, now),
            usable: less_headroom(&capacity, settings.headroom_percent),
            reserved: known.reserved,
            reported_namespaces: facts.map_or(0, |facts| facts.namespaces),
            held: known.session.as_ref().map(|session| &session.held),
        }
    }

    /// Whether evidence gathered at `at` is too old to be believed.
    pub(crate) fn is_stale(at: Timestamp, view: &View) -> bool {
        is_older(at, view.settings.evidence_lifetime, view.now)
    }

    pub(crate) fn region(&self) -> &'a str {
        region_of(self.cluster)
    }

    pub(crate) const fn free(&self) -> Capacity {
        self.usable.minus(self.reserved.capacity)
    }

    /// Whether the tenant's own constraints hold here. Asked of new and of placed tenants.
    pub(crate) fn suits(&self, wanted: &PlacementConstraints) -> Result<(), Constraint> {
        if !wanted.regions.is_empty() && !wanted.regions.iter().any(|region| region == self.region()) {
            return Err(Constraint::Region {
                is: self.region().to_owned(),
                allowed: wanted.regions.clone(),
            });
        }
        for (key, value) in &wanted.cluster_labels {
            let is = self.cluster.labels.get(key);
            if is != Some(value) {
                return Err(Constraint::Label {
                    key: key.clone(),
                    wanted: value.clone(),
                    is: is.cloned(),
                });
            }
        }
        if let Some(least) = Minor::parse(&wanted.min_kubernetes_version) {
            let is = self
                .facts
                .map(|facts| facts.kubernetes_version.as_str())
                .unwrap_or_default();
            if Minor::parse(is).is_none_or(|is| is < least) {
                return Err(Constraint::KubernetesVersion {
                    is: is.to_owned(),
                    least,
                });
            }
        }
        if wanted.require_network_policy {
            let is = self.facts.map(|facts| facts.network_policy).unwrap_or_default();
            if is != NetworkPolicyEnforcement::Enforced {
                return Err(Constraint::NetworkPolicy { is });
            }
        }
        Ok(())
    }

    /// What the cluster cannot hold of a tenant's walls, when all of it was accepted.
    pub(crate) fn gaps(&self, settings: &Settings) -> Result<AcceptedGaps, Constraint> {
        let gaps = self.facts.map_or_else(|| Gap::ALL.to_vec(), ClusterFacts::gaps);
        gaps.into_iter()
            .map(|gap| {
                let accepted = self.cluster.accepted_gaps.get(&gap);
                match accepted.or_else(|| settings.accept_gaps.get(&gap)) {
                    Some(reason) => Ok((gap, reason.clone())),
                    None => Err(Constraint::NotEnforced { gap }),
                }
            })
            .collect()
    }

    /// Whether `more` namespaces find room.
    pub(crate) fn takes_namespaces(&self, more: u32, settings: &Settings) -> Result<(), Constraint> {
        let used = self.namespaces();
        let limit = settings.namespaces_per_cluster;
        if used.saturating_add(more) > limit {
            Err(Constraint::Namespaces {
                asked: more,
                used,
                limit,
            })
        } else {
            Ok(())
        }
    }

    /// Namespaces used: everybody's as reported, or the ones promised when those are more (a promised one is reported later).
    pub(crate) fn namespaces(&self) -> u32 {
        self.reported_namespaces.max(self.reserved.namespaces)
    }

    /// Whether `asked` finds room in the shared capacity.
    pub(crate) fn takes(&self, asked: &Capacity) -> Result<(), Constraint> {
        room(&self.usable, &self.free(), asked, &Capacity::default())
    }

    /// Whether a node pool named `pool` can be made here, or is there already.
    pub(crate) fn takes_pool(&self, pool: &str, settings: &Settings) -> Result<(), Constraint> {
        if self.facts.is_some_and(|facts| facts.pools.contains_key(pool)) {
            return Ok(());
        }
        if !settings.cloud {
            return Err(Constraint::NoCloud);
        }
        let provider = self.facts.map(|facts| facts.provider).unwrap_or_default();
        if provider != Provider::Eks {
            return Err(Constraint::NotEks { is: provider });
        }
        let (used, limit) = (self.reserved.pools, settings.node_groups_per_cluster);
        if used >= limit {
            Err(Constraint::NodeGroups { used, limit })
        } else {
            Ok(())
        }
    }
}

/// Whether `asked` fits into `free`, or is no more than what is `held` already.
pub(crate) fn room(
    usable: &Capacity,
    free: &Capacity,
    asked: &Capacity,
    held: &Capacity,
) -> Result<(), Constraint> {
    if asked.cpu > free.cpu && asked.cpu > held.cpu {
        return Err(Constraint::Cpu {
            asked: asked.cpu,
            free: free.cpu,
            usable: usable.cpu,
        });
    }
    if asked.memory > free.memory && asked.memory > held.memory {
        return Err(Constraint::Memory {
            asked: asked.memory,
            free: free.memory,
            usable: usable.memory,
        });
    }
    if asked.pods > free.pods && asked.pods > held.pods {
        return Err(Constraint::Pods {
            asked: asked.pods,
            free: free.pods,
            usable: usable.pods,
        });
    }
    Ok(())
}

fn closed(known: &ClusterView, settings: &Settings, now: Timestamp) -> Option<Constraint> {
    if known.cluster.facts.is_none() || (known.cluster.joined_at.is_none() && known.session.is_none()) {
        return Some(Constraint::NotJoined);
    }
    // Before anything that may pass by itself: its agent does not come back until somebody helps.
    if known.cluster.revoked.is_some() {
        return Some(Constraint::Revoked);
    }
    match &known.session {
        Some(session) => {
            if let Some(problem) = &session.api_error {
                return Some(Constraint::ApiUnreachable {
                    problem: problem.clone(),
                });
            }
        }
        None => {
            if known
                .evidence_at
                .is_none_or(|at| is_older(at, settings.evidence_lifetime, now))
            {
                return Some(Constraint::AgentAway {
                    last: known.evidence_at,
                });
            }
        }
    }
    if known.cluster.awaiting_acceptance {
        return Some(Constraint::NotAccepted);
    }
    known.cluster.cordoned.then_some(Constraint::Cordoned)
}

/// Whether `at` is longer ago than `lifetime`.
fn is_older(at: Timestamp, lifetime: Duration, now: Timestamp) -> bool {
    let age = i128::from(now.as_millisecond()) - i128::from(at.as_millisecond());
    age > i128::try_from(lifetime.as_millis()).unwrap_or(i128::MAX)
}

fn less_headroom(capacity: &Capacity, percent: u32) -> Capacity {
    let keep = u128::from(100 - percent.min(100));
    let less = |amount: u64| u64::try_from(u128::from(amount) * keep / 100).unwrap_or(u64::MAX);
    Capacity {
        cpu: MilliCpu(less(capacity.cpu.0)),
        memory: berth_model::Bytes(less(capacity.memory.0)),
        pods: less(capacity.pods),
    }
}
