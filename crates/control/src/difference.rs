//! What the clusters hold against what the store says they should: shown to an operator before a hub with a restored store takes
//! command. Pure; nothing here changes anything.

use std::collections::BTreeSet;

use berth_model::{ClusterName, Generation, TenantId, Term, Uid};
use berth_plan::view::{Assigned, TenantView, View};

/// What the clusters hold against what the store says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Tenants that are not the same on both sides, by cluster and tenant.
    pub tenants: Vec<TenantDifference>,
    /// Tenants that are the same.
    pub equal: usize,
    /// Clusters of the store whose agent is not connected: nothing is known of what they hold.
    pub silent: Vec<ClusterName>,
    /// The highest term an agent has told of.
    pub highest_term: Term,
}

/// One tenant that is not the same in the store and in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantDifference {
    /// Where.
    pub cluster: ClusterName,
    /// Which.
    pub tenant: TenantId,
    /// In which way.
    pub kind: DifferenceKind,
    /// Of the assignment in the store.
    pub desired: Option<Generation>,
    /// Of the assignment the agent holds.
    pub held: Option<Generation>,
}

/// How a tenant differs, and so what taking command does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// The store has it there, the cluster does not hold it.
    Missing,
    /// The cluster holds what the store knows nothing of.
    Unknown,
    /// The cluster holds another tenant of that name.
    OtherTenant,
    /// The cluster holds it although the store has it elsewhere or nowhere.
    NotAssigned,
    /// The cluster holds an older assignment.
    Older,
    /// The cluster holds a newer assignment: it was changed after the backup was made.
    Newer,
    /// The same generation with another content.
    OtherContent,
    /// The store says that it is on its way out, the cluster still holds it.
    Leaving,
}

impl DifferenceKind {
    /// One word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "Missing",
            Self::Unknown => "Unknown",
            Self::OtherTenant => "OtherTenant",
            Self::NotAssigned => "NotAssigned",
            Self::Older => "Older",
            Self::Newer => "Newer",
            Self::OtherContent => "OtherContent",
            Self::Leaving => "Leaving",
        }
    }

    /// What taking command does with it.
    #[must_use]
    pub const fn effect(self) -> &'static str {
        match self {
            Self::Missing => "is sent to the cluster",
            Self::Unknown => "stays in the cluster untouched: what the hub does not know it does not delete",
            Self::OtherTenant => {
                "stays in the cluster untouched, and the tenant here is stalled until somebody decides"
            }
            Self::NotAssigned => {
                "stays in the cluster untouched, or is brought to what the hub has when it has no other place"
            }
            Self::Older => "is brought up to what the hub has",
            Self::Newer | Self::OtherContent => "is put back to what the hub has",
            Self::Leaving => "is removed from the cluster",
        }
    }
}

impl Difference {
    /// Whether a cluster holds what no assignment of the store can replace before an operator lets a hub take command.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        let ahead = [DifferenceKind::Newer, DifferenceKind::OtherContent];
        self.tenants.iter().any(|differs| ahead.contains(&differs.kind))
    }
}

/// Compares. Clusters that are not connected are named and not judged.
#[must_use]
pub fn difference(view: &View, highest_term: Term) -> Difference {
    let mut found = Difference {
        highest_term,
        ..Difference::default()
    };
    for (name, cluster) in &view.clusters {
        let Some(session) = &cluster.session else {
            if cluster.cluster.joined_at.is_some() {
                found.silent.push(name.clone());
            }
            continue;
        };
        let assigned_here = view
            .tenants
            .iter()
            .filter(|(_, known)| here(known, name).is_some_and(|assigned| !assigned.withdrawn))
            .map(|(id, _)| id);
        let all: BTreeSet<&TenantId> = assigned_here.chain(session.held.keys()).collect();
        for tenant in all {
            let known = view.tenants.get(tenant);
            let assigned = known.and_then(|known| here(known, name));
            let held = session.held.get(tenant);
            match kind(known, assigned, held) {
                None => found.equal += 1,
                Some(kind) => found.tenants.push(TenantDifference {
                    cluster: name.clone(),
                    tenant: tenant.clone(),
                    kind,
                    desired: assigned.map(|assigned| assigned.generation),
                    held: held.map(|(_, generation, _)| *generation),
                }),
            }
        }
    }
    found
}

fn here<'a>(known: &'a TenantView, cluster: &ClusterName) -> Option<&'a Assigned> {
    known
        .assigned
        .as_ref()
        .filter(|assigned| assigned.cluster == *cluster)
}

fn kind(
    known: Option<&TenantView>,
    assigned: Option<&Assigned>,
    held: Option<&(Uid, Generation, berth_model::Digest)>,
) -> Option<DifferenceKind> {
    let Some((uid, generation, digest)) = held else {
        let wanted = assigned.is_some_and(|assigned| !assigned.withdrawing && !assigned.withdrawn);
        return wanted.then_some(DifferenceKind::Missing);
    };
    let Some(known) = known else {
        return Some(DifferenceKind::Unknown);
    };
    if known.tenant.uid != *uid {
        return Some(DifferenceKind::OtherTenant);
    }
    let Some(assigned) = assigned.filter(|assigned| !assigned.withdrawn) else {
        return Some(DifferenceKind::NotAssigned);
    };
    if assigned.withdrawing {
        return Some(DifferenceKind::Leaving);
    }
    match generation.cmp(&assigned.generation) {
        std::cmp::Ordering::Less => Some(DifferenceKind::Older),
        std::cmp::Ordering::Greater => Some(DifferenceKind::Newer),
        std::cmp::Ordering::Equal if *digest != assigned.digest => Some(DifferenceKind::OtherContent),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use berth_model::Digest;
    use berth_plan::testing::large;

    use super::*;

    fn held(generation: u64, content: u8) -> (Uid, Generation, Digest) {
        let digest = Digest::new(format!("{content:064x}")).unwrap();
        (Uid::new("u").unwrap(), Generation(generation), digest)
    }

    #[test]
    fn every_way_in_which_a_tenant_differs_has_its_word() {
        let view = large(1, 1, 7);
        let (id, known) = view.tenants.iter().next().unwrap();
        let mut known = known.clone();
        let uid = known.tenant.uid.clone();
        let mut assigned = known.assigned.clone().unwrap();
        assigned.generation = Generation(3);
        assigned.digest = held(0, 1).2;
        known.assigned = Some(assigned.clone());
        let of = |generation, content| {
            let (_, generation, digest) = held(generation, content);
            (uid.clone(), generation, digest)
        };
        let judge = |held: Option<&(Uid, Generation, Digest)>, assigned: Option<&Assigned>| {
            kind(Some(&known), assigned, held)
        };
        assert_eq!(judge(Some(&of(3, 1)), Some(&assigned)), None, "{id}");
        assert_eq!(judge(None, Some(&assigned)), Some(DifferenceKind::Missing));
        assert_eq!(
            judge(Some(&of(2, 1)), Some(&assigned)),
            Some(DifferenceKind::Older)
        );
        assert_eq!(
            judge(Some(&of(4, 1)), Some(&assigned)),
            Some(DifferenceKind::Newer)
        );
        assert_eq!(
            judge(Some(&of(3, 2)), Some(&assigned)),
            Some(DifferenceKind::OtherContent)
        );
        assert_eq!(judge(Some(&of(3, 1)), None), Some(DifferenceKind::NotAssigned));
        assert_eq!(
            judge(Some(&held(3, 1)), Some(&assigned)),
            Some(DifferenceKind::OtherTenant)
        );
        assert_eq!(kind(None, None, Some(&held(3, 1))), Some(DifferenceKind::Unknown));
        assigned.withdrawing = true;
        assert_eq!(
            judge(Some(&of(3, 1)), Some(&assigned)),
            Some(DifferenceKind::Leaving)
        );
        assert_eq!(judge(None, Some(&assigned)), None);
    }
}
