//! What the planner answers: steps without choices left, the status of every tenant looked at, and when to look again.

use std::collections::BTreeMap;

use berth_model::{
    AcceptedGaps, Capacity, ClusterName, Conditions, Generation, Health, Placement, PoolName, TenantId,
    Timestamp, Uid,
    breaker::Tripped,
    tier::{ClusterTemplate, NodePoolTemplate},
};

/// The answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do, in order; steps of different tenants are independent.
    pub steps: Vec<Step>,
    /// Status of every tenant in scope.
    pub status: BTreeMap<TenantId, TenantStatus>,
    /// When to look again although nothing was heard: the earliest of `wake`.
    pub wake_at: Option<Timestamp>,
    /// When to look at each tenant again although nothing was heard of it.
    pub wake: BTreeMap<TenantId, Timestamp>,
}

/// One step. Executing it is idempotent and knows nothing of policy. A tenant's steps are done in order, and one that fails ends
/// them: they are decided again from the next view.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Save where a tenant is to be; for a cluster of its own, the cluster's record too.
    SavePlacement {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
        /// Where.
        placement: Placement,
        /// What is reserved there.
        reserved: Capacity,
        /// Namespaces reserved there.
        namespaces: u32,
        /// The generation it is decided for.
        generation: Generation,
        /// One line of why.
        reason: String,
        /// Region of the cluster to be made, with a cluster placement.
        region: String,
        /// Walls that the cluster cannot hold and that were accepted.
        accepted_gaps: AcceptedGaps,
    },
    /// Start or check the tenant's node pool.
    EnsureNodePool(NodePoolStep),
    /// Start or check the tenant's cluster.
    EnsureCluster(ClusterStep),
    /// Bring the agent into the tenant's cluster.
    Bootstrap(ClusterStep),
    /// Render what the tenant is to have, save it as the next assignment when it differs, and send it.
    Assign {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
        /// Where.
        cluster: ClusterName,
        /// The tenant's generation to render.
        tenant_generation: Generation,
    },
    /// Send the saved assignment again: the agent does not hold it.
    Resend {
        /// The tenant.
        tenant: TenantId,
        /// Where.
        cluster: ClusterName,
    },
    /// Save that the tenant's assignment is being taken away, and tell the agent.
    Withdraw {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
        /// Where.
        cluster: ClusterName,
        /// An operator has confirmed it: no breaker counts or stops it.
        confirmed: bool,
    },
    /// Save that the tenant was the first one too many to go: nothing of that cluster goes until an operator has confirmed it.
    TripBreaker {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
        /// Which cluster's breaker.
        cluster: ClusterName,
        /// Why.
        tripped: Tripped,
    },
    /// Save that the agent said that nothing is left.
    SaveWithdrawn {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
    },
    /// Start or check the removal of the tenant's node pool.
    ReleaseNodePool(NodePoolStep),
    /// Start or check the removal of the tenant's cluster.
    ReleaseCluster(ClusterStep),
    /// Everything outside is gone: forget the tenant, and the cluster made for it.
    Forget {
        /// The tenant.
        tenant: TenantId,
        /// Its uid.
        uid: Uid,
        /// The cluster made for it.
        cluster: Option<ClusterName>,
    },
}

/// What a node pool step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePoolStep {
    /// Whose.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// In which cluster of the fleet.
    pub cluster: ClusterName,
    /// That cluster's name in the cloud.
    pub cloud_cluster: String,
    /// Its region.
    pub region: String,
    /// The pool.
    pub pool: PoolName,
    /// How it is made.
    pub template: NodePoolTemplate,
    /// Part of names and idempotency tokens.
    pub attempt: u32,
}

/// What a cluster step needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterStep {
    /// Whose.
    pub tenant: TenantId,
    /// Its uid.
    pub uid: Uid,
    /// Its name in the fleet.
    pub cluster: ClusterName,
    /// Where.
    pub region: String,
    /// How it is made.
    pub template: ClusterTemplate,
    /// Part of names and idempotency tokens.
    pub attempt: u32,
    /// Whether its agent has dialled in, so that a public endpoint can be closed.
    pub agent_connected: bool,
}

/// The status of one tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantStatus {
    /// The generation it speaks of.
    pub observed_generation: Generation,
    /// With transition times.
    pub conditions: Conditions,
    /// Health of what runs, `Unknown` when the evidence is too old.
    pub health: Health,
    /// When the evidence was gathered.
    pub evidence_at: Option<Timestamp>,
    /// Things to know that stop nothing.
    pub warnings: Vec<String>,
}

impl Step {
    /// The uid of the tenant it was decided for, where the step carries it.
    #[must_use]
    pub const fn uid(&self) -> Option<&Uid> {
        match self {
            Self::SavePlacement { uid, .. }
            | Self::Assign { uid, .. }
            | Self::Withdraw { uid, .. }
            | Self::TripBreaker { uid, .. }
            | Self::SaveWithdrawn { uid, .. }
            | Self::Forget { uid, .. } => Some(uid),
            Self::EnsureNodePool(step) | Self::ReleaseNodePool(step) => Some(&step.uid),
            Self::EnsureCluster(step) | Self::Bootstrap(step) | Self::ReleaseCluster(step) => Some(&step.uid),
            Self::Resend { .. } => None,
        }
    }

    /// Whose step it is.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::SavePlacement { tenant, .. }
            | Self::Assign { tenant, .. }
            | Self::Resend { tenant, .. }
            | Self::Withdraw { tenant, .. }
            | Self::TripBreaker { tenant, .. }
            | Self::SaveWithdrawn { tenant, .. }
            | Self::Forget { tenant, .. } => tenant,
            Self::EnsureNodePool(step) | Self::ReleaseNodePool(step) => &step.tenant,
            Self::EnsureCluster(step) | Self::Bootstrap(step) | Self::ReleaseCluster(step) => &step.tenant,
        }
    }
}
