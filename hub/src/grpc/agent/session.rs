//! One session, below gRPC: whoever carries messages both ways and vouches for the agent's key can hold one.

use std::{sync::Arc, time::Duration};

use berth_control::{Registry, Sessions};
use berth_model::{ClusterName, Term};
use berth_proto::agent;
use berth_runtime::Clock;
use berth_store::Store;
use futures::Stream;
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tracing::warn;

use super::{
    super::error::{refused, status},
    hello::hello,
    listen::{Link, Told},
    speak::Speaker,
};

/// An agent says who it is within this.
const HELLO: Duration = Duration::from_secs(20);
/// Messages on their way to the agent.
const WINDOW: usize = 64;

/// What a session needs of the hub.
#[derive(Clone)]
pub struct Ends {
    /// Whose key speaks for which cluster.
    pub registry: Registry,
    /// The sessions.
    pub sessions: Sessions,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where rendered objects are.
    pub store: Arc<dyn Store>,
    /// The leader's term.
    pub term: Term,
}

impl Ends {
    /// Begins a session with the agent of `cluster` that has proved to have the key of the certificate (DER); returns what is said
    /// to it. The session goes on in a task of its own until either side ends it.
    ///
    /// # Errors
    /// The agent is not in the fleet, its key was replaced, or it did not say properly who it is.
    pub async fn begin(
        self,
        cluster: ClusterName,
        key_sha256: String,
        certificate: Arc<[u8]>,
        mut incoming: impl Stream<Item = Result<agent::LinkRequest, Status>> + Send + Unpin + 'static,
    ) -> Result<mpsc::Receiver<Result<agent::LinkResponse, Status>>, Status> {
        let (hello, protocol) = tokio::select! {
            biased;
            hello = hello(&mut incoming) => hello?,
            () = self.clock.sleep(HELLO) => return Err(refused(Code::DeadlineExceeded, "NO_HELLO", "the agent did not say who it is")),
        };
        // Once more: saying hello may take a while, and the key may have been replaced meanwhile.
        check_key(&self.registry, &cluster, &key_sha256).await?;
        let (session, outbox) = self.sessions.open(&cluster, &key_sha256, hello);
        let (out, messages) = mpsc::channel(WINDOW);
        let told = Arc::new(Told::default());
        let speaker = Speaker {
            clock: self.clock.clone(),
            store: self.store,
            term: self.term,
            out,
            nonce: 0,
            told: told.clone(),
        };
        let link = Link {
            sessions: self.sessions,
            clock: self.clock,
            cluster,
            session,
            told,
            protocol,
            certificate,
        };
        tokio::spawn(link.run(incoming, speaker, outbox));
        Ok(messages)
    }
}

/// Whether that key is the one that speaks for the cluster.
pub(super) async fn check_key(
    registry: &Registry,
    cluster: &ClusterName,
    key_sha256: &str,
) -> Result<(), Status> {
    let current = registry.cluster_key(cluster).await.map_err(|error| match error {
        berth_control::RegistryError::NotFound { .. } => refused(
            Code::PermissionDenied,
            "NOT_IN_FLEET",
            format!("cluster {cluster} is not in this fleet (any more); join it again with berth token create {cluster}"),
        ),
        other => status(other),
    })?;
    if current == key_sha256 {
        return Ok(());
    }
    warn!(%cluster, "an agent with a replaced key was refused");
    Err(refused(
        Code::PermissionDenied,
        "KEY_REPLACED",
        format!("cluster {cluster} has joined again with another key; this agent's identity is void"),
    ))
}
