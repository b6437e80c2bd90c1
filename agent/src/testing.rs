//! A door for simulations: an agent below TLS, joined already, over whatever carries its messages.

use std::sync::Arc;

use berth_apply::Engine;
use berth_model::ClusterName;
use berth_runtime::clock::Clock;
use http::Uri;
use tokio::sync::watch;

pub use crate::link::{Dial, DialError};
use crate::{cluster::Cluster, error::Error, evidence::Desk, link::Hubs, run};

/// Who the agent is, and where.
#[derive(Debug)]
pub struct Me {
    /// Its cluster's name in the fleet.
    pub name: ClusterName,
    /// Which process.
    pub instance: String,
    /// The cluster it lives in.
    pub cluster: Cluster,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Tells the hubs of the cluster and does as they say, as the agent does once it has joined. Ends only when the engine does.
pub async fn keep_linked<D: Dial>(engine: Engine, me: Me, hubs: Vec<Uri>, dial: D) -> Error {
    let Me {
        name,
        instance,
        cluster,
        clock,
    } = me;
    let me = run::Me {
        name,
        instance,
        cluster,
        clock,
        keeper: None,
    };
    let live = watch::Sender::new(false);
    // Nobody probes: without an identity there is nothing to sign with.
    run::keep_linked(engine, me, Hubs::new(hubs), dial, live, Desk::new()).await
}
