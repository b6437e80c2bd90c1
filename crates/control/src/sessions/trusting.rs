//! Whom agents trust: what they are to trust is said to those that do not yet, and what they say of it is remembered after their
//! sessions end.

use std::collections::BTreeMap;

use berth_model::ClusterName;

use super::{SessionId, Sessions};

/// Most pins that an agent's word is taken for.
const MOST_PINS: usize = 8;

/// Whose certificates are to be trusted: the authority that signs first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Their certificates, PEM.
    pub pem: String,
    /// Their pins, in the same order.
    pub pins: Vec<String>,
}

/// What is known of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusting {
    /// Pins of the authorities it trusts.
    pub trusts: Vec<String>,
    /// Pin of the authority that issued its certificate; empty when that is not known.
    pub issuer: String,
}

impl Sessions {
    /// From now on agents are to trust these; those that do not yet are told.
    pub fn set_trust(&self, trust: Trusted) {
        let mut state = self.state();
        for known in state.clusters.values() {
            if let Some(live) = known
                .session
                .as_ref()
                .filter(|_| known.trusting.trusts != trust.pins)
            {
                live.outbox.trust(trust.pem.clone());
            }
        }
        state.trust = Some(trust);
    }

    /// The agent keeps and trusts these.
    pub fn trust_kept(&self, cluster: &ClusterName, id: SessionId, pins: Vec<String>) {
        self.with_live(cluster, id, |state, cluster| {
            if let Some(known) = state.clusters.get_mut(cluster) {
                known.trusting.trusts = pins.into_iter().take(MOST_PINS).collect();
            }
            false
        });
    }

    /// The agent got a certificate from the authority with that pin.
    pub fn certified(&self, cluster: &ClusterName, issuer_pin: &str) {
        if let Some(known) = self.state().clusters.get_mut(cluster) {
            issuer_pin.clone_into(&mut known.trusting.issuer);
        }
    }

    /// What is known of each agent that was here since this hub leads.
    #[must_use]
    pub fn trusting(&self) -> BTreeMap<ClusterName, Trusting> {
        let state = self.state();
        let known = state.clusters.iter();
        known
            .map(|(cluster, known)| (cluster.clone(), known.trusting.clone()))
            .collect()
    }
}
