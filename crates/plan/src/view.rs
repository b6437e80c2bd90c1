//! What the planner sees: the fleet at one moment. Made and updated by the control loop; the planner only reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use berth_model::{
    AcceptedGaps, BundleName, BundleVersion, Capacity, Cluster, ClusterName, Conditions, Digest, Findings,
    FleetId, Generation, Infra, Organisation, OrganisationName, Placement, Revision, TenantId, TenantReport,
    Term, Tier, TierName, Timestamp, Uid, breaker::BreakerMemory, tenant::Tenant,
};

pub use crate::gate::BreakerSettings;
use crate::index::Index;

/// The fleet at one moment.
///
/// Tenants, their placements and the clusters are changed only by [`View::set_tenant`], [`View::set_placed`], [`View::set_cluster`]
/// and the like, which keep what is counted from them right. What else is in a [`TenantView`] or [`ClusterView`] may be written in
/// place.
#[derive(Clone, Debug)]
pub struct View {
    /// When. The planner has no other clock.
    pub now: Timestamp,
    /// Which fleet.
    pub fleet: FleetId,
    /// The leader's term.
    pub term: Term,
    /// The term in which an operator last let this hub take command; 0 when never. What was decided before may be older than what
    /// clusters hold, and then gives way to a new decision.
    pub command_term: Term,
    /// When that was; none when never.
    pub commanded_at: Option<Timestamp>,
    /// What the admin set.
    pub settings: Settings,
    /// All tiers.
    pub tiers: BTreeMap<TierName, Arc<Tier>>,
    /// All organisations.
    pub organisations: BTreeMap<OrganisationName, Arc<Organisation>>,
    /// All bundle versions.
    pub bundles: BTreeSet<(BundleName, BundleVersion)>,
    /// All tenants.
    pub tenants: BTreeMap<TenantId, TenantView>,
    /// All clusters.
    pub clusters: BTreeMap<ClusterName, ClusterView>,
    /// Clusters' mass-delete breakers; one that never counted anything is not here.
    pub breakers: BTreeMap<ClusterName, BreakerView>,
    /// What is counted from the above.
    pub(crate) index: Index,
}

impl View {
    /// A fleet of which nothing is known yet.
    #[must_use]
    pub fn new(now: Timestamp, fleet: FleetId, term: Term, settings: Settings) -> Self {
        Self {
            now,
            fleet,
            term,
            command_term: Term(0),
            commanded_at: None,
            settings,
            tiers: BTreeMap::new(),
            organisations: BTreeMap::new(),
            bundles: BTreeSet::new(),
            tenants: BTreeMap::new(),
            clusters: BTreeMap::new(),
            breakers: BTreeMap::new(),
            index: Index::default(),
        }
    }
}

/// Bounds that the admin sets. Clouds' quotas come from here, never from constants in code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most namespaces of one cluster.
    pub namespaces_per_cluster: u32,
    /// Most node groups of one cluster.
    pub node_groups_per_cluster: u32,
    /// Most clusters the hub makes in one region.
    pub clusters_per_region: u32,
    /// Region for clusters whose tenant names none.
    pub default_region: String,
    /// Whether there is a cloud to make node pools and clusters in.
    pub cloud: bool,
    /// Share of a cluster's capacity that is never reserved, in percent.
    pub headroom_percent: u32,
    /// Walls that need not be held anywhere, with the reasons: for demonstrations and tests.
    pub accept_gaps: AcceptedGaps,
    /// Evidence older than this reads Unknown: three heartbeats.
    pub evidence_lifetime: Duration,
    /// When to look at infrastructure again that is being made or removed.
    pub infra_poll: Duration,
    /// First pause after a failure of the cloud; doubled with every attempt up to `retry_cap`.
    pub retry_first: Duration,
    /// Longest pause between attempts.
    pub retry_cap: Duration,
    /// How long an agent may take to confirm what it was told before it is told again.
    pub resend_after: Duration,
    /// How long a new cluster's agent may take to dial in before its manifest is applied again.
    pub join_patience: Duration,
    /// How long the agent of a tenant's own cluster may take to empty it before the cluster is removed as it is.
    pub withdraw_patience: Duration,
    /// When taking tenants away from a cluster stops until an operator confirms it.
    pub breaker: BreakerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespaces_per_cluster: 10_000,
            node_groups_per_cluster: 30,
            clusters_per_region: 100,
            default_region: String::new(),
            cloud: false,
            headroom_percent: 10,
            accept_gaps: AcceptedGaps::new(),
            evidence_lifetime: Duration::from_secs(12),
            infra_poll: Duration::from_secs(10),
            retry_first: Duration::from_secs(2),
            retry_cap: Duration::from_secs(300),
            resend_after: Duration::from_secs(10),
            join_patience: Duration::from_secs(300),
            withdraw_patience: Duration::from_secs(600),
            breaker: BreakerSettings::default(),
        }
    }
}

/// A cluster's mass-delete breaker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BreakerView {
    /// What is remembered.
    pub memory: BreakerMemory,
    /// The store's version of it.
    pub revision: Revision,
}

/// One tenant with everything known of it.
#[derive(Clone, Debug)]
pub struct TenantView {
    /// Its record.
    pub tenant: Arc<Tenant>,
    /// Where it was decided to be.
    pub placed: Option<Placed>,
    /// What its cluster was told.
    pub assigned: Option<Assigned>,
    /// Infrastructure made for it.
    pub infra: InfraView,
    /// What its cluster's agent last said of it; soft.
    pub report: Option<Evidence>,
    /// What its cluster's agent last proved of its walls.
    pub probed: Option<Probed>,
    /// A failure to render it, until its generation, tier or bundles change.
    pub render_error: Option<String>,
    /// The conditions as last saved, for their transition times.
    pub conditions: Conditions,
    /// A finding of the lint that stops this tenant.
    pub stalled: Option<String>,
}

/// A saved placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where.
    pub placement: Placement,
    /// What is reserved there.
    pub reserved: Capacity,
    /// How many namespaces are reserved there.
    pub namespaces: u32,
    /// The tenant's generation it was decided for.
    pub generation: Generation,
    /// When.
    pub decided_at: Timestamp,
    /// One line of why.
    pub reason: String,
    /// Walls that the cluster could not hold when the tenant was placed there, with the reasons for which that was accepted.
    pub accepted_gaps: AcceptedGaps,
}

/// A saved assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Where.
    pub cluster: ClusterName,
    /// Its own counter.
    pub generation: Generation,
    /// Of the objects.
    pub digest: Digest,
    /// The term it was decided in.
    pub term: Term,
    /// The tenant's generation it was rendered for.
    pub tenant_generation: Generation,
    /// It is being taken away.
    pub withdrawing: bool,
    /// The agent said that nothing of it is left.
    pub withdrawn: bool,
}

/// Infrastructure of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InfraView {
    /// As last observed.
    pub observed: Infra,
    /// Part of names and idempotency tokens.
    pub attempt: u32,
    /// When the cloud was last asked, since this hub started.
    pub looked_at: Option<Timestamp>,
    /// A call is under way; nothing else is started for this tenant's infrastructure meanwhile.
    pub busy: bool,
    /// The agent's manifest was applied into the tenant's own cluster.
    pub bootstrapped: bool,
    /// When a bootstrap was last tried, and what was wrong.
    pub bootstrap_trouble: Option<(Timestamp, String)>,
}

/// What an agent said of a tenant, and when that was true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What it said.
    pub report: TenantReport,
    /// When it was true by the hub's clock: heard, less its age on arrival.
    pub at: Timestamp,
}

/// What an agent proved of a tenant's walls, and when that was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Of which tenant.
    pub uid: Uid,
    /// In which cluster.
    pub cluster: ClusterName,
    /// Of which assignment.
    pub generation: Generation,
    /// Of its objects.
    pub digest: Digest,
    /// What was found.
    pub findings: Findings,
    /// When the pass began, by the hub's clock.
    pub at: Timestamp,
    /// How long it is believed.
    pub believed_for: Duration,
}

/// One cluster with everything known of it.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// Its record.
    pub cluster: Arc<Cluster>,
    /// Its agent's session, when there is one.
    pub session: Option<SessionView>,
    /// When its agent's last evidence was gathered, by the hub's clock.
    pub evidence_at: Option<Timestamp>,
    /// What placements have reserved here: kept by [`View`]'s own methods, never by observed use.
    pub reserved: Reserved,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Tenants the agent holds: uid, generation, digest.
    pub held: BTreeMap<TenantId, (Uid, Generation, Digest)>,
    /// Version of the agent.
    pub agent_version: String,
    /// Why the agent cannot reach its own API server, when it cannot.
    pub api_error: Option<String>,
}

/// What placements have reserved on one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Amounts of shared capacity.
    pub capacity: Capacity,
    /// Namespaces.
    pub namespaces: u32,
    /// Node pools.
    pub pools: u32,
    /// Tenants.
    pub tenants: u32,
}
