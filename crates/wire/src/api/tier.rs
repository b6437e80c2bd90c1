//! Tiers.

use std::collections::BTreeMap;

use berth_model::{
    Isolation, Quantity, SecretStore, SecretStoreKind, Tier, TierSpec, Violation,
    money::UsdCents,
    tier::{
        Bootstrap, CapacityType, ClusterTemplate, NodePoolTemplate, PodSecurity, Priority, SizeName, Sla,
    },
};
use berth_proto::v1;

use super::{
    network,
    tenant_spec::{bundle_ref_to_proto, bundle_refs_from_proto},
};
use crate::{api::tenant::signed, faults::Faults, names, words};

/// The tier as the API shows it; `tenants` is how many use it.
#[must_use]
pub fn tier_to_proto(tier: &Tier, tenants: usize) -> v1::Tier {
    v1::Tier {
        name: names::tier(&tier.name),
        uid: tier.uid.to_string(),
        spec: Some(tier_spec_to_proto(&tier.spec)),
        generation: signed(tier.generation),
        etag: names::etag(tier.revision),
        tenants: i32::try_from(tenants).unwrap_or(i32::MAX),
    }
}

/// The spec as the API writes it.
#[must_use]
pub fn tier_spec_to_proto(spec: &TierSpec) -> v1::TierSpec {
    v1::TierSpec {
        display_name: spec.display_name.clone(),
        isolation: spec.isolation.as_str().into(),
        default_size: spec.default_size.as_str().into(),
        pod_security: spec.pod_security.as_str().into(),
        priority: spec.priority.as_str().into(),
        load_balancers: spec.load_balancers,
        node_pool: spec.node_pool.as_ref().map(pool_to_proto),
        cluster: spec.cluster.as_ref().map(cluster_to_proto),
        price_usd_cents: spec.price.0,
        sla: Some(v1::Sla {
            uptime_percent: spec
                .sla
                .uptime_percent
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            support_hours: spec.sla.support_hours.clone(),
            critical_response_minutes: spec.sla.critical_response_minutes.unwrap_or_default(),
            response_minutes: spec.sla.response_minutes.clone(),
        }),
        features: spec.features.clone(),
        pod_security_dev: spec
            .pod_security_dev
            .map_or_else(String::new, |level| level.as_str().into()),
        quota: texts_of(&spec.quota),
        quota_max: texts_of(&spec.quota_max),
        extended_resources: spec.extended_resources.clone(),
        registries: spec.registries.clone(),
        storage_classes: spec.storage_classes.clone(),
        required_labels: spec.required_labels.clone(),
        guaranteed_qos: spec.guaranteed_qos,
        network: Some(network::tier_network_to_proto(&spec.network)),
        loosen: spec.loosen.iter().map(|what| what.as_str().into()).collect(),
        bundles: spec.bundles.iter().map(bundle_ref_to_proto).collect(),
        bundle_kinds: spec.bundle_kinds.clone(),
        secret_stores: spec.secret_stores.iter().map(store_to_proto).collect(),
    }
}

fn store_to_proto(store: &SecretStore) -> v1::SecretStore {
    v1::SecretStore {
        name: store.name.clone(),
        kind: store.kind.as_str().into(),
        key_prefix: store.key_prefix.clone(),
    }
}

fn texts_of(amounts: &BTreeMap<String, Quantity>) -> BTreeMap<String, String> {
    amounts
        .iter()
        .map(|(name, amount)| (name.clone(), amount.to_string()))
        .collect()
}

/// Reads a spec. What is empty takes the default: size small, pod security restricted, priority standard.
///
/// # Errors
/// Every fault of form, with paths as in files.
pub fn tier_spec_from_proto(spec: &v1::TierSpec) -> Result<TierSpec, Vec<Violation>> {
    let mut faults = Faults::default();
    let isolation: Option<Isolation> = faults.choice("spec.isolation", &spec.isolation, &words::ISOLATIONS);
    let default_size = faults.choice_or(
        "spec.defaultSize",
        &spec.default_size,
        &words::SIZES,
        SizeName::Small,
    );
    let pod_security = faults.choice_or(
        "spec.podSecurity",
        &spec.pod_security,
        &words::POD_SECURITIES,
        PodSecurity::Restricted,
    );
    let priority = faults.choice_or(
        "spec.priority",
        &spec.priority,
        &words::PRIORITIES,
        Priority::Standard,
    );
    let node_pool = spec
        .node_pool
        .as_ref()
        .and_then(|pool| pool_from_proto(&mut faults, "spec.nodePool", pool));
    let cluster = spec
        .cluster
        .as_ref()
        .and_then(|cluster| cluster_from_proto(&mut faults, cluster));
    let pod_security_dev = match spec.pod_security_dev.as_str() {
        "" => None,
        level => faults.choice("spec.podSecurityDev", level, &words::POD_SECURITIES),
    };
    let quota = faults.quantities("spec.quota", &spec.quota);
    let quota_max = faults.quantities("spec.quotaMax", &spec.quota_max);
    let network = network::tier_network_from_proto(&mut faults, spec.network.as_ref());
    let bundles = bundle_refs_from_proto(&mut faults, &spec.bundles);
    let loosen = spec
        .loosen
        .iter()
        .enumerate()
        .filter_map(|(at, word)| faults.choice(&format!("spec.loosen[{at}]"), word, &words::LOOSEN))
        .collect();
    let secret_stores = spec
        .secret_stores
        .iter()
        .enumerate()
        .filter_map(|(at, store)| {
            let path = format!("spec.secretStores[{at}].kind");
            let kind = SecretStoreKind::default();
            Some(SecretStore {
                name: store.name.clone(),
                kind: faults.choice_or(&path, &store.kind, &words::SECRET_STORES, kind)?,
                key_prefix: store.key_prefix.clone(),
            })
        })
        .collect();
    let sla = spec.sla.clone().unwrap_or_default();
    let uptime_percent = match sla.uptime_percent.as_str() {
        "" => None,
        percent => faults.quantity("spec.sla.uptimePercent", percent),
    };
    let decoded = isolation.zip(default_size).zip(pod_security).zip(priority).map(
        |(((isolation, default_size), pod_security), priority)| TierSpec {
            display_name: spec.display_name.clone(),
            isolation,
            default_size,
            pod_security,
            priority,
            load_balancers: spec.load_balancers,
            node_pool,
            cluster,
            price: UsdCents(spec.price_usd_cents),
            sla: Sla {
                uptime_percent,
                support_hours: sla.support_hours,
                critical_response_minutes: (sla.critical_response_minutes > 0)
                    .then_some(sla.critical_response_minutes),
                response_minutes: sla.response_minutes,
            },
            features: spec.features.clone(),
            pod_security_dev,
            quota,
            quota_max,
            extended_resources: spec.extended_resources.clone(),
            registries: spec.registries.clone(),
            storage_classes: spec.storage_classes.clone(),
            required_labels: spec.required_labels.clone(),
            guaranteed_qos: spec.guaranteed_qos,
            network,
            loosen,
            bundles,
            bundle_kinds: spec.bundle_kinds.clone(),
            secret_stores,
        },
    );
    faults.finish(decoded)
}

fn pool_to_proto(pool: &NodePoolTemplate) -> v1::NodePoolTemplate {
    v1::NodePoolTemplate {
        instance_types: pool.instance_types.clone(),
        capacity_type: words::word(&words::CAPACITY_TYPES, &pool.capacity_type).into(),
        disk_gib: pool.disk_gib,
        min_nodes: pool.min_nodes,
        max_nodes: pool.max_nodes,
        desired_nodes: pool.desired_nodes,
        labels: pool.labels.clone(),
    }
}

fn pool_from_proto(faults: &mut Faults, path: &str, pool: &v1::NodePoolTemplate) -> Option<NodePoolTemplate> {
    let capacity_type = faults.choice_or(
        &format!("{path}.capacityType"),
        &pool.capacity_type,
        &words::CAPACITY_TYPES,
        CapacityType::OnDemand,
    )?;
    Some(NodePoolTemplate {
        instance_types: pool.instance_types.clone(),
        capacity_type,
        disk_gib: pool.disk_gib,
        min_nodes: pool.min_nodes,
        max_nodes: pool.max_nodes,
        desired_nodes: pool.desired_nodes,
        labels: pool.labels.clone(),
    })
}

fn cluster_to_proto(cluster: &ClusterTemplate) -> v1::ClusterTemplate {
    v1::ClusterTemplate {
        kubernetes_version: cluster.kubernetes_version.clone(),
        private_endpoint: cluster.private_endpoint,
        bootstrap: words::word(&words::BOOTSTRAPS, &cluster.bootstrap).into(),
        public_access_cidrs: cluster.public_access_cidrs.clone(),
        logging: cluster.logging.clone(),
        tags: cluster.tags.clone(),
        nodes: Some(pool_to_proto(&cluster.nodes)),
    }
}

fn cluster_from_proto(faults: &mut Faults, cluster: &v1::ClusterTemplate) -> Option<ClusterTemplate> {
    let bootstrap = faults.choice_or(
        "spec.cluster.bootstrap",
        &cluster.bootstrap,
        &words::BOOTSTRAPS,
        Bootstrap::Direct,
    );
    let nodes = match &cluster.nodes {
        Some(nodes) => pool_from_proto(faults, "spec.cluster.nodes", nodes),
        None => {
            faults.add("spec.cluster.nodes", "is required", "");
            None
        }
    };
    Some(ClusterTemplate {
        kubernetes_version: cluster.kubernetes_version.clone(),
        private_endpoint: cluster.private_endpoint,
        bootstrap: bootstrap?,
        public_access_cidrs: cluster.public_access_cidrs.clone(),
        logging: cluster.logging.clone(),
        tags: cluster.tags.clone(),
        nodes: nodes?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    #[test]
    fn the_catalogue_survives() {
        for (name, spec) in berth_model::catalogue::tiers().unwrap() {
            assert_eq!(
                tier_spec_from_proto(&tier_spec_to_proto(&spec)),
                Ok(spec),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_spec_survives(spec in testing::tier_spec()) {
            prop_assert_eq!(tier_spec_from_proto(&tier_spec_to_proto(&spec)), Ok(spec));
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let spec = v1::TierSpec {
            priority: "hihg".into(),
            cluster: Some(v1::ClusterTemplate {
                bootstrap: "magic".into(),
                ..Default::default()
            }),
            sla: Some(v1::Sla {
                uptime_percent: "always".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let paths: Vec<String> = tier_spec_from_proto(&spec)
            .unwrap_err()
            .into_iter()
            .map(|v| v.path)
            .collect();
        assert_eq!(
            paths,
            [
                "spec.isolation",
                "spec.priority",
                "spec.cluster.bootstrap",
                "spec.cluster.nodes",
                "spec.sla.uptimePercent"
            ]
        );
    }
}
