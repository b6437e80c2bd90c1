//! What an engine is made of.

use std::{fmt, sync::Arc, time::Duration};

use berth_model::label;
use berth_runtime::clock::{Clock, SystemClock};
use kube::Client;

use crate::{
    breaker::BreakerLimits,
    ledger::{KubeLedger, Ledger},
};

/// What an [`Engine`](crate::Engine) is made of. Start from [`Options::new`] and change what differs.
#[derive(Clone)]
pub struct Options {
    /// How the cluster is reached. It should not retry by itself (`Config::default_retry = false`): the engine does, within bounds.
    pub client: Client,
    /// The agent's own namespace, where the ledger is.
    pub agent_namespace: String,
    /// What is remembered.
    pub ledger: Arc<dyn Ledger>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How many requests of tenants' objects are under way at once, at most. Mending drift has as many of its own again.
    pub concurrency: usize,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How often one request is sent before its failure counts, when another try may help.
    pub request_attempts: u32,
    /// How long a quota may take to be in force, and a pruned object to be gone, before the tenant is reported failed (and tried again).
    pub settle_timeout: Duration,
    /// Pause before a failed tenant is tried again: first, and longest. Jittered in full.
    pub retry: (Duration, Duration),
    /// When deleting stops.
    pub breaker: BreakerLimits,
    /// An idle engine asks the API server whether it still answers this often.
    pub probe_interval: Duration,
}

impl Options {
    /// The defaults, for an agent in namespace `berth-system` with its ledger there.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self::in_namespace(client, label::AGENT_NAMESPACE)
    }

    /// The defaults, for an agent in `namespace` with its ledger there.
    #[must_use]
    pub fn in_namespace(client: Client, namespace: &str) -> Self {
        Self {
            ledger: Arc::new(KubeLedger::new(client.clone(), namespace.to_owned())),
            client,
            agent_namespace: namespace.to_owned(),
            clock: Arc::new(SystemClock::new()),
            concurrency: 8,
            request_timeout: Duration::from_secs(10),
            request_attempts: 4,
            settle_timeout: Duration::from_secs(30),
            retry: (Duration::from_millis(500), Duration::from_secs(60)),
            breaker: BreakerLimits::default(),
            probe_interval: Duration::from_secs(2),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("agent_namespace", &self.agent_namespace)
            .field("concurrency", &self.concurrency)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
