//! `kind: Tier`.

use std::collections::BTreeMap;

use berth_model::{
    Quantity, SecretStore, SecretStoreKind, TierSpec,
    money::UsdCents,
    tier::{
        Bootstrap, CapacityType, ClusterTemplate, NodePoolTemplate, PodSecurity, Priority, SizeName, Sla,
    },
};

use super::{
    network,
    node::{Node, Value},
    reader::Reader,
    tenant::{bundle_refs, bundle_tree},
    tree::Tree,
};
use crate::words;

pub(super) fn read(spec: &mut Reader<'_>) -> Option<TierSpec> {
    let display_name = spec.text_or_empty("displayName");
    let isolation = spec.choice("isolation", &words::ISOLATIONS);
    let default_size = spec.choice_or("defaultSize", &words::SIZES, SizeName::Small);
    let pod_security = spec.choice_or("podSecurity", &words::POD_SECURITIES, PodSecurity::Restricted);
    let priority = spec.choice_or("priority", &words::PRIORITIES, Priority::Standard);
    let load_balancers = spec.count("loadBalancers").unwrap_or_default();
    let node_pool = spec.object("nodePool", pool);
    let cluster = spec.object("cluster", cluster);
    let price = price(spec);
    let sla = spec.object("sla", |sla| {
        Some(Sla {
            uptime_percent: sla.quantity("uptimePercent"),
            support_hours: sla.text_or_empty("supportHours"),
            critical_response_minutes: sla
                .count("criticalResponseMinutes")
                .filter(|minutes| *minutes > 0),
            response_minutes: sla.counts("responseMinutes"),
        })
    });
    let features = spec.flags("features");
    let pod_security_dev = spec.choice_or(
        "podSecurityDev",
        &words::POD_SECURITIES.map(|(word, level)| (word, Some(level))),
        None,
    );
    let quota = spec.quantities("quota");
    let quota_max = spec.quantities("quotaMax");
    let extended_resources = spec.texts("extendedResources");
    let registries = spec.texts("registries");
    let storage_classes = spec.texts("storageClasses");
    let required_labels = spec.texts("requiredLabels");
    let guaranteed_qos = spec.flag("guaranteedQos").unwrap_or_default();
    let network = spec.object("network", network::tier_network);
    let bundles = bundle_refs(spec);
    let bundle_kinds = spec.texts("bundleKinds");
    let secret_stores = spec.objects("secretStores", |store| {
        let name = store.text("name");
        let kind = store.choice_or("kind", &words::SECRET_STORES, SecretStoreKind::default());
        let key_prefix = store.text_or_empty("keyPrefix");
        Some(SecretStore {
            name: name?,
            kind: kind?,
            key_prefix,
        })
    });
    let loosen = spec.choices("loosen", &words::LOOSEN);
    Some(TierSpec {
        display_name,
        isolation: isolation?,
        default_size: default_size?,
        pod_security: pod_security?,
        priority: priority?,
        load_balancers,
        node_pool,
        cluster,
        price,
        sla: sla.unwrap_or_default(),
        features,
        pod_security_dev: pod_security_dev?,
        quota,
        quota_max,
        extended_resources,
        registries,
        storage_classes,
        required_labels,
        guaranteed_qos,
        network: network.unwrap_or_default(),
        bundles,
        bundle_kinds,
        secret_stores,
        loosen,
    })
}

/// US dollars a month: a number or a text, with at most two digits after the point.
fn price(spec: &mut Reader<'_>) -> UsdCents {
    let Some(node) = spec.take("price") else {
        return UsdCents::default();
    };
    match cents(&node) {
        Some(cents) => UsdCents(cents),
        None => {
            let path = spec.path_of("price");
            spec.faults.add(
                &path,
                "is no price",
                "write US dollars a month as 500 or \"500.00\"",
            );
            UsdCents::default()
        }
    }
}

fn cents(node: &Node) -> Option<u64> {
    let text = match &node.value {
        Value::Unsigned(dollars) => return dollars.checked_mul(100),
        Value::Float(dollars) => dollars.to_string(),
        Value::Text(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::List(_) | Value::Map(_) => return None,
    };
    let (dollars, part) = text.split_once('.').unwrap_or((&text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(dollars) || !digits(part) || part.len() > 2 {
        return None;
    }
    let part: u64 = if part.len() == 1 {
        part.parse::<u64>().ok()? * 10
    } else {
        part.parse().ok()?
    };
    dollars.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

fn pool(pool: &mut Reader<'_>) -> Option<NodePoolTemplate> {
    let instance_types = pool.texts("instanceTypes");
    let capacity_type = pool.choice_or("capacityType", &words::CAPACITY_TYPES, CapacityType::OnDemand);
    let disk_gib = pool.count("diskGib").unwrap_or(50);
    let min_nodes = pool.count("minNodes").unwrap_or(3);
    let max_nodes = pool.count("maxNodes").unwrap_or(20);
    let desired_nodes = pool.count("desiredNodes").unwrap_or(min_nodes);
    let labels = pool.text_map("labels");
    Some(NodePoolTemplate {
        instance_types,
        capacity_type: capacity_type?,
        disk_gib,
        min_nodes,
        max_nodes,
        desired_nodes,
        labels,
    })
}

fn cluster(cluster: &mut Reader<'_>) -> Option<ClusterTemplate> {
    let kubernetes_version = cluster.text_or_empty("kubernetesVersion");
    let private_endpoint = cluster.flag("privateEndpoint").unwrap_or(true);
    let bootstrap = cluster.choice_or("bootstrap", &words::BOOTSTRAPS, Bootstrap::Direct);
    let public_access_cidrs = cluster.texts("publicAccessCidrs");
    let logging = cluster.texts("logging");
    let tags = cluster.text_map("tags");
    let nodes = cluster.required("nodes", pool);
    Some(ClusterTemplate {
        kubernetes_version,
        private_endpoint,
        bootstrap: bootstrap?,
        public_access_cidrs,
        logging,
        tags,
        nodes: nodes?,
    })
}

/// The spec as it is written.
#[must_use]
pub fn tier_spec_tree(spec: &TierSpec) -> Tree {
    let TierSpec {
        display_name,
        isolation,
        default_size,
        pod_security,
        priority,
        load_balancers,
        node_pool,
        cluster,
        price,
        sla,
        features,
        pod_security_dev,
        quota,
        quota_max,
        extended_resources,
        registries,
        storage_classes,
        required_labels,
        guaranteed_qos,
        network,
        bundles,
        bundle_kinds,
        secret_stores,
        loosen,
    } = spec;
    let amounts = |amounts: &BTreeMap<String, Quantity>| -> Tree {
        amounts
            .iter()
            .map(|(name, amount)| (name, amount.to_string()))
            .collect()
    };
    let sla = Tree::map()
        .some_text(
            "uptimePercent",
            sla.uptime_percent.as_ref().map_or("", |percent| percent.as_str()),
        )
        .some_text("supportHours", &sla.support_hours)
        .with_some(
            "criticalResponseMinutes",
            sla.critical_response_minutes
                .map_or(Tree::Null, |minutes| Tree::Number(minutes.into())),
        )
        .with_some(
            "responseMinutes",
            sla.response_minutes
                .iter()
                .map(|(severity, minutes)| (severity, Tree::Number((*minutes).into())))
                .collect(),
        );
    Tree::map()
        .some_text("displayName", display_name)
        .text("isolation", isolation.as_str())
        .text("defaultSize", default_size.as_str())
        .text("podSecurity", pod_security.as_str())
        .some_text(
            "podSecurityDev",
            pod_security_dev.map_or("", |level| level.as_str()),
        )
        .text("priority", priority.as_str())
        .number("loadBalancers", *load_balancers)
        .with_some("nodePool", node_pool.as_ref().map_or(Tree::Null, pool_tree))
        .with_some("cluster", cluster.as_ref().map_or(Tree::Null, cluster_tree))
        .text("price", &format!("{}.{:02}", price.0 / 100, price.0 % 100))
        .with_some("sla", sla)
        .with_some("features", features.iter().collect())
        .with_some("quota", amounts(quota))
        .with_some("quotaMax", amounts(quota_max))
        .with_some("extendedResources", Tree::texts(extended_resources))
        .with_some("registries", Tree::texts(registries))
        .with_some("storageClasses", Tree::texts(storage_classes))
        .with_some("requiredLabels", Tree::texts(required_labels))
        .with_some("guaranteedQos", Tree::Bool(*guaranteed_qos))
        .with_some("network", network::tier_network_tree(network))
        .with_some("bundles", Tree::List(bundles.iter().map(bundle_tree).collect()))
        .with_some("bundleKinds", Tree::texts(bundle_kinds))
        .with_some(
            "secretStores",
            Tree::List(secret_stores.iter().map(store_tree).collect()),
        )
        .with_some("loosen", Tree::texts(loosen.iter().map(|what| what.as_str())))
}

fn store_tree(store: &SecretStore) -> Tree {
    Tree::map()
        .text("name", &store.name)
        .text("kind", store.kind.as_str())
        .some_text("keyPrefix", &store.key_prefix)
}

fn pool_tree(pool: &NodePoolTemplate) -> Tree {
    Tree::map()
        .with("instanceTypes", Tree::texts(&pool.instance_types))
        .text(
            "capacityType",
            words::word(&words::CAPACITY_TYPES, &pool.capacity_type),
        )
        .number("diskGib", pool.disk_gib)
        .number("minNodes", pool.min_nodes)
        .number("maxNodes", pool.max_nodes)
        .number("desiredNodes", pool.desired_nodes)
        .with_some("labels", pool.labels.iter().collect())
}

fn cluster_tree(cluster: &ClusterTemplate) -> Tree {
    Tree::map()
        .text("kubernetesVersion", &cluster.kubernetes_version)
        .with("privateEndpoint", Tree::Bool(cluster.private_endpoint))
        .text("bootstrap", words::word(&words::BOOTSTRAPS, &cluster.bootstrap))
        .with_some("publicAccessCidrs", Tree::texts(&cluster.public_access_cidrs))
        .with_some("logging", Tree::texts(&cluster.logging))
        .with_some("tags", cluster.tags.iter().collect())
        .with("nodes", pool_tree(&cluster.nodes))
}
