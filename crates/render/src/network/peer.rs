//! One declared rule as Kubernetes has it. There, a list that is missing or empty means everybody and every port; here, [`rule`]
//! is the only way to make one, and it makes none rather than one that opens what was not said.

use berth_model::{
    label,
    network::{Cidr, Peer, Port, Rule, ranges},
};
use serde_json::{Value, json};

use crate::Input;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

/// The rule, or none where it names nobody or no port.
pub(super) fn rule(input: &Input<'_>, direction: Direction, rule: &Rule) -> Option<Value> {
    let peers = peers(input, direction, &rule.peer);
    if peers.is_empty() || rule.ports.is_empty() {
        return None;
    }
    let side = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let ports: Vec<Value> = rule.ports.iter().map(port).collect();
    Some(json!({side: peers, "ports": ports}))
}

fn peers(input: &Input<'_>, direction: Direction, peer: &Peer) -> Vec<Value> {
    let network = &input.tier.spec.network;
    match peer {
        // They come in; a way out to them would be a way around the domains that a tenant may serve.
        Peer::IngressController if direction == Direction::Egress => Vec::new(),
        Peer::IngressController => namespaces(&network.ingress_controllers),
        Peer::Monitoring => namespaces(&network.monitoring),
        Peer::Service { namespace, labels } => {
            let mut peers = namespaces(std::slice::from_ref(namespace));
            if !labels.is_empty() {
                for peer in &mut peers {
                    peer["podSelector"] = json!({"matchLabels": labels});
                }
            }
            peers
        }
        Peer::Cidr { cidr } => {
            // Other tenants' pods have private addresses: who names them to reach a database is not to be reached from them.
            let named: &[Cidr] = match direction {
                Direction::Ingress => &[],
                Direction::Egress => &network.private_cidrs,
            };
            ranges::left_of(*cidr, named).iter().map(block).collect()
        }
        Peer::Tenant { tenant } if *tenant == input.tenant.id => Vec::new(),
        Peer::Tenant { tenant } => {
            vec![json!({"namespaceSelector": {"matchLabels": {label::TENANT: tenant.as_str()}}})]
        }
    }
}

/// Those of these names that can be the platform's: tenants are named by tenant.
pub(crate) fn of_platform(names: &[String]) -> Vec<&str> {
    let names = names.iter().map(String::as_str);
    names
        .filter(|name| !name.is_empty() && !name.starts_with(label::NAMESPACE_PREFIX))
        .collect()
}

fn namespaces(names: &[String]) -> Vec<Value> {
    let names = of_platform(names);
    if names.is_empty() {
        return Vec::new();
    }
    vec![json!({
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}],
        },
    })]
}

fn block(block: &ranges::Block) -> Value {
    let mut rendered = json!({"cidr": block.cidr.to_string()});
    if !block.except.is_empty() {
        let except: Vec<String> = block.except.iter().map(ToString::to_string).collect();
        rendered["except"] = except.into();
    }
    json!({"ipBlock": rendered})
}

fn port(port: &Port) -> Value {
    let mut rendered = json!({"protocol": port.protocol.as_str(), "port": port.first});
    if port.last != port.first {
        rendered["endPort"] = port.last.into();
    }
    rendered
}
