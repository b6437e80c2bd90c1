//! Large fleets from a seed.

use std::sync::Arc;

use berth_model::{
    Digest, Generation, Health, Isolation, MilliCpu, Placement, Revision, TenantReport, quota,
    report::ApplyState,
};

use super::{connect, empty, shared, tenant};
use crate::view::{Assigned, Evidence, Placed, View};

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }
}

/// A fleet of so many connected shared clusters and so many Ready tenants on them.
#[must_use]
pub fn large(clusters: usize, tenants: usize, seed: u64) -> View {
    let mut numbers = Numbers(seed);
    let mut view = empty();
    for n in 0..clusters {
        let mut cluster = shared(&format!("cluster-{n:05}"), 32 + numbers.below(224));
        cluster.region = ["eu-central-1", "eu-west-1", "us-east-1"][n % 3].into();
        cluster.cordoned = numbers.below(50) == 0;
        cluster.labels.insert("ring".into(), numbers.below(4).to_string());
        connect(&mut view, cluster);
    }
    let names: Vec<_> = view.clusters.keys().cloned().collect();
    for n in 0..tenants {
        let mut known = tenant(
            &format!("tenant-{n:06}"),
            if numbers.below(3) == 0 { "free" } else { "standard" },
        );
        if let Some(cluster) = names.get(numbers.below(names.len() as u64) as usize) {
            settle(&view, &mut known, cluster, n);
        }
        view.set_tenant(known);
    }
    view
}

fn settle(view: &View, known: &mut crate::view::TenantView, cluster: &berth_model::ClusterName, n: usize) {
    let tenant = Arc::make_mut(&mut known.tenant);
    tenant.revision = Revision(n as u64 + 1);
    let reserved = view
        .tiers
        .get(&tenant.spec.tier)
        .filter(|tier| tier.spec.isolation == Isolation::Namespace)
        .map(|tier| quota::reservation(&tenant.spec, &tier.spec))
        .unwrap_or_default();
    debug_assert!(reserved.cpu > MilliCpu(0), "large fleets hold namespace tenants");
    known.placed = Some(Placed {
        placement: Placement::Namespace {
            cluster: cluster.clone(),
        },
        reserved,
        namespaces: 1,
        generation: Generation(1),
        decided_at: view.now,
        reason: "made so".into(),
        accepted_gaps: berth_model::AcceptedGaps::new(),
    });
    let digest = Digest::new(format!("{n:064x}")).expect("64 digits");
    known.assigned = Some(Assigned {
        cluster: cluster.clone(),
        generation: Generation(1),
        digest: digest.clone(),
        term: berth_model::Term(1),
        tenant_generation: Generation(1),
        withdrawing: false,
        withdrawn: false,
    });
    known.report = Some(Evidence {
        report: TenantReport {
            tenant: known.tenant.id.clone(),
            uid: known.tenant.uid.clone(),
            generation: Generation(1),
            digest,
            apply: ApplyState::Applied,
            health: Health::healthy(),
            observed_at: view.now,
        },
        at: view.now,
    });
}
