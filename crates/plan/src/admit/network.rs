//! Rules for who may talk to whom.

use std::collections::BTreeSet;

use berth_model::{
    Isolation, TenantId, TenantSpec, TierSpec,
    id::is_dns_label,
    label::{AGENT_NAMESPACE, NAMESPACE_PREFIX},
    network::{Cidr, Peer, Port, Rule, TierNetwork, ranges},
};

use super::{faults::Faults, hint};

/// Most rules, in and out together.
const MOST_RULES: usize = 100;
/// Most ports of one rule.
const MOST_PORTS: usize = 50;
/// Most labels of a shared service.
const MOST_LABELS: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// What is wrong with a tenant's network in its tier; without a tier, what is wrong in any.
pub(super) fn tenant(faults: &mut Faults, id: Option<&TenantId>, spec: &TenantSpec, tier: Option<&TierSpec>) {
    let network = &spec.network;
    if let Some(tier) = tier
        && let Some(within) = network.within
        && within < tier.network.within
    {
        faults.add(
            "spec.network.within",
            "is wider than the tier's: its environments are apart",
            "leave it out, or write environment",
        );
    }
    if tier.is_some_and(|tier| tier.isolation == Isolation::Cluster) {
        let named = network.ingress.iter().chain(&network.egress);
        let named = named.filter_map(|rule| match &rule.peer {
            Peer::Tenant { tenant } => Some(tenant),
            _ => None,
        });
        for other in named.collect::<BTreeSet<_>>() {
            faults.warn(format!(
                "spec.network names tenant {other}, and no other tenant is on a cluster of its own"
            ));
        }
    }
    let tier = tier.map(|tier| &tier.network);
    rules(faults, id, &network.ingress, &network.egress, tier);
}

/// What is wrong with a tier's network.
pub(super) fn tier(faults: &mut Faults, spec: &TierSpec) {
    let network = &spec.network;
    for (field, names) in [
        ("ingressControllers", &network.ingress_controllers),
        ("monitoring", &network.monitoring),
    ] {
        let mut seen = BTreeSet::new();
        for (at, name) in names.iter().enumerate() {
            let path = format!("spec.network.{field}[{at}]");
            platform_namespace(faults, &path, name);
            if !seen.insert(name) {
                faults.add(&path, format!("{name:?} is there twice"), "");
            }
        }
    }
    let mut seen = BTreeSet::new();
    for (at, cidr) in network.private_cidrs.iter().enumerate() {
        let path = format!("spec.network.privateCidrs[{at}]");
        if let Some((range, what)) = ranges::never(cidr) {
            faults.add(
                &path,
                format!("{cidr} is in {range}, {what}, which no tenant reaches"),
                "leave it out",
            );
        } else if !seen.insert(cidr) {
            faults.add(&path, format!("{cidr} is there twice"), "");
        }
    }
    rules(faults, None, &network.ingress, &network.egress, Some(network));
}

fn rules(
    faults: &mut Faults,
    id: Option<&TenantId>,
    ingress: &[Rule],
    egress: &[Rule],
    tier: Option<&TierNetwork>,
) {
    let count = ingress.len() + egress.len();
    if count > MOST_RULES {
        faults.add(
            "spec.network",
            format!("has {count} rules, at most {MOST_RULES} are possible"),
            "put the ports of one other side into one rule",
        );
    }
    for (way, field, rules) in [(Way::In, "ingress", ingress), (Way::Out, "egress", egress)] {
        let mut seen = BTreeSet::new();
        for (at, rule) in rules.iter().enumerate() {
            let path = format!("spec.network.{field}[{at}]");
            ports(faults, &path, &rule.ports);
            peer(faults, &path, way, &rule.peer, id, tier);
            if !seen.insert(rule) {
                faults.add(&path, "is there twice", "leave it out");
            }
        }
    }
}

fn ports(faults: &mut Faults, path: &str, ports: &[Port]) {
    let path = format!("{path}.ports");
    if ports.is_empty() {
        faults.add(
            &path,
            "is empty, which would mean every port",
            "name the ports, such as 443, 53/UDP or 8000-8010",
        );
    }
    if ports.len() > MOST_PORTS {
        faults.add(
            &path,
            format!("has {} entries, at most {MOST_PORTS} are possible", ports.len()),
            "write neighbours as a range, such as 8000-8010",
        );
    }
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        if !seen.insert(port) {
            faults.add(format!("{path}[{at}]"), format!("{port} is there twice"), "");
        }
    }
}

fn peer(
    faults: &mut Faults,
    path: &str,
    way: Way,
    peer: &Peer,
    id: Option<&TenantId>,
    tier: Option<&TierNetwork>,
) {
    match peer {
        Peer::IngressController if way == Way::Out => faults.add(
            format!("{path}.ingressController"),
            "is reached by nobody: ingress controllers come in",
            "move it to spec.network.ingress, or name the address that is to be reached by its cidr",
        ),
        Peer::IngressController => somewhere(
            faults,
            &format!("{path}.ingressController"),
            "ingress controllers",
            "ingressControllers",
            tier.map(|tier| &tier.ingress_controllers),
        ),
        Peer::Monitoring => somewhere(
            faults,
            &format!("{path}.monitoring"),
            "monitoring",
            "monitoring",
            tier.map(|tier| &tier.monitoring),
        ),
        Peer::Service { namespace, labels } => {
            service_namespace(faults, &format!("{path}.service.namespace"), namespace);
            let path = format!("{path}.service.labels");
            if labels.len() > MOST_LABELS {
                faults.add(
                    &path,
                    format!("has {} entries, at most {MOST_LABELS} are possible", labels.len()),
                    "",
                );
            }
            for (key, value) in labels {
                // Pods of the platform may carry any label, so only its shape is checked.
                let shape =
                    hint::label_key_problem(key).filter(|problem| !problem.starts_with("is reserved"));
                faults.check(format!("{path}[{key:?}]"), shape);
                faults.check(format!("{path}[{key:?}]"), hint::label_value_problem(value));
            }
        }
        Peer::Cidr { cidr } => addresses(faults, &format!("{path}.cidr"), way, *cidr, tier),
        Peer::Tenant { tenant } if id == Some(tenant) => faults.add(
            format!("{path}.tenant"),
            "is this tenant itself",
            "leave it out: spec.network.within says how far its own namespaces reach each other",
        ),
        Peer::Tenant { .. } => {}
    }
}

/// A rule for a part of the platform that the tier does not say the place of would let nobody through.
fn somewhere(faults: &mut Faults, path: &str, what: &str, field: &str, names: Option<&Vec<String>>) {
    if names.is_some_and(Vec::is_empty) {
        faults.add(
            path,
            format!("lets nobody through: the tier names no namespace of {what}"),
            format!("name it in the tier's spec.network.{field}"),
        );
    }
}

/// Where a part of the platform is: in a namespace that is no tenant's.
fn platform_namespace(faults: &mut Faults, path: &str, name: &str) {
    if !is_dns_label(name) {
        faults.add(
            path,
            format!("{name:?} is no namespace name"),
            "lower-case letters, digits and '-', at most 63 characters",
        );
    } else if name.starts_with(NAMESPACE_PREFIX) {
        faults.add(
            path,
            format!("{name:?} is a tenant's"),
            "name the tenant instead, which must name this one too",
        );
    }
}

/// Where a shared service is: not among the cluster's own parts either, which only an administrator can name the place of.
fn service_namespace(faults: &mut Faults, path: &str, name: &str) {
    platform_namespace(faults, path, name);
    if name.starts_with("kube-") || name == AGENT_NAMESPACE {
        faults.add(
            path,
            format!("{name:?} is the cluster's own"),
            "name a namespace of shared services; DNS is open to every tenant",
        );
    }
}

fn addresses(faults: &mut Faults, path: &str, way: Way, cidr: Cidr, tier: Option<&TierNetwork>) {
    if let Some((range, what)) = ranges::never(&cidr) {
        faults.add(
            path,
            format!("{cidr} is in {range}, {what}, which no tenant reaches"),
            "leave it out",
        );
        return;
    }
    let Some((range, what)) = ranges::private(&cidr) else {
        return;
    };
    if way == Way::In {
        faults.add(
            path,
            format!("{cidr} is in {range}, {what}: other tenants' pods have such addresses"),
            "name who comes in: the ingress controller, a service or a tenant",
        );
    } else if let Some(tier) = tier
        && ranges::left_of(cidr, &tier.private_cidrs).is_empty()
    {
        let known = if tier.private_cidrs.is_empty() {
            "the tier names none".to_owned()
        } else {
            let known: Vec<String> = tier.private_cidrs.iter().map(ToString::to_string).collect();
            format!("the tier names {}", known.join(", "))
        };
        faults.add(
            path,
            format!("{cidr} is in {range}, {what}, and not one that the tier opens"),
            format!("{known}; add it to the tier's spec.network.privateCidrs"),
        );
    }
}
