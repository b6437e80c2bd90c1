//! The cluster's facts as the hub hears them: the engine's, with where users reach the API.

use std::{sync::Arc, time::Duration};

use berth_apply::Engine;
use berth_model::ClusterFacts;
use berth_runtime::{
    clock::Clock,
    retry::{Backoff, Policy},
};
use tokio::sync::watch;

use crate::cluster::Cluster;

const TRIES: Policy = Policy::new(Duration::from_millis(200), Duration::from_secs(10));

/// Facts as the hub is to hear them, and the task that keeps them so.
pub(crate) struct Facts {
    engine: Engine,
    cluster: Cluster,
    clock: Arc<dyn Clock>,
    current: watch::Sender<Arc<ClusterFacts>>,
}

impl Facts {
    /// Waits for the first ones.
    pub(crate) async fn first(engine: Engine, cluster: Cluster, clock: Arc<dyn Clock>) -> Self {
        let mut backoff = Backoff::new(&TRIES);
        loop {
            match engine.facts().await {
                Ok(facts) => {
                    let facts = complete(facts, &cluster);
                    return Self {
                        engine,
                        cluster,
                        clock,
                        current: watch::Sender::new(Arc::new(facts)),
                    };
                }
                Err(error) => tracing::warn!(
                    error = error.message(),
                    "cannot read the cluster's facts; trying again"
                ),
            }
            clock.sleep(backoff.next_delay()).await;
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<ClusterFacts>> {
        self.current.subscribe()
    }

    /// Follows the engine. Ends with it.
    pub(crate) async fn follow(self) {
        let mut backoff = Backoff::new(&TRIES);
        let mut changed = self.engine.facts_changed();
        while changed.changed().await.is_ok() {
            match self.engine.facts().await {
                Ok(facts) => {
                    backoff.reset();
                    let facts = complete(facts, &self.cluster);
                    self.current.send_if_modified(|current| {
                        let news = **current != facts;
                        if news {
                            *current = Arc::new(facts);
                        }
                        news
                    });
                }
                Err(error) => {
                    tracing::debug!(error = error.message(), "read the cluster's facts");
                    self.clock.sleep(backoff.next_delay()).await;
                    changed.mark_changed();
                }
            }
        }
    }
}

fn complete(facts: ClusterFacts, cluster: &Cluster) -> ClusterFacts {
    ClusterFacts {
        api_url: cluster.api_url.clone(),
        api_ca_pem: cluster.api_ca_pem.clone(),
        ..facts
    }
}
