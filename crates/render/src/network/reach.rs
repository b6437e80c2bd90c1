//! Who reaches whom, by what NetworkPolicies say: decides as Kubernetes documents it, and knows nothing of how they were rendered.
//!
//! # Assumptions
//! The network plug-in enforces policies. Nodes reach their own pods, and pods on the host's network are not subject to
//! policies: neither is modelled. An `ipBlock` is taken to match pods by their addresses too, which plug-ins may or may not do.

mod policy;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::Value;

pub use self::policy::Unreadable;
use self::policy::{Policy, Selector, Way};

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses, one of each family.
    pub addresses: Vec<IpAddr>,
    /// Ports by name and protocol, such as `("http", "TCP")`.
    pub ports: BTreeMap<(String, String), u16>,
}

/// One side of a connection.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// A pod.
    Pod(&'a Pod),
    /// An address that is no pod's.
    Address(IpAddr),
}

/// Where a connection goes to.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    /// Its protocol: `TCP`, `UDP` or `SCTP`.
    pub protocol: &'a str,
    /// Its port.
    pub port: u16,
}

/// A cluster as its network sees it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    namespaces: BTreeMap<String, Labels>,
    policies: Vec<Policy>,
}

impl Cluster {
    /// Adds a namespace with its labels, and with the one that Kubernetes gives it.
    pub fn namespace(&mut self, name: &str, mut labels: Labels) {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
        self.namespaces.insert(name.to_owned(), labels);
    }

    /// Adds a Namespace or a NetworkPolicy; other kinds do nothing to the network.
    ///
    /// # Errors
    /// It has something that Kubernetes does not know, or would not accept.
    pub fn object(&mut self, manifest: &Value) -> Result<(), Unreadable> {
        match manifest["kind"].as_str() {
            Some("Namespace") => {
                let (name, labels) = policy::namespace(manifest)?;
                self.namespace(&name, labels);
            }
            Some("NetworkPolicy") => self.policies.push(Policy::read(manifest)?),
            _ => {}
        }
        Ok(())
    }

    /// The namespaces there are.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.keys().map(String::as_str)
    }

    /// Whether a connection from the one can be opened to the other: the one must be let out and the other must let in.
    #[must_use]
    pub fn reaches(&self, from: End<'_>, end: End<'_>, to: To<'_>) -> bool {
        let itself = |from: &Pod, to: &Pod| (&from.namespace, &from.name) == (&to.namespace, &to.name);
        match (from, end) {
            (End::Pod(from), End::Pod(to)) if itself(from, to) => true,
            _ => self.passes(Way::Out, from, end, end, to) && self.passes(Way::In, end, from, end, to),
        }
    }

    /// Whether `subject` lets the connection pass on its way; `other` is the other side, `target` where the port is.
    fn passes(&self, way: Way, subject: End<'_>, other: End<'_>, target: End<'_>, to: To<'_>) -> bool {
        let End::Pod(subject) = subject else {
            return true;
        };
        let mut selecting = self
            .policies
            .iter()
            .filter(|policy| policy.namespace == subject.namespace && policy.pods.matches(&subject.labels))
            .filter_map(|policy| policy.rules(way).map(|rules| (policy, rules)))
            .peekable();
        // Nobody has anything to say, so everything goes.
        if selecting.peek().is_none() {
            return true;
        }
        selecting.any(|(policy, rules)| {
            rules.iter().any(|rule| {
                let peer = rule.peers.is_empty()
                    || rule
                        .peers
                        .iter()
                        .any(|peer| self.is_peer(&policy.namespace, peer, other));
                let port = rule.ports.is_empty() || rule.ports.iter().any(|port| port.is(target, to));
                peer && port
            })
        })
    }

    fn is_peer(&self, home: &str, peer: &policy::Peer, end: End<'_>) -> bool {
        match (peer, end) {
            (policy::Peer::Block { cidr, except }, end) => {
                let addresses = match end {
                    End::Pod(pod) => pod.addresses.as_slice(),
                    End::Address(ref address) => std::slice::from_ref(address),
                };
                addresses.iter().any(|address| {
                    cidr.holds(*address) && !except.iter().any(|except| except.holds(*address))
                })
            }
            (policy::Peer::Pods { .. }, End::Address(_)) => false,
            (policy::Peer::Pods { namespaces, pods }, End::Pod(pod)) => {
                let namespace = match namespaces {
                    None => pod.namespace == home,
                    Some(selector) => self
                        .namespaces
                        .get(&pod.namespace)
                        .is_some_and(|labels| selector.matches(labels)),
                };
                namespace
                    && pods
                        .as_ref()
                        .is_none_or(|pods: &Selector| pods.matches(&pod.labels))
            }
        }
    }

    /// Namespaces in which some pod would not be held to both ways in and out: no policy selects all pods there.
    #[must_use]
    pub fn open_namespaces(&self) -> BTreeSet<&str> {
        let closed = |name: &str, way| {
            self.policies
                .iter()
                .any(|policy| policy.namespace == name && policy.pods.is_all() && policy.rules(way).is_some())
        };
        self.namespaces()
            .filter(|name| !closed(name, Way::In) || !closed(name, Way::Out))
            .collect()
    }
}
