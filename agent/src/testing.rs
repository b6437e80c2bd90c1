//! A door for simulations: an agent below TLS, joined already, over whatever carries its messages.

use std::sync::Arc;

use berth_apply::{Engine, EngineTask};
use berth_model::{ClusterName, label};
use berth_runtime::clock::Clock;
use http::Uri;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use crate::link::{Dial, DialError};
use crate::{acting, cluster::Cluster, error::Error, evidence::Desk, lease::ActingLease, link::Hubs, run};

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

/// The Lease of a cluster's agents, held or wanted by one process.
pub struct Alone {
    lease: ActingLease,
    clock: Arc<dyn Clock>,
}

impl Alone {
    /// Of the process that calls itself `instance`; nothing is asked yet.
    #[must_use]
    pub fn new(client: Client, instance: String, clock: Arc<dyn Clock>) -> Self {
        Self {
            lease: ActingLease::new(client, label::AGENT_NAMESPACE, instance, clock.clone()),
            clock,
        }
    }

    /// `client`, which writes only while the Lease is held.
    #[must_use]
    pub fn client(&self, client: Client) -> Client {
        acting::client(client, self.lease.acting())
    }

    /// Waits for the Lease, runs what `act` makes while it is held, beside `linking`, and gives it up; until `shutdown`.
    ///
    /// # Errors
    /// The Lease is lost, or the engine has ended.
    pub async fn act<L: Future<Output = Error>>(
        &self,
        shutdown: &CancellationToken,
        act: impl FnOnce() -> (EngineTask, L),
    ) -> Result<(), Error> {
        let acting = async {
            let (task, linking) = act();
            run::beside(task, shutdown, linking).await
        };
        run::alone(&self.lease, &*self.clock, shutdown, acting).await
    }
}
