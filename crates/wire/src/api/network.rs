//! Who may talk to whom.

use berth_model::{
    Violation,
    network::{Cidr, Network, Peer, Port, Rule, TierNetwork, Within},
};
use berth_proto::v1::{self, network_rule};

use crate::{faults::Faults, words};

pub(crate) fn network_to_proto(network: &Network) -> Option<v1::Network> {
    (*network != Network::default()).then(|| v1::Network {
        within: network
            .within
            .map_or("", |within| words::word(&words::WITHIN, &within))
            .into(),
        ingress: network.ingress.iter().map(rule_to_proto).collect(),
        egress: network.egress.iter().map(rule_to_proto).collect(),
    })
}

pub(crate) fn network_from_proto(faults: &mut Faults, network: Option<&v1::Network>) -> Network {
    let Some(network) = network else {
        return Network::default();
    };
    Network {
        within: match network.within.as_str() {
            "" => None,
            within => faults.choice("spec.network.within", within, &words::WITHIN),
        },
        ingress: rules_from_proto(faults, "spec.network.ingress", &network.ingress),
        egress: rules_from_proto(faults, "spec.network.egress", &network.egress),
    }
}

pub(crate) fn tier_network_to_proto(network: &TierNetwork) -> v1::TierNetwork {
    v1::TierNetwork {
        within: words::word(&words::WITHIN, &network.within).into(),
        ingress_controllers: network.ingress_controllers.clone(),
        monitoring: network.monitoring.clone(),
        private_cidrs: network.private_cidrs.iter().map(ToString::to_string).collect(),
        ingress: network.ingress.iter().map(rule_to_proto).collect(),
        egress: network.egress.iter().map(rule_to_proto).collect(),
    }
}

/// A tier that says nothing of its network has the usual one.
pub(crate) fn tier_network_from_proto(faults: &mut Faults, network: Option<&v1::TierNetwork>) -> TierNetwork {
    let Some(network) = network else {
        return TierNetwork::default();
    };
    TierNetwork {
        within: faults
            .choice_or(
                "spec.network.within",
                &network.within,
                &words::WITHIN,
                Within::Tenant,
            )
            .unwrap_or_default(),
        ingress_controllers: network.ingress_controllers.clone(),
        monitoring: network.monitoring.clone(),
        private_cidrs: cidrs(faults, "spec.network.privateCidrs", &network.private_cidrs),
        ingress: rules_from_proto(faults, "spec.network.ingress", &network.ingress),
        egress: rules_from_proto(faults, "spec.network.egress", &network.egress),
    }
}

pub(crate) fn cidrs(faults: &mut Faults, path: &str, texts: &[String]) -> Vec<Cidr> {
    texts
        .iter()
        .enumerate()
        .filter_map(|(at, text)| cidr(faults, &format!("{path}[{at}]"), text))
        .collect()
}

fn cidr(faults: &mut Faults, path: &str, text: &str) -> Option<Cidr> {
    text.parse()
        .map_err(|error: berth_model::network::InvalidNetwork| {
            faults.push(Violation::new(path, error.to_string(), "such as 203.0.113.0/24"));
        })
        .ok()
}

fn rule_to_proto(rule: &Rule) -> v1::NetworkRule {
    let peer = match &rule.peer {
        Peer::IngressController => network_rule::Peer::IngressController(v1::IngressControllerPeer {}),
        Peer::Monitoring => network_rule::Peer::Monitoring(v1::MonitoringPeer {}),
        Peer::Service { namespace, labels } => network_rule::Peer::Service(v1::ServicePeer {
            namespace: namespace.clone(),
            labels: labels.clone(),
        }),
        Peer::Cidr { cidr } => network_rule::Peer::Cidr(cidr.to_string()),
        Peer::Tenant { tenant } => network_rule::Peer::Tenant(tenant.to_string()),
    };
    v1::NetworkRule {
        peer: Some(peer),
        ports: rule.ports.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn rules_from_proto(faults: &mut Faults, path: &str, rules: &[v1::NetworkRule]) -> Vec<Rule> {
    rules
        .iter()
        .enumerate()
        .filter_map(|(at, rule)| rule_from_proto(faults, &format!("{path}[{at}]"), rule))
        .collect()
}

pub(crate) fn rule_from_proto(faults: &mut Faults, path: &str, rule: &v1::NetworkRule) -> Option<Rule> {
    let ports = rule
        .ports
        .iter()
        .enumerate()
        .filter_map(|(at, text)| {
            text.parse::<Port>()
                .map_err(|error| {
                    faults.push(Violation::new(
                        format!("{path}.ports[{at}]"),
                        error.to_string(),
                        "",
                    ));
                })
                .ok()
        })
        .collect();
    let peer = match &rule.peer {
        None => {
            faults.add(
                path,
                "names no other side",
                "name one of ingressController, monitoring, service, cidr, tenant",
            );
            None
        }
        Some(network_rule::Peer::IngressController(_)) => Some(Peer::IngressController),
        Some(network_rule::Peer::Monitoring(_)) => Some(Peer::Monitoring),
        Some(network_rule::Peer::Service(service)) => Some(Peer::Service {
            namespace: service.namespace.clone(),
            labels: service.labels.clone(),
        }),
        Some(network_rule::Peer::Cidr(text)) => {
            cidr(faults, &format!("{path}.cidr"), text).map(|cidr| Peer::Cidr { cidr })
        }
        Some(network_rule::Peer::Tenant(id)) => faults
            .name(&format!("{path}.tenant"), id)
            .map(|tenant| Peer::Tenant { tenant }),
    };
    Some(Rule { peer: peer?, ports })
}
