//! Clusters with random tenants, and what their specs declare in the plainest words.

use std::{collections::BTreeMap, net::IpAddr};

use berth_model::{
    Tenant, Tier,
    network::{Cidr, Network, Peer, Port, Rule, TierNetwork, Within, ranges},
    tenant::Environment,
};
use berth_render::{
    Input,
    network::reach::{Cluster, End, Pod},
    render,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;

use crate::samples;

/// What is tried between any two ends.
pub(crate) const PORTS: [&str; 7] = ["53/UDP", "53", "80", "443", "5432", "8005", "4318/UDP"];

/// Addresses outside the cluster, and whether it is a metadata service.
pub(crate) const OUTSIDE: [(&str, bool); 9] = [
    ("8.8.8.8", false),
    ("203.0.113.7", false),
    ("2600:1f18::1", false),
    ("10.99.0.1", false),
    ("fd12::1", false),
    ("169.254.20.10", false),
    ("169.254.169.254", true),
    ("fd00:ec2::254", true),
    ("::ffff:169.254.169.254", true),
];

/// Namespaces that are no tenant's, and a pod label in each.
const PLATFORM: [(&str, &str, &str); 8] = [
    ("ingress-nginx", "app", "nginx"),
    ("gateway", "app", "envoy"),
    ("monitoring", "app", "prometheus"),
    ("logging", "app", "loki"),
    ("databases", "app", "postgres"),
    ("databases", "app", "redis"),
    ("kube-system", "k8s-app", "kube-dns"),
    ("default", "app", "stranger"),
];

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) pods: Vec<Pod>,
    pub(crate) policies: Vec<Value>,
}

pub(crate) fn port(text: &str) -> Port {
    text.parse().unwrap()
}

pub(crate) fn path(text: &str) -> (&'static str, u16) {
    let port = port(text);
    (port.protocol.as_str(), port.first)
}

pub(crate) fn rule(peer: Peer, ports: &[&str]) -> Rule {
    Rule {
        peer,
        ports: ports.iter().map(|text| port(text)).collect(),
    }
}

pub(crate) fn world(tier: &Tier, tenants: &[Tenant]) -> World {
    changed(tier, tenants, |_| {})
}

/// The world with every policy changed.
pub(crate) fn changed(tier: &Tier, tenants: &[Tenant], change: impl Fn(&mut Value)) -> World {
    let mut cluster = Cluster::default();
    let mut pods: Vec<Pod> = Vec::new();
    let mut policies = Vec::new();
    let mut pod = |namespace: &str, key: &str, value: &str| {
        let number = u8::try_from(pods.len()).unwrap();
        pods.push(Pod {
            namespace: namespace.to_owned(),
            name: format!("pod-{number}"),
            labels: [(key.to_owned(), value.to_owned())].into(),
            addresses: vec![IpAddr::from([10, 0, 0, number])],
            ports: BTreeMap::new(),
        });
    };
    for tenant in tenants {
        let placement = samples::place(tier);
        let input = Input {
            tenant,
            tier,
            placement: &placement,
            bundles: &[],
            istio: false,
        };
        for mut object in render(&input).unwrap().objects {
            if object.manifest["kind"] == "NetworkPolicy" {
                change(&mut object.manifest);
                policies.push(object.manifest.clone());
            }
            cluster.object(&object.manifest).unwrap();
        }
        for namespace in tenant.namespaces() {
            pod(&namespace, "app", "web");
            // Who pretends to be the cluster's DNS is a tenant all the same.
            pod(&namespace, "k8s-app", "kube-dns");
        }
    }
    for (namespace, key, value) in PLATFORM {
        cluster.namespace(namespace, BTreeMap::new());
        pod(namespace, key, value);
    }
    pod("kube-system", "app", "controller");
    World {
        cluster,
        pods,
        policies,
    }
}

impl World {
    pub(crate) fn ends(&self) -> Vec<End<'_>> {
        let outside = OUTSIDE
            .iter()
            .map(|(address, _)| End::Address(address.parse().unwrap()));
        self.pods.iter().map(End::Pod).chain(outside).collect()
    }

    /// What the specs say of this path, without a word of Kubernetes.
    #[expect(clippy::unused_self, reason = "reads like the question it answers")]
    pub(crate) fn declared(
        &self,
        tier: &Tier,
        tenants: &[Tenant],
        from: End<'_>,
        to: End<'_>,
        port: Port,
    ) -> bool {
        if let (End::Pod(from), End::Pod(to)) = (from, to)
            && from == to
        {
            return true;
        }
        let out = match owner(tenants, from) {
            None => true,
            Some(own) => {
                within(tier, tenants, own, from, to) || dns(to, port) || {
                    let network = &tier.spec.network;
                    let rules = network.egress.iter().chain(&own.spec.network.egress);
                    rules
                        .filter(|rule| rule.peer != Peer::IngressController)
                        .any(|rule| {
                            on(rule, port) && names(network, tenants, own, rule, to, &network.private_cidrs)
                        })
                }
            }
        };
        let into = match owner(tenants, to) {
            None => true,
            Some(own) => {
                within(tier, tenants, own, to, from) || {
                    let network = &tier.spec.network;
                    let mut rules = network.ingress.iter().chain(&own.spec.network.ingress);
                    rules.any(|rule| on(rule, port) && names(network, tenants, own, rule, from, &[]))
                }
            }
        };
        out && into
    }
}

fn owner<'a>(tenants: &'a [Tenant], end: End<'_>) -> Option<&'a Tenant> {
    let End::Pod(pod) = end else { return None };
    tenants
        .iter()
        .find(|tenant| tenant.namespaces().contains(&pod.namespace))
}

fn environment(tenant: &Tenant, end: End<'_>) -> Option<Environment> {
    let End::Pod(pod) = end else { return None };
    let parts = tenant.spec.parts();
    let part = parts.iter().find(|part| part.name(&tenant.id) == pod.namespace);
    part.map(|part| part.environment)
}

fn within(tier: &Tier, tenants: &[Tenant], own: &Tenant, one: End<'_>, other: End<'_>) -> bool {
    let apart =
        [Some(tier.spec.network.within), own.spec.network.within].contains(&Some(Within::Environment));
    owner(tenants, other).is_some_and(|tenant| tenant.id == own.id)
        && (!apart || environment(own, one) == environment(own, other))
}

fn dns(to: End<'_>, port: Port) -> bool {
    port.first == 53
        && match to {
            End::Pod(pod) => pod.namespace == "kube-system" && pod.labels.contains_key("k8s-app"),
            End::Address(address) => address == IpAddr::from([169, 254, 20, 10]),
        }
}

fn on(rule: &Rule, port: Port) -> bool {
    let fits =
        |one: &Port| one.protocol == port.protocol && one.first <= port.first && port.first <= one.last;
    rule.ports.iter().any(fits)
}

fn names(
    network: &TierNetwork,
    tenants: &[Tenant],
    own: &Tenant,
    rule: &Rule,
    end: End<'_>,
    named: &[Cidr],
) -> bool {
    let lies_in = |names: &[String]| match end {
        End::Pod(pod) => names.contains(&pod.namespace),
        End::Address(_) => false,
    };
    match &rule.peer {
        Peer::IngressController => lies_in(&network.ingress_controllers),
        Peer::Monitoring => lies_in(&network.monitoring),
        Peer::Service { namespace, labels } => match end {
            End::Pod(pod) => {
                pod.namespace == *namespace
                    && labels
                        .iter()
                        .all(|(key, value)| pod.labels.get(key) == Some(value))
            }
            End::Address(_) => false,
        },
        Peer::Tenant { tenant } => {
            own.id != *tenant && owner(tenants, end).is_some_and(|other| other.id == *tenant)
        }
        Peer::Cidr { cidr } => {
            let address = match end {
                End::Pod(pod) => pod.addresses[0],
                End::Address(address) => address,
            };
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let metadata = OUTSIDE
                .iter()
                .any(|(text, metadata)| *metadata && address == text.parse::<IpAddr>().unwrap());
            let link_local = address == IpAddr::from([169, 254, 20, 10]);
            let one: Option<Cidr> = format!("{address}/{bits}").parse().ok();
            let private = one.is_some_and(|one| ranges::private(&one).is_some());
            cidr.holds(address)
                && !metadata
                && !link_local
                && (!private || named.iter().any(|named| named.holds(address)))
        }
    }
}

fn peer() -> impl Strategy<Value = Peer> {
    let cidrs = [
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/8",
        "10.99.0.0/16",
        "203.0.113.0/24",
        "169.254.0.0/16",
        "fd00::/8",
        "8.0.0.0/5",
    ];
    prop_oneof![
        1 => Just(Peer::IngressController),
        1 => Just(Peer::Monitoring),
        1 => (select(vec!["databases", "default", "nowhere"]), select(vec!["", "postgres", "redis"])).prop_map(
            |(namespace, app)| Peer::Service {
                namespace: namespace.into(),
                labels: if app.is_empty() { BTreeMap::new() } else { [("app".into(), app.into())].into() },
            }
        ),
        1 => select(cidrs.to_vec()).prop_map(|cidr| Peer::Cidr { cidr: cidr.parse().unwrap() }),
        3 => select(vec!["a", "b", "c", "elsewhere"]).prop_map(|id| Peer::Tenant { tenant: id.parse().unwrap() }),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let ports = vec(
        select(vec![
            "53/UDP",
            "80",
            "443",
            "5432",
            "8000-8010",
            "4318/UDP",
            "1-65535",
        ]),
        0..3,
    );
    vec((peer(), ports).prop_map(|(peer, ports)| rule(peer, &ports)), 0..5)
}

fn narrowness() -> impl Strategy<Value = Within> {
    select(vec![Within::Tenant, Within::Environment])
}

fn tenant(id: &'static str) -> impl Strategy<Value = Tenant> {
    let environments = select(vec![vec![], vec![Environment::Dev], Environment::ALL.to_vec()]);
    let extra = select(vec![vec![], vec!["operator"]]);
    (environments, extra, option::of(narrowness()), rules(), rules()).prop_map(
        move |(environments, extra, within, ingress, egress)| {
            samples::tenant(id, "standard", |spec| {
                spec.environments = environments;
                spec.namespaces = extra.into_iter().map(String::from).collect();
                spec.network = Network {
                    within,
                    ingress,
                    egress,
                };
            })
        },
    )
}

/// A tier and its tenants, any of them declaring anything.
pub(crate) fn shape() -> impl Strategy<Value = (Tier, Vec<Tenant>)> {
    let names = |names: &'static [&'static str]| {
        vec(select(names.to_vec()), 0..3)
            .prop_map(|names| names.into_iter().map(String::from).collect::<Vec<_>>())
    };
    let private = vec(
        select(vec![
            "10.99.0.0/16",
            "10.0.0.0/8",
            "fd00::/8",
            "0.0.0.0/0",
            "169.254.0.0/16",
        ]),
        0..2,
    );
    let network = (
        narrowness(),
        names(&["ingress-nginx", "gateway"]),
        names(&["monitoring", "logging"]),
        private,
        rules(),
        rules(),
    );
    let network = network.prop_map(
        |(within, ingress_controllers, monitoring, private, ingress, egress)| {
            let mut tier = samples::tier("standard");
            tier.spec.network = TierNetwork {
                within,
                ingress_controllers,
                monitoring,
                private_cidrs: private.into_iter().map(|cidr| cidr.parse().unwrap()).collect(),
                ingress: ingress.into_iter().take(2).collect(),
                egress: egress.into_iter().take(2).collect(),
            };
            tier
        },
    );
    (network, tenant("a"), tenant("b"), tenant("c")).prop_map(|(tier, a, b, c)| (tier, vec![a, b, c]))
}
