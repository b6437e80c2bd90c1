//! On what terms a tenant's bundles come in: what its tier and it itself let its namespace hold.

use std::collections::BTreeSet;

use berth_model::{TenantSpec, TierSpec, tier::PodSecurity, tier::Priority};

use crate::{quota::Share, walls};

/// What the main namespace of one tenant may hold. The cluster's policies read the same from the namespace.
pub(crate) struct Terms {
    pub(super) pod_security: PodSecurity,
    pub(super) highest: Priority,
    pub(super) registries: Vec<String>,
    pub(super) storage_classes: Vec<String>,
    pub(super) domains: Vec<String>,
    pub(super) required_labels: Vec<String>,
    pub(super) extended_resources: Vec<String>,
    pub(super) load_balancers: bool,
    /// On nodes that are nobody else's, where taints keep nothing from others.
    pub(super) own_nodes: bool,
    pub(super) kinds: BTreeSet<String>,
}

impl Terms {
    pub(crate) fn of(spec: &TenantSpec, tier: &TierSpec, share: &Share, own_nodes: bool) -> Self {
        let environment = spec.parts()[0].environment;
        Self {
            pod_security: walls::pod_security(spec, tier, environment),
            highest: walls::priority(tier, environment),
            registries: walls::narrower(&spec.registries, &tier.registries).to_vec(),
            storage_classes: walls::narrower(&spec.storage_classes, &tier.storage_classes).to_vec(),
            domains: walls::domains(spec),
            required_labels: walls::required_labels(spec, tier),
            extended_resources: walls::extended_resources(tier, share),
            load_balancers: walls::load_balancers(share),
            own_nodes,
            kinds: tier.bundle_kinds.iter().cloned().collect(),
        }
    }
}
