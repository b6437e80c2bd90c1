//! A NetworkPolicy as Kubernetes reads it (networking.k8s.io/v1), defaults filled in. What is not known is refused, not passed over.

use berth_model::network::Cidr;
use serde::Deserialize;
use serde_json::Value;

use super::{End, Labels, To};

/// Why an object cannot be judged.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {problem}")]
pub struct Unreadable {
    object: String,
    problem: String,
}

/// Of a connection, seen from the pod that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// One policy.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) namespace: String,
    pub(super) pods: Selector,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

/// Lets through what is from one of the peers on one of the ports; an empty list lets through all.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) peers: Vec<Peer>,
    pub(super) ports: Vec<Port>,
}

#[derive(Clone, Debug)]
pub(super) enum Peer {
    Block {
        cidr: Cidr,
        except: Vec<Cidr>,
    },
    Pods {
        /// None: the policy's own namespace.
        namespaces: Option<Selector>,
        /// None: all pods.
        pods: Option<Selector>,
    },
}

impl Policy {
    pub(super) fn read(manifest: &Value) -> Result<Self, Unreadable> {
        let failed = |problem: String| Unreadable {
            object: format!(
                "NetworkPolicy {}/{}",
                manifest["metadata"]["namespace"], manifest["metadata"]["name"]
            ),
            problem,
        };
        let namespace = manifest["metadata"]["namespace"]
            .as_str()
            .ok_or_else(|| failed("has no namespace".to_owned()))?;
        let spec = Spec::deserialize(&manifest["spec"]).map_err(|error| failed(error.to_string()))?;
        let ingress = spec.ingress.unwrap_or_default().into_iter();
        let ingress = ingress.map(|wire| rule(wire.from, wire.ports));
        let ingress: Vec<Rule> = ingress.collect::<Result<_, _>>().map_err(failed)?;
        let egress = spec.egress.unwrap_or_default().into_iter();
        let egress = egress.map(|wire| rule(wire.to, wire.ports));
        let egress: Vec<Rule> = egress.collect::<Result<_, _>>().map_err(failed)?;
        // Without types a policy is about what comes in, and about what goes out when it has a rule for that.
        let types = match spec.policy_types {
            Some(types) if !types.is_empty() => types,
            _ if egress.is_empty() => vec![Type::Ingress],
            _ => vec![Type::Ingress, Type::Egress],
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            pods: spec.pod_selector.unwrap_or_default(),
            ingress: types.contains(&Type::Ingress).then_some(ingress),
            egress: types.contains(&Type::Egress).then_some(egress),
        })
    }

    /// What it says of this way; none when it is not about it.
    pub(super) fn rules(&self, way: Way) -> Option<&[Rule]> {
        match way {
            Way::In => self.ingress.as_deref(),
            Way::Out => self.egress.as_deref(),
        }
    }
}

/// The name and labels of a Namespace.
pub(super) fn namespace(manifest: &Value) -> Result<(String, Labels), Unreadable> {
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
        #[serde(default)]
        labels: Labels,
    }
    Metadata::deserialize(&manifest["metadata"])
        .map(|metadata| (metadata.name, metadata.labels))
        .map_err(|error| Unreadable {
            object: format!("Namespace {}", manifest["metadata"]["name"]),
            problem: error.to_string(),
        })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    pod_selector: Option<Selector>,
    policy_types: Option<Vec<Type>>,
    ingress: Option<Vec<WireIngress>>,
    egress: Option<Vec<WireEgress>>,
}

#[derive(Deserialize, PartialEq, Eq)]
enum Type {
    Ingress,
    Egress,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireIngress {
    from: Option<Vec<WirePeer>>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEgress {
    to: Option<Vec<WirePeer>>,
    ports: Option<Vec<Port>>,
}

fn rule(peers: Option<Vec<WirePeer>>, ports: Option<Vec<Port>>) -> Result<Rule, String> {
    let peers = peers.unwrap_or_default().into_iter().map(WirePeer::peer);
    Ok(Rule {
        peers: peers.collect::<Result<_, _>>()?,
        ports: ports.unwrap_or_default(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WirePeer {
    ip_block: Option<IpBlock>,
    namespace_selector: Option<Selector>,
    pod_selector: Option<Selector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IpBlock {
    cidr: Cidr,
    except: Option<Vec<Cidr>>,
}

impl WirePeer {
    fn peer(self) -> Result<Peer, String> {
        match self {
            Self {
                ip_block: Some(IpBlock { cidr, except }),
                namespace_selector: None,
                pod_selector: None,
            } => {
                let except = except.unwrap_or_default();
                match except
                    .iter()
                    .find(|except| !cidr.contains(except) || **except == cidr)
                {
                    Some(except) => Err(format!("{except} is not inside {cidr}")),
                    None => Ok(Peer::Block { cidr, except }),
                }
            }
            Self {
                ip_block: Some(_), ..
            } => Err("a peer is an ipBlock or a selector, not both".to_owned()),
            Self {
                namespace_selector: None,
                pod_selector: None,
                ..
            } => Err("a peer names nobody".to_owned()),
            Self {
                namespace_selector: namespaces,
                pod_selector: pods,
                ..
            } => Ok(Peer::Pods { namespaces, pods }),
        }
    }
}

/// A label selector; an empty one matches everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Selector {
    match_labels: Labels,
    match_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    key: String,
    operator: Operator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                let listed = value.is_some_and(|value| expression.values.contains(value));
                match expression.operator {
                    Operator::In => listed,
                    // Also where the label is missing.
                    Operator::NotIn => !listed,
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }

    pub(super) fn is_all(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Port {
    protocol: Option<String>,
    port: Option<Number>,
    end_port: Option<u16>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u16),
    Name(String),
}

impl Port {
    /// Whether `to` is this port of `target`.
    pub(super) fn is(&self, target: End<'_>, to: To<'_>) -> bool {
        let protocol = self.protocol.as_deref().unwrap_or("TCP");
        if protocol != to.protocol {
            return false;
        }
        match (&self.port, target) {
            (None, _) => true,
            (Some(Number::Number(first)), _) => (*first..=self.end_port.unwrap_or(*first)).contains(&to.port),
            (Some(Number::Name(name)), End::Pod(pod)) => {
                pod.ports.get(&(name.clone(), protocol.to_owned())) == Some(&to.port)
            }
            // Outside the cluster nobody knows what a name means.
            (Some(Number::Name(_)), End::Address(_)) => false,
        }
    }
}
