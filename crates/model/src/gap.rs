//! Walls that a cluster cannot hold, and that somebody has accepted all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterFacts, NetworkPolicyEnforcement};

/// A wall that a cluster cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// Nobody is known to enforce network policies.
    NetworkPolicy,
    /// ValidatingAdmissionPolicy is not served (Kubernetes older than 1.30).
    AdmissionPolicy,
}

impl Gap {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::NetworkPolicy, Self::AdmissionPolicy];

    /// `network-policy` or `admission-policy`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "network-policy",
            Self::AdmissionPolicy => "admission-policy",
        }
    }

    /// What the cluster does not do.
    #[must_use]
    pub const fn problem(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "network policies are not known to be enforced",
            Self::AdmissionPolicy => "ValidatingAdmissionPolicy is not served, which takes Kubernetes 1.30",
        }
    }
}

impl std::str::FromStr for Gap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|gap| gap.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no gap; there are network-policy and admission-policy"))
    }
}

/// Gaps with the reasons for which they were accepted.
pub type AcceptedGaps = BTreeMap<Gap, String>;

impl ClusterFacts {
    /// What the cluster cannot hold, as far as its agent has said.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if self.network_policy != NetworkPolicyEnforcement::Enforced {
            gaps.push(Gap::NetworkPolicy);
        }
        if !self.validating_admission_policy {
            gaps.push(Gap::AdmissionPolicy);
        }
        gaps
    }
}
