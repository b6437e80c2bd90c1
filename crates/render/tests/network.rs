//! Who reaches whom, by the rendered policies: what is declared and nothing else, whatever tenants and tiers declare.
#![expect(clippy::unwrap_used, reason = "tests")]

mod net;
mod samples;

use berth_model::{
    Tenant, Tier,
    network::{Peer, Port, Rule, Within},
    tenant::Environment,
};
use berth_render::network::reach::{End, Pod, To};
use net::{OUTSIDE, PORTS, World, path, port, rule, shape, world};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Two tenants with two environments each and nothing declared, in a tier that declares nothing.
fn strangers() -> (Tier, Vec<Tenant>) {
    let two = |id: &str| {
        samples::tenant(id, "standard", |spec| {
            spec.environments = vec![Environment::Dev, Environment::Production];
        })
    };
    (samples::tier("standard"), vec![two("a"), two("b")])
}

fn reaches(world: &World, from: &str, to: &str, text: &str) -> bool {
    let (protocol, port) = path(text);
    let find = |name: &str| {
        let pod = world.pods.iter().find(|pod| pod.namespace == name);
        pod.map_or_else(|| End::Address(name.parse().unwrap()), End::Pod)
    };
    world.cluster.reaches(find(from), find(to), To { protocol, port })
}

#[test]
fn a_tenant_that_declares_nothing_reaches_itself_and_names_and_nothing_else() {
    let (tier, tenants) = strangers();
    let world = world(&tier, &tenants);
    assert!(reaches(&world, "t-a--production", "t-a--dev", "5432"));
    assert!(reaches(&world, "t-a--dev", "kube-system", "53/UDP"));
    assert!(reaches(&world, "t-a--dev", "kube-system", "53"));
    for to in [
        "t-b--dev",
        "t-b--production",
        "monitoring",
        "databases",
        "default",
        "8.8.8.8",
        "10.99.0.1",
    ] {
        for port in PORTS {
            assert!(!reaches(&world, "t-a--dev", to, port), "{to} {port}");
            assert!(!reaches(&world, to, "t-a--dev", port), "{to} {port}");
        }
    }
    assert!(!reaches(&world, "t-a--dev", "kube-system", "443"));
    let open = world.cluster.open_namespaces();
    assert!(open.iter().all(|name| !name.starts_with("t-")), "{open:?}");
}

#[test]
fn environments_are_apart_where_the_tier_or_the_tenant_says_so_and_no_tenant_joins_them_again() {
    for (of_tier, own, apart) in [
        (Within::Tenant, None, false),
        (Within::Tenant, Some(Within::Environment), true),
        (Within::Environment, None, true),
        (Within::Environment, Some(Within::Tenant), true),
    ] {
        let (mut tier, mut tenants) = strangers();
        tier.spec.network.within = of_tier;
        tenants[0].spec.network.within = own;
        let world = world(&tier, &tenants);
        let reached = reaches(&world, "t-a--dev", "t-a--production", "80");
        assert_eq!(reached, !apart, "{of_tier:?} {own:?}");
    }
}

#[test]
fn traffic_between_tenants_takes_both() {
    let to = |id: &str| Peer::Tenant {
        tenant: id.parse().unwrap(),
    };
    for (out, back, expected) in [
        (false, false, false),
        (true, false, false),
        (false, true, false),
        (true, true, true),
    ] {
        let (tier, mut tenants) = strangers();
        if out {
            tenants[0].spec.network.egress = vec![rule(to("b"), &["5432"])];
        }
        if back {
            tenants[1].spec.network.ingress = vec![rule(to("a"), &["5432", "80"])];
        }
        let world = world(&tier, &tenants);
        assert_eq!(reaches(&world, "t-a--dev", "t-b--dev", "5432"), expected);
        assert!(!reaches(&world, "t-a--dev", "t-b--dev", "80"));
        assert!(!reaches(&world, "t-b--dev", "t-a--dev", "5432"));
    }
}

#[test]
fn rules_that_name_nobody_or_no_port_open_nothing() {
    let (mut tier, mut tenants) = strangers();
    tier.spec.network.ingress_controllers = Vec::new();
    tier.spec.network.monitoring = vec![String::new(), "t-b--dev".into()];
    let nobody = vec![
        rule(Peer::IngressController, &["80"]),
        rule(Peer::Monitoring, &["80"]),
        rule(
            Peer::Service {
                namespace: String::new(),
                labels: [].into(),
            },
            &["80"],
        ),
        rule(
            Peer::Service {
                namespace: "t-b--dev".into(),
                labels: [].into(),
            },
            &["80"],
        ),
        rule(
            Peer::Service {
                namespace: "databases".into(),
                labels: [].into(),
            },
            &[],
        ),
        rule(
            Peer::Cidr {
                cidr: "10.0.0.0/8".parse().unwrap(),
            },
            &["80"],
        ),
        rule(
            Peer::Cidr {
                cidr: "169.254.169.254/32".parse().unwrap(),
            },
            &["80"],
        ),
        rule(
            Peer::Tenant {
                tenant: "a".parse().unwrap(),
            },
            &["80"],
        ),
    ];
    for tenant in &mut tenants {
        tenant.spec.network.ingress = nobody.clone();
        tenant.spec.network.egress = nobody.clone();
    }
    // `b` may name `a`, which answers nothing.
    let world = world(&tier, &tenants[..1]);
    assert_eq!(world.policies.len(), 3 * tenants[0].namespaces().len());
}

/// A change of a policy, and whether two tenants that both have it can then talk.
type Break = (&'static str, fn(&mut Value), bool);

/// What a careless renderer would do.
const BREAKS: [Break; 12] = [
    ("nothing is changed", |_| {}, false),
    (
        "without from and to",
        |policy| each_rule(policy, |rule| *rule = json!({})),
        true,
    ),
    (
        "empty from and to",
        |policy| each_peers(policy, |peers| *peers = json!([])),
        true,
    ),
    (
        "empty namespace selector",
        |policy| each_peers(policy, |peers| *peers = json!([{"namespaceSelector": {}}])),
        true,
    ),
    (
        "any namespace, any pod",
        |policy| {
            each_peers(policy, |peers| {
                *peers = json!([{"namespaceSelector": {}, "podSelector": {}}])
            })
        },
        true,
    ),
    (
        "empty pod selector",
        |policy| each_peers(policy, |peers| *peers = json!([{"podSelector": {}}])),
        false,
    ),
    (
        "every tenant's namespaces",
        |policy| {
            each_peers(policy, |peers| {
                *peers = expression("berth.dev/tenant", "Exists", &[])
            })
        },
        true,
    ),
    (
        "all but the platform's",
        |policy| {
            each_peers(policy, |peers| {
                *peers = expression("kubernetes.io/metadata.name", "NotIn", &["kube-system"])
            })
        },
        true,
    ),
    (
        "namespaces without a label that none has",
        |policy| {
            each_peers(policy, |peers| {
                *peers = expression("example.com/open", "DoesNotExist", &[])
            })
        },
        true,
    ),
    (
        "all addresses",
        |policy| {
            each_peers(policy, |peers| {
                *peers = json!([{"ipBlock": {"cidr": "0.0.0.0/0"}}])
            })
        },
        true,
    ),
    (
        "policies of other pods",
        |policy| policy["spec"]["podSelector"] = json!({"matchLabels": {"app": "x"}}),
        true,
    ),
    (
        "no policy of what goes out, and everything comes in",
        |policy| policy["spec"] = json!({"podSelector": {}, "ingress": [{}]}),
        true,
    ),
];

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!([{"namespaceSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": values}]}}])
}

fn each_rule(policy: &mut Value, change: impl Fn(&mut Value)) {
    for way in ["ingress", "egress"] {
        for rule in policy["spec"][way].as_array_mut().into_iter().flatten() {
            change(rule);
        }
    }
}

fn each_peers(policy: &mut Value, change: impl Fn(&mut Value)) {
    each_rule(policy, |rule| {
        for side in ["from", "to"] {
            if rule[side].is_array() {
                change(&mut rule[side]);
            }
        }
        // What is said of ports would hide the hole.
        rule.as_object_mut()
            .unwrap()
            .retain(|key, value| key != "ports" && !value.is_null());
    });
}

#[test]
fn the_checker_sees_policies_that_open_what_they_should_not() {
    let (tier, tenants) = strangers();
    for (what, change, open) in BREAKS {
        let world = net::changed(&tier, &tenants, change);
        assert_eq!(reaches(&world, "t-a--dev", "t-b--dev", "80"), open, "{what}");
    }
}

#[test]
fn what_kubernetes_would_refuse_or_misread_is_not_judged() {
    let (tier, tenants) = strangers();
    for spec in [
        json!({"podSelector": {}, "ingress": [{"to": []}]}),
        json!({"podSelector": {}, "ingress": [{"from": [{}]}]}),
        json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}, "podSelector": {}}]}]}),
        json!({"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}}]}]}),
        json!({"podSelektor": {}}),
    ] {
        let mut cluster = world(&tier, &tenants).cluster;
        let policy = json!({"kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "t-a--dev"}, "spec": spec});
        assert!(cluster.object(&policy).is_err(), "{policy}");
    }
}

#[test]
fn ranges_of_ports_and_named_ports_are_followed() {
    let (tier, tenants) = strangers();
    let mut world = world(&tier, &tenants);
    let ports = json!([{"port": 8000, "endPort": 8010}, {"port": "web", "protocol": "TCP"}]);
    for (tenant, way, side) in [("t-a--dev", "egress", "to"), ("t-b--dev", "ingress", "from")] {
        let policy = json!({
            "kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": tenant},
            "spec": {
                "podSelector": {},
                "policyTypes": [if way == "egress" { "Egress" } else { "Ingress" }],
                way: [{side: [{"namespaceSelector": {}}], "ports": ports}],
            },
        });
        world.cluster.object(&policy).unwrap();
    }
    let target = world.pods.iter_mut().find(|pod| pod.namespace == "t-b--dev");
    target.unwrap().ports = [(("web".to_owned(), "TCP".to_owned()), 80)].into();
    for (port, open) in [
        ("8000", true),
        ("8010", true),
        ("8011", false),
        ("8005/UDP", false),
        ("80", true),
        ("443", false),
    ] {
        assert_eq!(reaches(&world, "t-a--dev", "t-b--dev", port), open, "{port}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Every path there is was declared, by the words of the specs, and every declared one is there.
    #[test]
    fn what_is_declared_is_what_is_reached((tier, tenants) in shape()) {
        let world = world(&tier, &tenants);
        for from in world.ends() {
            for to in world.ends() {
                for text in PORTS {
                    let (protocol, number) = path(text);
                    let reached = world.cluster.reaches(from, to, To { protocol, port: number });
                    let declared = world.declared(&tier, &tenants, from, to, port(text));
                    prop_assert_eq!(reached, declared, "{:?} -> {:?} on {}", from, to, text);
                }
            }
        }
    }

    /// The same in fewer words, so that a mistake made on both sides above cannot hide.
    #[test]
    fn tenants_are_apart_and_metadata_is_out_of_reach((tier, tenants) in shape()) {
        let world = world(&tier, &tenants);
        let network = &tier.spec.network;
        // Who names the pods' addresses makes a mistake; even then nobody gets in who was not let in.
        let pods_named = network.private_cidrs.iter().any(|cidr| cidr.holds([10, 0, 0, 1].into()));
        let owner = |pod: &Pod| tenants.iter().find(|tenant| tenant.namespaces().contains(&pod.namespace));
        for from in &world.pods {
            let Some(own) = owner(from) else { continue };
            for text in PORTS {
                let (protocol, number) = path(text);
                let to = To { protocol, port: number };
                for (address, metadata) in OUTSIDE {
                    let address = End::Address(address.parse().unwrap());
                    prop_assert!(!(metadata && world.cluster.reaches(End::Pod(from), address, to)));
                }
                for target in &world.pods {
                    let Some(other) = owner(target).filter(|other| other.id != own.id) else { continue };
                    if !world.cluster.reaches(End::Pod(from), End::Pod(target), to) {
                        continue;
                    }
                    let lets_in = [&other.spec.network.ingress, &network.ingress];
                    prop_assert!(names(lets_in, own, port(text)));
                    let lets_out = [&own.spec.network.egress, &network.egress];
                    prop_assert!(pods_named || names(lets_out, other, port(text)));
                }
            }
        }
    }
}

/// Whether a rule names this tenant on this port.
fn names(rules: [&Vec<Rule>; 2], tenant: &Tenant, port: Port) -> bool {
    let peer = Peer::Tenant {
        tenant: tenant.id.clone(),
    };
    let on = |one: &Port| one.protocol == port.protocol && (one.first..=one.last).contains(&port.first);
    let mut rules = rules.into_iter().flatten();
    rules.any(|rule| rule.peer == peer && rule.ports.iter().any(on))
}
