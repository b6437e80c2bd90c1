//! What tenants and tiers may say of their network, and what they are told when it is wrong.

use berth_model::{
    Isolation, TenantSpec, TierName, TierSpec, Violation, catalogue,
    network::{Network, Peer, Rule, Within},
};
use serde_json::{Value, json};

use super::turn;
use crate::{
    admit::{self, Catalogue},
    testing::{connect, empty, shared, tenant, tenant_id, world::World},
};

fn rule(peer: Value, ports: &[&str]) -> Rule {
    serde_json::from_value(json!({"peer": peer, "ports": ports})).unwrap()
}

fn web(peer: Value) -> Rule {
    rule(peer, &["80"])
}

fn spec(network: Network) -> TenantSpec {
    let mut spec = TenantSpec::of_tier(TierName::new("standard").unwrap());
    spec.network = network;
    spec
}

/// The catalogue with its tier `standard` changed.
fn tiers(change: impl FnOnce(&mut TierSpec)) -> Catalogue {
    let mut tiers = empty().tiers;
    let name = TierName::new("standard").unwrap();
    let mut tier = (*tiers[&name]).clone();
    change(&mut tier.spec);
    tiers.insert(name, tier.into());
    Catalogue {
        tiers,
        ..Catalogue::default()
    }
}

fn told(verdict: admit::Verdict) -> Vec<String> {
    let faults = verdict.err().unwrap_or_default();
    faults.iter().map(Violation::to_string).collect()
}

fn faults(catalogue: &Catalogue, network: Network) -> Vec<String> {
    told(admit::tenant(catalogue, "acme", &spec(network), None))
}

fn ingress(rules: Vec<Rule>) -> Network {
    Network {
        ingress: rules,
        ..Network::default()
    }
}

fn egress(rules: Vec<Rule>) -> Network {
    Network {
        egress: rules,
        ..Network::default()
    }
}

#[test]
fn the_whole_vocabulary_is_admissible_where_the_tier_knows_the_places() {
    let network = Network {
        within: Some(Within::Environment),
        ingress: vec![
            web(json!({"kind": "ingress-controller"})),
            web(json!({"kind": "monitoring"})),
            web(
                json!({"kind": "service", "namespace": "gateway", "labels": {"app.kubernetes.io/name": "envoy"}}),
            ),
            web(json!({"kind": "cidr", "cidr": "203.0.113.0/24"})),
            web(json!({"kind": "tenant", "tenant": "other"})),
        ],
        egress: vec![
            rule(json!({"kind": "monitoring"}), &["4318", "8125/UDP"]),
            rule(
                json!({"kind": "service", "namespace": "databases", "labels": {}}),
                &["5432"],
            ),
            rule(json!({"kind": "cidr", "cidr": "0.0.0.0/0"}), &["443"]),
            rule(json!({"kind": "cidr", "cidr": "10.20.3.0/24"}), &["8000-8010"]),
            rule(json!({"kind": "tenant", "tenant": "other"}), &["80"]),
        ],
    };
    let catalogue = tiers(|tier| tier.network.private_cidrs = vec!["10.20.0.0/16".parse().unwrap()]);
    assert_eq!(
        admit::tenant(&catalogue, "acme", &spec(network), None),
        Ok(vec![])
    );
}

#[test]
fn a_rule_that_opens_too_much_or_nothing_is_refused_with_its_path_and_the_reason() {
    let service = |namespace: &str| json!({"kind": "service", "namespace": namespace, "labels": {}});
    let cidr = |cidr: &str| json!({"kind": "cidr", "cidr": cidr});
    for (at, peer, path, reason) in [
        ("in", service("t-other"), "service.namespace", "is a tenant's"),
        (
            "out",
            service("t-acme--dev"),
            "service.namespace",
            "is a tenant's",
        ),
        (
            "out",
            service("kube-system"),
            "service.namespace",
            "is the cluster's own",
        ),
        (
            "in",
            service("berth-system"),
            "service.namespace",
            "is the cluster's own",
        ),
        (
            "out",
            service("Data/Base"),
            "service.namespace",
            "is no namespace name",
        ),
        ("out", service(""), "service.namespace", "is no namespace name"),
        (
            "out",
            json!({"kind": "service", "namespace": "databases", "labels": {"a b": "x"}}),
            "service.labels[\"a b\"]",
            "is no label key",
        ),
        (
            "out",
            json!({"kind": "ingress-controller"}),
            "ingressController",
            "is reached by nobody",
        ),
        (
            "out",
            json!({"kind": "tenant", "tenant": "acme"}),
            "tenant",
            "is this tenant itself",
        ),
        (
            "in",
            json!({"kind": "tenant", "tenant": "acme"}),
            "tenant",
            "is this tenant itself",
        ),
        (
            "out",
            cidr("10.0.0.0/8"),
            "cidr",
            "10.0.0.0/8, private (RFC 1918), and not one that the tier opens",
        ),
        ("out", cidr("192.168.7.0/24"), "cidr", "the tier names none"),
        ("out", cidr("100.64.0.0/16"), "cidr", "RFC 6598"),
        ("out", cidr("fd12::/16"), "cidr", "unique local"),
        (
            "out",
            cidr("169.254.169.254/32"),
            "cidr",
            "metadata service (RFC 3927), which no tenant reaches",
        ),
        (
            "out",
            cidr("fd00:ec2::254/128"),
            "cidr",
            "which no tenant reaches",
        ),
        ("out", cidr("127.0.0.0/8"), "cidr", "loopback"),
        (
            "in",
            cidr("10.0.0.0/8"),
            "cidr",
            "other tenants' pods have such addresses",
        ),
    ] {
        let (field, network) = match at {
            "in" => ("ingress", ingress(vec![web(peer)])),
            _ => ("egress", egress(vec![web(peer)])),
        };
        let told = faults(&tiers(|_| {}), network);
        let [fault] = told.as_slice() else {
            panic!("{told:?} instead of one fault at {path}");
        };
        assert!(
            fault.starts_with(&format!("spec.network.{field}[0].{path}")),
            "{fault}"
        );
        assert!(fault.contains(reason), "{fault} does not say {reason:?}");
    }
}

#[test]
fn a_private_range_is_named_in_the_refusal_with_those_that_the_tier_opens() {
    let catalogue = tiers(|tier| tier.network.private_cidrs = vec!["10.20.0.0/16".parse().unwrap()]);
    let out = |cidr: &str| {
        faults(
            &catalogue,
            egress(vec![web(json!({"kind": "cidr", "cidr": cidr}))]),
        )
    };
    assert!(out("10.20.1.0/24").is_empty());
    // The part of it that the tier opens is what is meant.
    assert!(out("10.0.0.0/8").is_empty());
    assert!(out("10.21.0.0/16")[0].contains("the tier names 10.20.0.0/16"));
    let into = ingress(vec![web(json!({"kind": "cidr", "cidr": "10.20.1.0/24"}))]);
    assert_eq!(faults(&catalogue, into).len(), 1);
}

#[test]
fn rules_name_ports_once_are_there_once_and_are_not_too_many() {
    let monitoring = || json!({"kind": "monitoring"});
    let catalogue = tiers(|_| {});
    let told = faults(
        &catalogue,
        ingress(vec![
            rule(monitoring(), &[]),
            rule(monitoring(), &["80", "80/TCP"]),
            web(monitoring()),
            web(monitoring()),
        ]),
    );
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("spec.network.ingress[0].ports") && told[0].contains("every port"));
    assert!(told[1].starts_with("spec.network.ingress[1].ports[1]") && told[1].contains("80 is there twice"));
    assert!(told[2].starts_with("spec.network.ingress[3]") && told[2].contains("is there twice"));
    let many = (1..=101)
        .map(|port| rule(monitoring(), &[&port.to_string()]))
        .collect();
    let told = faults(&catalogue, ingress(many));
    assert!(
        told.len() == 1 && told[0].contains("has 101 rules, at most 100"),
        "{told:?}"
    );
}

#[test]
fn a_part_of_the_platform_that_the_tier_has_no_place_for_cannot_be_named() {
    let catalogue = tiers(|tier| {
        tier.network.ingress_controllers.clear();
        tier.network.monitoring.clear();
    });
    for kind in ["ingress-controller", "monitoring"] {
        let told = faults(&catalogue, ingress(vec![web(json!({"kind": kind}))]));
        assert!(
            told.len() == 1 && told[0].contains("the tier names no namespace"),
            "{told:?}"
        );
    }
}

#[test]
fn a_tenant_may_keep_its_environments_apart_and_may_not_join_what_the_tier_keeps_apart() {
    let network = |within| Network {
        within: Some(within),
        ..Network::default()
    };
    let apart = tiers(|tier| tier.network.within = Within::Environment);
    let told = faults(&apart, network(Within::Tenant));
    assert!(
        told.len() == 1 && told[0].starts_with("spec.network.within"),
        "{told:?}"
    );
    assert!(faults(&apart, network(Within::Environment)).is_empty());
    assert!(faults(&tiers(|_| {}), network(Within::Environment)).is_empty());
}

#[test]
fn who_names_another_tenant_on_a_cluster_of_its_own_is_warned() {
    let mut alone = spec(egress(vec![web(json!({"kind": "tenant", "tenant": "other"}))]));
    let catalogue = tiers(|_| {});
    assert_eq!(admit::tenant(&catalogue, "acme", &alone, None), Ok(vec![]));
    let own = catalogue
        .tiers
        .values()
        .find(|tier| tier.spec.isolation == Isolation::Cluster);
    alone.tier = own.unwrap().name.clone();
    let warnings = admit::tenant(&catalogue, "acme", &alone, None).unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].contains("tenant other"),
        "{warnings:?}"
    );
}

#[test]
fn every_fault_of_a_tiers_network_is_told_at_once() {
    let (_, mut tier) = catalogue::tiers().unwrap().swap_remove(0);
    let network = &mut tier.network;
    network.ingress_controllers = ["ingress", "ingress", "kube-system"].map(String::from).to_vec();
    network.monitoring = ["t-spy", "Not/Fine", ""].map(String::from).to_vec();
    network.private_cidrs = ["169.254.0.0/16", "10.0.0.0/8", "10.0.0.0/8"]
        .map(|cidr| cidr.parse().unwrap())
        .to_vec();
    network.egress = vec![
        rule(json!({"kind": "cidr", "cidr": "172.16.0.0/12"}), &["443"]),
        Rule {
            peer: Peer::Monitoring,
            ports: Vec::new(),
        },
    ];
    insta::assert_snapshot!(told(admit::tier("free", &tier)).join("\n"));
}

#[test]
fn a_cluster_that_gets_istio_does_not_sweep_over_its_tenants() {
    let acme = tenant_id("acme");
    let mut view = empty();
    connect(&mut view, shared("eu-1", 16));
    view.set_tenant(tenant("acme", "standard"));
    let mut world = World::new(view);
    assert_eq!(turn(&mut world), ["SavePlacement", "Assign"]);
    world.agents_act();
    let cluster = world.view.tenants[&acme]
        .placed
        .as_ref()
        .unwrap()
        .placement
        .cluster()
        .clone();
    world.facts(&cluster, |facts| facts.istio = true);
    assert_eq!(turn(&mut world), [""; 0]);
    assert_eq!(world.findings, []);
}
