//! Where Istio is, the same word on who gets in once more at the proxies: by who a caller proves to be, not by where it is.
//!
//! One policy for each namespace. That it is there and allows somebody makes Istio refuse everybody else.

use std::collections::BTreeSet;

use berth_model::{
    label,
    network::{Peer, Port, Protocol, Rule, Within, ranges},
    placement::namespace_name,
};
use serde_json::{Value, json};

use crate::{
    Input, meta,
    namespace::Namespace,
    network::{self, peer::of_platform},
};

/// Istio takes ports one by one. Wider ranges than this are left to the NetworkPolicy.
const MOST_PORTS: usize = 64;

/// The policy of one of the tenant's namespaces.
pub(crate) fn policy(input: &Input<'_>, all: &[Namespace<'_>], namespace: &Namespace<'_>) -> Value {
    let near = |other: &&Namespace<'_>| match network::within(input) {
        Within::Tenant => true,
        Within::Environment => other.part.environment == namespace.part.environment,
    };
    let own: Vec<&str> = all.iter().filter(near).map(|other| other.name.as_str()).collect();
    let mut rules = vec![json!({"from": [{"source": {"namespaces": own}}]})];
    rules.extend(
        network::ingress(input)
            .into_iter()
            .flat_map(|rule| declared(input, rule)),
    );
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": meta::namespaced(input.tenant, &namespace.name, "allow-declared"),
        "spec": {"action": "ALLOW", "rules": rules},
    })
}

/// A rule without a source or a port would let in everybody: then there is none.
fn declared(input: &Input<'_>, rule: &Rule) -> Option<Value> {
    let sources = sources(input, &rule.peer);
    let ports = ports(&rule.ports)?;
    if sources.is_empty() {
        return None;
    }
    let mut rendered = json!({"from": sources});
    if ports.len() <= MOST_PORTS {
        rendered["to"] = json!([{"operation": {"ports": ports}}]);
    }
    if rule.peer == Peer::IngressController {
        // The ingress controller is everybody's: what it lets through for another tenant stays out.
        rendered["when"] = json!([{
            "key": format!("request.headers[{}]", label::TENANT_HEADER),
            "values": [input.tenant.id.as_str()],
        }]);
    }
    Some(rendered)
}

fn sources(input: &Input<'_>, peer: &Peer) -> Vec<Value> {
    let network = &input.tier.spec.network;
    let namespaces = |names: Vec<&str>| match names.is_empty() {
        true => Vec::new(),
        false => vec![json!({"source": {"namespaces": names}})],
    };
    match peer {
        Peer::IngressController => namespaces(of_platform(&network.ingress_controllers)),
        Peer::Monitoring => namespaces(of_platform(&network.monitoring)),
        // Pods' labels prove nothing to a proxy: they are left to the NetworkPolicy.
        Peer::Service { namespace, .. } => namespaces(of_platform(std::slice::from_ref(namespace))),
        Peer::Cidr { cidr } => {
            let blocks = ranges::left_of(*cidr, &[]);
            let text = |ranges: &[berth_model::network::Cidr]| -> Vec<String> {
                ranges.iter().map(ToString::to_string).collect()
            };
            let source = |block: &ranges::Block| match block.except.is_empty() {
                true => json!({"source": {"ipBlocks": [block.cidr.to_string()]}}),
                false => json!({
                    "source": {"ipBlocks": [block.cidr.to_string()], "notIpBlocks": text(&block.except)},
                }),
            };
            blocks.iter().map(source).collect()
        }
        Peer::Tenant { tenant } if *tenant == input.tenant.id => Vec::new(),
        Peer::Tenant { tenant } => {
            // No tenant's id has "--" in it, so what begins like this is this tenant's.
            let main = namespace_name(tenant, None);
            let further = format!("{main}--*");
            namespaces(vec![&main, &further])
        }
    }
}

/// The TCP ports, one by one: nothing else passes a proxy. None where there is no such port.
fn ports(ports: &[Port]) -> Option<Vec<String>> {
    let tcp = ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let all: BTreeSet<u16> = tcp.flat_map(|port| port.first..=port.last).collect();
    (!all.is_empty()).then(|| all.iter().map(ToString::to_string).collect())
}
