//! Who may talk to whom, as files say it: each rule names one other side beside its ports.

use berth_model::network::{Network, Peer, Rule, TierNetwork, Within};
use berth_proto::v1::{self, network_rule};

use super::{node::Value, reader::Reader, scalar::text, tree::Tree};
use crate::{api::rule_from_proto, words};

pub(super) fn network(network: &mut Reader<'_>) -> Option<Network> {
    let within: [(&str, Option<Within>); 2] = words::WITHIN.map(|(word, within)| (word, Some(within)));
    Some(Network {
        within: network.choice_or("within", &within, None)?,
        ingress: rules(network, "ingress"),
        egress: rules(network, "egress"),
    })
}

pub(super) fn tier_network(network: &mut Reader<'_>) -> Option<TierNetwork> {
    let usual = TierNetwork::default();
    let within = network.choice_or("within", &words::WITHIN, usual.within);
    let ingress_controllers = network.texts_or("ingressControllers", usual.ingress_controllers);
    let monitoring = network.texts_or("monitoring", usual.monitoring);
    let private_cidrs = network.parsed("privateCidrs", "such as 10.20.0.0/16");
    Some(TierNetwork {
        within: within?,
        ingress_controllers,
        monitoring,
        private_cidrs,
        ingress: rules(network, "ingress"),
        egress: rules(network, "egress"),
    })
}

fn rules(network: &mut Reader<'_>, name: &'static str) -> Vec<Rule> {
    let path = network.path_of(name);
    let mut at = 0;
    network.objects(name, |rule| {
        let path = format!("{path}[{at}]");
        at += 1;
        self::rule(rule, &path)
    })
}

fn rule(rule: &mut Reader<'_>, path: &str) -> Option<Rule> {
    let mut peers = Vec::new();
    if rule.flag("ingressController") == Some(true) {
        peers.push(network_rule::Peer::IngressController(
            v1::IngressControllerPeer {},
        ));
    }
    if rule.flag("monitoring") == Some(true) {
        peers.push(network_rule::Peer::Monitoring(v1::MonitoringPeer {}));
    }
    let service = rule.object("service", |service| {
        Some(v1::ServicePeer {
            namespace: service.text_or_empty("namespace"),
            labels: service.text_map("labels"),
        })
    });
    peers.extend(service.map(network_rule::Peer::Service));
    peers.extend(rule.text("cidr").map(network_rule::Peer::Cidr));
    peers.extend(rule.text("tenant").map(network_rule::Peer::Tenant));
    let ports = rule.items("ports", |faults, path, node| match node.value {
        Value::Unsigned(port) => Some(port.to_string()),
        _ => text(faults, path, node),
    });
    if peers.len() > 1 {
        rule.faults
            .add(path, "names more than one other side", "write a rule for each");
        return None;
    }
    rule_from_proto(
        rule.faults,
        path,
        &v1::NetworkRule {
            peer: peers.pop(),
            ports,
        },
    )
}

pub(super) fn network_tree(network: &Network) -> Tree {
    Tree::map()
        .some_text(
            "within",
            network
                .within
                .map_or("", |within| words::word(&words::WITHIN, &within)),
        )
        .with_some("ingress", rules_tree(&network.ingress))
        .with_some("egress", rules_tree(&network.egress))
}

/// Nothing when it is the usual one.
pub(super) fn tier_network_tree(network: &TierNetwork) -> Tree {
    if *network == TierNetwork::default() {
        return Tree::Null;
    }
    Tree::map()
        .text("within", words::word(&words::WITHIN, &network.within))
        .with("ingressControllers", Tree::texts(&network.ingress_controllers))
        .with("monitoring", Tree::texts(&network.monitoring))
        .with_some(
            "privateCidrs",
            Tree::texts(network.private_cidrs.iter().map(ToString::to_string)),
        )
        .with_some("ingress", rules_tree(&network.ingress))
        .with_some("egress", rules_tree(&network.egress))
}

fn rules_tree(rules: &[Rule]) -> Tree {
    Tree::List(rules.iter().map(rule_tree).collect())
}

fn rule_tree(rule: &Rule) -> Tree {
    let tree = match &rule.peer {
        Peer::IngressController => Tree::map().with("ingressController", Tree::Bool(true)),
        Peer::Monitoring => Tree::map().with("monitoring", Tree::Bool(true)),
        Peer::Service { namespace, labels } => Tree::map().with(
            "service",
            Tree::map()
                .text("namespace", namespace)
                .with_some("labels", labels.iter().collect()),
        ),
        Peer::Cidr { cidr } => Tree::map().text("cidr", &cidr.to_string()),
        Peer::Tenant { tenant } => Tree::map().text("tenant", tenant.as_str()),
    };
    tree.with_some("ports", Tree::texts(rule.ports.iter().map(ToString::to_string)))
}
