//! Views for tests and benches: small ones by hand, large ones from a seed, and a [`World`](world) that does what plans say.
//!
//! Behind the feature `testing`. Nothing here is used in production.
#![allow(
    clippy::expect_used,
    reason = "names written here are valid, and a test holds them so"
)]

mod large;
pub mod world;

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{
    Bytes, Capacity, Cluster, ClusterFacts, ClusterName, ClusterPurpose, Conditions, FleetId, Generation,
    MilliCpu, NetworkPolicyEnforcement, Organisation, OrganisationName, OrganisationSpec, Provider, Quantity,
    Revision, Tenant, TenantId, TenantSpec, Term, Tier, TierName, Timestamp, Uid, catalogue,
    organisation::Team,
};

pub use large::large;

use crate::view::{InfraView, SessionView, Settings, TenantView, View};

/// The moment at which views begin.
#[must_use]
pub fn start() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("a valid moment")
}

/// A cluster's name.
#[must_use]
pub fn cluster_name(text: &str) -> ClusterName {
    ClusterName::new(text).expect("a valid name")
}

/// A tenant's id.
#[must_use]
pub fn tenant_id(text: &str) -> TenantId {
    TenantId::new(text).expect("a valid id")
}

/// A fleet with the built-in tiers and a cloud, and nothing else.
#[must_use]
pub fn empty() -> View {
    let settings = Settings {
        cloud: true,
        default_region: "eu-central-1".into(),
        ..Settings::default()
    };
    let mut view = View::new(
        start(),
        FleetId::new("fleet-1").expect("a valid id"),
        Term(1),
        settings,
    );
    for (name, spec) in catalogue::tiers().expect("valid names") {
        let uid = Uid::new(format!("tier-{name}")).expect("a valid uid");
        let tier = Tier {
            name: name.clone(),
            uid,
            generation: Generation(1),
            revision: Revision(1),
            spec,
        };
        view.tiers.insert(name, Arc::new(tier));
    }
    view
}

/// A shared EKS cluster with so many CPUs, four times as many GiB and ten times as many pods.
#[must_use]
pub fn shared(name: &str, cpus: u64) -> Cluster {
    Cluster {
        name: cluster_name(name),
        uid: Uid::new(format!("uid-{name}")).expect("a valid uid"),
        revision: Revision(1),
        created_at: start(),
        labels: BTreeMap::new(),
        cordoned: false,
        purpose: ClusterPurpose::Shared,
        region: "eu-central-1".into(),
        cloud_name: String::new(),
        facts: Some(ClusterFacts {
            kubernetes_version: "v1.33.4-eks-1234".into(),
            capacity: Capacity {
                cpu: MilliCpu(cpus * 1000),
                memory: Bytes(cpus << 32),
                pods: cpus * 10,
            },
            namespaces: 4,
            provider: Provider::Eks,
            network_policy: NetworkPolicyEnforcement::Enforced,
            validating_admission_policy: true,
            ..ClusterFacts::default()
        }),
        accepted_gaps: berth_model::AcceptedGaps::new(),
        joined_at: Some(start()),
        kubernetes_uid: String::new(),
        awaiting_acceptance: false,
        revoked: None,
    }
}

/// Amounts by quota name.
pub type Amounts<'a> = &'a [(&'a str, &'a str)];

/// Quota of these amounts.
#[must_use]
pub fn quota(amounts: Amounts<'_>) -> BTreeMap<String, Quantity> {
    amounts
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), amount.parse().expect("a quantity")))
        .collect()
}

/// An organisation with teams, each with its quota.
#[must_use]
pub fn organisation(name: &str, own: Amounts<'_>, teams: &[(&str, Amounts<'_>)]) -> Organisation {
    Organisation {
        name: OrganisationName::new(name).expect("a valid name"),
        uid: Uid::new(format!("organisation-{name}")).expect("a valid uid"),
        generation: Generation(1),
        revision: Revision(1),
        spec: OrganisationSpec {
            display_name: String::new(),
            quota: quota(own),
            teams: teams
                .iter()
                .map(|(name, amounts)| Team {
                    name: (*name).to_owned(),
                    quota: quota(amounts),
                    ..Team::default()
                })
                .collect(),
        },
    }
}

/// Puts a cluster in whose agent is connected.
pub fn connect(view: &mut View, cluster: Cluster) {
    let name = cluster.name.clone();
    view.set_cluster(Arc::new(cluster));
    let now = view.now;
    if let Some(known) = view.clusters.get_mut(&name) {
        known.session = Some(SessionView {
            held: BTreeMap::new(),
            agent_version: "0.1.0".into(),
            api_error: None,
        });
        known.evidence_at = Some(now);
    }
}

/// A tenant of which nothing but its record is known.
#[must_use]
pub fn tenant(id: &str, tier: &str) -> TenantView {
    let spec = TenantSpec::of_tier(TierName::new(tier).expect("a valid name"));
    TenantView {
        tenant: Arc::new(Tenant {
            id: tenant_id(id),
            uid: Uid::new(format!("uid-{id}")).expect("a valid uid"),
            generation: Generation(1),
            revision: Revision(1),
            created_at: start(),
            deleting_since: None,
            spec,
        }),
        placed: None,
        assigned: None,
        infra: InfraView::default(),
        report: None,
        probed: None,
        render_error: None,
        conditions: Conditions::new(),
        stalled: None,
    }
}
