//! One session, below gRPC: whoever carries messages both ways and vouches for the agent's key can hold one.

use std::{sync::Arc, time::Duration};

use berth_control::{Registry, Sessions};
use berth_identity::certificate;
use berth_model::Term;
use berth_proto::agent;
use berth_runtime::Clock;
use berth_store::Store;
use futures::Stream;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::{
    super::error::refused,
    hello::hello,
    listen::{Link, Told},
    pings::Pings,
    speak::Speaker,
    standing::{Shown, check, same_kubernetes},
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
    /// Begins a session with the agent that has proved to have the key of what it has shown; returns what is said to it. The session
    /// goes on in a task of its own until either side ends it.
    ///
    /// # Errors
    /// The agent is not in the fleet, its key was replaced or revoked, it is in another Kubernetes cluster than the one that joined, or
    /// it did not say properly who it is.
    pub async fn begin(
        self,
        shown: Shown,
        mut incoming: impl Stream<Item = Result<agent::LinkRequest, Status>> + Send + Unpin + 'static,
    ) -> Result<mpsc::Receiver<Result<agent::LinkResponse, Status>>, Status> {
        let (mut hello, protocol) = tokio::select! {
            biased;
            hello = hello(&mut incoming) => hello?,
            () = self.clock.sleep(HELLO) => return Err(refused(Code::DeadlineExceeded, "NO_HELLO", "the agent did not say who it is")),
        };
        // Once more: saying hello may take a while, and the key may have been replaced meanwhile.
        let known = check(&self.registry, &shown).await?;
        same_kubernetes(&known, &hello.facts)?;
        hello.issuer_pin.clone_from(&shown.issuer_pin);
        let Shown {
            cluster,
            key_sha256,
            certificate,
            ..
        } = shown;
        let expires = certificate::expiry(&certificate);
        let (session, outbox) = self.sessions.open(&cluster, &key_sha256, hello);
        let (out, messages) = mpsc::channel(WINDOW);
        let told = Arc::new(Told::default());
        let pings = Arc::new(Pings::default());
        let speaker = Speaker {
            clock: self.clock.clone(),
            store: self.store.clone(),
            cluster: cluster.clone(),
            term: self.term,
            out: out.clone(),
            nonce: 0,
            told: told.clone(),
            sessions: self.sessions.clone(),
            pings: pings.clone(),
        };
        let link = Link {
            sessions: self.sessions,
            store: self.store,
            clock: self.clock,
            cluster,
            session,
            told,
            pings,
            protocol,
            certificate,
            kubernetes_uid: known.kubernetes_uid,
            expires,
            out,
        };
        tokio::spawn(link.run(incoming, speaker, outbox));
        Ok(messages)
    }
}
