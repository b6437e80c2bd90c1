//! The sizes, and the tiers a new hub starts with. An admin replaces the tiers; the sizes are presets that a tenant overrides.

use std::collections::BTreeMap;

use crate::{
    id::{InvalidId, TierName},
    money::UsdCents,
    network::TierNetwork,
    placement::Isolation,
    quantity::Quantity,
    resources::{Bytes, MilliCpu},
    tier::{
        Bootstrap, CapacityType, ClusterTemplate, NodePoolTemplate, PodSecurity, Priority, Size, SizeName,
        Sla, TierSpec,
    },
};

const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;

impl SizeName {
    /// The amounts of this size.
    #[must_use]
    pub const fn size(self) -> Size {
        let (request, limit, storage, max_replicas, dollars) = match self {
            Self::Micro => ((100, 256 * MI), (500, GI), 5 * GI, 2, 29),
            Self::Small => ((250, 512 * MI), (1000, 2 * GI), 10 * GI, 3, 79),
            Self::Medium => ((500, GI), (2000, 4 * GI), 20 * GI, 5, 199),
            Self::Large => ((1000, 2 * GI), (4000, 8 * GI), 50 * GI, 8, 499),
            Self::Xlarge => ((2000, 4 * GI), (8000, 16 * GI), 100 * GI, 12, 999),
        };
        Size {
            request_cpu: MilliCpu(request.0),
            request_memory: Bytes(request.1),
            limit_cpu: MilliCpu(limit.0),
            limit_memory: Bytes(limit.1),
            storage: Bytes(storage),
            max_replicas,
            price: UsdCents(dollars * 100),
        }
    }
}

/// The tiers a new hub starts with: free, standard, premium, enterprise.
///
/// # Errors
/// None in practice: the names are fixed, and a test holds them valid.
pub fn tiers() -> Result<Vec<(TierName, TierSpec)>, InvalidId> {
    Ok(vec![
        (TierName::new("free")?, free()),
        (TierName::new("standard")?, standard()),
        (TierName::new("premium")?, premium()),
        (TierName::new("enterprise")?, enterprise()),
    ])
}

fn sla(uptime: Option<&str>, hours: &str, critical_response_minutes: Option<u32>) -> Sla {
    Sla {
        uptime_percent: uptime.and_then(|text| text.parse().ok()),
        support_hours: hours.into(),
        critical_response_minutes,
        response_minutes: BTreeMap::new(),
    }
}

/// What all tiers of the catalogue have in common: nothing beyond its size, and development held to a little less.
fn plain(isolation: Isolation) -> TierSpec {
    TierSpec {
        display_name: String::new(),
        isolation,
        default_size: SizeName::Small,
        pod_security: PodSecurity::Restricted,
        pod_security_dev: Some(PodSecurity::Baseline),
        priority: Priority::Standard,
        load_balancers: 0,
        node_pool: None,
        cluster: None,
        price: UsdCents(0),
        sla: Sla::default(),
        features: BTreeMap::new(),
        quota: BTreeMap::new(),
        quota_max: BTreeMap::new(),
        extended_resources: Vec::new(),
        registries: Vec::new(),
        storage_classes: Vec::new(),
        required_labels: Vec::new(),
        guaranteed_qos: false,
        network: TierNetwork::default(),
        bundles: Vec::new(),
        bundle_kinds: Vec::new(),
        secret_stores: Vec::new(),
        loosen: Vec::new(),
    }
}

fn free() -> TierSpec {
    TierSpec {
        display_name: "Free: a small namespace to try things".into(),
        default_size: SizeName::Micro,
        priority: Priority::Low,
        sla: sla(None, "community", None),
        ..plain(Isolation::Namespace)
    }
}

fn standard() -> TierSpec {
    TierSpec {
        display_name: "Standard: namespaces on a shared cluster".into(),
        sla: sla(Some("99.5"), "8x5", Some(480)),
        quota_max: amounts(&[
            ("requests.storage", "200Gi"),
            ("persistentvolumeclaims", "20"),
            ("pods", "100"),
            ("services", "20"),
        ]),
        ..plain(Isolation::Namespace)
    }
}

fn premium() -> TierSpec {
    TierSpec {
        display_name: "Premium: nodes of its own on a shared cluster".into(),
        default_size: SizeName::Large,
        priority: Priority::High,
        load_balancers: 2,
        node_pool: Some(NodePoolTemplate {
            min_nodes: 2,
            max_nodes: 10,
            desired_nodes: 2,
            ..nodes()
        }),
        price: UsdCents(50_000),
        sla: sla(Some("99.9"), "16x5", Some(120)),
        extended_resources: vec!["nvidia.com/gpu".into(), "nvidia.com/gpu.shared".into()],
        quota_max: amounts(&[
            ("requests.cpu", "64"),
            ("requests.memory", "128Gi"),
            ("limits.cpu", "128"),
            ("limits.memory", "256Gi"),
            ("requests.storage", "1Ti"),
            ("requests.nvidia.com/gpu", "8"),
            ("requests.nvidia.com/gpu.shared", "32"),
            ("pods", "300"),
            ("services", "50"),
            ("persistentvolumeclaims", "50"),
            ("configmaps", "200"),
            ("secrets", "200"),
            ("count/deployments.apps", "100"),
            ("count/jobs.batch", "200"),
        ]),
        ..plain(Isolation::NodePool)
    }
}

fn enterprise() -> TierSpec {
    TierSpec {
        display_name: "Enterprise: a cluster of its own".into(),
        default_size: SizeName::Xlarge,
        priority: Priority::Critical,
        load_balancers: 3,
        cluster: Some(ClusterTemplate {
            kubernetes_version: "1.33".into(),
            private_endpoint: true,
            bootstrap: Bootstrap::Direct,
            public_access_cidrs: Vec::new(),
            logging: ["api", "audit", "authenticator"].map(String::from).to_vec(),
            tags: BTreeMap::new(),
            nodes: nodes(),
        }),
        price: UsdCents(500_000),
        sla: sla(Some("99.9"), "24x7", Some(60)),
        extended_resources: vec!["nvidia.com/gpu".into(), "nvidia.com/gpu.shared".into()],
        quota_max: amounts(&[
            ("requests.cpu", "500"),
            ("requests.memory", "1Ti"),
            ("limits.cpu", "1k"),
            ("limits.memory", "2Ti"),
            ("requests.storage", "10Ti"),
            ("requests.nvidia.com/gpu", "64"),
            ("requests.nvidia.com/gpu.shared", "256"),
            ("pods", "2k"),
            ("services", "500"),
            ("services.loadbalancers", "10"),
            ("persistentvolumeclaims", "500"),
            ("configmaps", "1k"),
            ("secrets", "1k"),
            ("count/deployments.apps", "500"),
            ("count/jobs.batch", "1k"),
        ]),
        ..plain(Isolation::Cluster)
    }
}

fn amounts(list: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    list.iter()
        .filter_map(|(name, amount)| Some(((*name).to_owned(), amount.parse().ok()?)))
        .collect()
}

fn nodes() -> NodePoolTemplate {
    NodePoolTemplate {
        instance_types: vec!["m6i.xlarge".into(), "m5.xlarge".into()],
        capacity_type: CapacityType::OnDemand,
        disk_gib: 50,
        min_nodes: 3,
        max_nodes: 20,
        desired_nodes: 3,
        labels: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_a_template_for_what_each_tier_builds() {
        for (name, tier) in tiers().unwrap() {
            assert_eq!(
                tier.node_pool.is_some(),
                tier.isolation == Isolation::NodePool,
                "{name}"
            );
            assert_eq!(
                tier.cluster.is_some(),
                tier.isolation == Isolation::Cluster,
                "{name}"
            );
        }
    }

    #[test]
    fn what_can_be_raised_is_more_than_the_largest_size_has_or_was_not_there() {
        for (name, tier) in tiers().unwrap() {
            let spec = crate::TenantSpec::of_tier(name.clone());
            let hard = crate::quota::hard(&spec, &tier);
            for (amount, most) in &tier.quota_max {
                assert!(
                    hard.get(amount).is_none_or(|have| have < most),
                    "{name}: {amount}"
                );
            }
        }
    }

    #[test]
    fn sizes_grow() {
        for pair in SizeName::ALL.windows(2) {
            let (small, large) = (pair[0].size(), pair[1].size());
            assert!(small.request_cpu < large.request_cpu && small.limit_memory < large.limit_memory);
            assert!(small.price < large.price && small.max_replicas < large.max_replicas);
        }
    }
}
