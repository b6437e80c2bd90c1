//! Every "no" a cluster can give, with its numbers.

use std::fmt;

use berth_model::{Bytes, Gap, MilliCpu, NetworkPolicyEnforcement, Provider, Timestamp};

use super::Minor;

/// Why a tenant cannot be on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    NotJoined,
    AgentAway {
        last: Option<Timestamp>,
    },
    ApiUnreachable {
        problem: String,
    },
    Revoked,
    NotAccepted,
    Cordoned,
    Region {
        is: String,
        allowed: Vec<String>,
    },
    Label {
        key: String,
        wanted: String,
        is: Option<String>,
    },
    KubernetesVersion {
        is: String,
        least: Minor,
    },
    NetworkPolicy {
        is: NetworkPolicyEnforcement,
    },
    NotEnforced {
        gap: Gap,
    },
    Namespaces {
        asked: u32,
        used: u32,
        limit: u32,
    },
    Cpu {
        asked: MilliCpu,
        free: MilliCpu,
        usable: MilliCpu,
    },
    Memory {
        asked: Bytes,
        free: Bytes,
        usable: Bytes,
    },
    Pods {
        asked: u64,
        free: u64,
        usable: u64,
    },
    NoCloud,
    NotEks {
        is: Provider,
    },
    NodeGroups {
        used: u32,
        limit: u32,
    },
}

impl Constraint {
    /// The name as `explain` shows it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::NotJoined => "NotJoined",
            Self::AgentAway { .. } => "AgentAway",
            Self::ApiUnreachable { .. } => "ApiUnreachable",
            Self::Revoked => "Revoked",
            Self::NotAccepted => "NotAccepted",
            Self::Cordoned => "Cordoned",
            Self::Region { .. } => "Region",
            Self::Label { .. } => "ClusterLabel",
            Self::KubernetesVersion { .. } => "KubernetesVersion",
            Self::NetworkPolicy { .. } => "NetworkPolicy",
            Self::NotEnforced { .. } => "NotEnforced",
            Self::Namespaces { .. } => "Namespaces",
            Self::Cpu { .. } => "Cpu",
            Self::Memory { .. } => "Memory",
            Self::Pods { .. } => "Pods",
            Self::NoCloud => "NoCloud",
            Self::NotEks { .. } => "NotEks",
            Self::NodeGroups { .. } => "NodeGroups",
        }
    }

    /// How near the tenant came to being there: constraints in the order in which they are asked.
    pub(crate) const fn depth(&self) -> u8 {
        match self {
            Self::NotJoined => 0,
            Self::AgentAway { .. } => 1,
            Self::ApiUnreachable { .. } => 2,
            Self::Revoked | Self::NotAccepted | Self::Cordoned => 3,
            Self::Region { .. } => 4,
            Self::Label { .. } => 5,
            Self::KubernetesVersion { .. } => 6,
            Self::NetworkPolicy { .. } | Self::NotEnforced { .. } => 7,
            Self::NoCloud => 8,
            Self::NotEks { .. } => 9,
            Self::NodeGroups { .. } => 10,
            Self::Namespaces { .. } => 11,
            Self::Cpu { .. } => 12,
            Self::Memory { .. } => 13,
            Self::Pods { .. } => 14,
        }
    }

    /// Whether it may pass by itself: an agent comes back, a cluster joins.
    pub(crate) const fn passes(&self) -> bool {
        self.depth() <= 2
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJoined => f.write_str("its agent has not joined yet"),
            Self::AgentAway { last: Some(at) } => write!(f, "its agent was last heard at {at:.0}"),
            Self::AgentAway { last: None } => f.write_str("its agent was not heard since the hub started"),
            Self::ApiUnreachable { problem } => write!(f, "its agent cannot reach the API server: {problem}"),
            Self::Revoked => f.write_str("its identity was revoked: no new tenants"),
            Self::NotAccepted => {
                f.write_str("it waits to be accepted (berth accept cluster): no tenants before")
            }
            Self::Cordoned => f.write_str("it is cordoned: no new tenants"),
            Self::Region { is, allowed } => {
                let is = if is.is_empty() { "unknown" } else { is };
                write!(f, "its region is {is}, allowed are {}", allowed.join(", "))
            }
            Self::Label {
                key,
                wanted,
                is: Some(is),
            } => write!(f, "label {key} must be {wanted:?} and is {is:?}"),
            Self::Label {
                key,
                wanted,
                is: None,
            } => write!(f, "label {key} must be {wanted:?} and is missing"),
            Self::KubernetesVersion { is, least } => {
                let is = if is.is_empty() { "unknown" } else { is };
                write!(f, "Kubernetes must be at least {least} and is {is}")
            }
            Self::NetworkPolicy { is } => {
                write!(f, "network policies must be enforced and are {}", is.as_str())
            }
            Self::NotEnforced { gap } => write!(
                f,
                "{}; `berth accept-gap CLUSTER {} --reason TEXT` lets tenants in all the same",
                gap.problem(),
                gap.as_str()
            ),
            Self::Namespaces { asked, used, limit } => {
                write!(f, "needs {asked} namespaces, {used} of {limit} are used")
            }
            Self::Cpu { asked, free, usable } => write!(f, "needs {asked} CPU, {free} of {usable} are free"),
            Self::Memory { asked, free, usable } => {
                write!(
                    f,
                    "needs {} memory, {} of {} are free",
                    asked.about(),
                    free.about(),
                    usable.about()
                )
            }
            Self::Pods { asked, free, usable } => {
                write!(f, "needs {asked} pods, {free} of {usable} are free")
            }
            Self::NoCloud => f.write_str("this hub has no cloud account to make node pools with"),
            Self::NotEks { is } => {
                write!(
                    f,
                    "node pools can be made in EKS clusters only and this one is {}",
                    is.as_str()
                )
            }
            Self::NodeGroups { used, limit } => write!(f, "{used} of {limit} node groups are used"),
        }
    }
}
