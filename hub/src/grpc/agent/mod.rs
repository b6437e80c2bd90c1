//! AgentService: joining, and the link. Identity is the certificate; nothing in a message changes it.

mod hello;
mod listen;
mod session;
mod speak;

use std::{pin::Pin, sync::Arc, time::Duration};

use berth_identity::{Peer, PeerInfo, ca};
use berth_model::{ClusterName, Violation};
use berth_proto::agent::{self, agent_service_server::AgentService};
use berth_store::Store;
use berth_wire::time;
use futures::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::{info, warn};

pub use self::session::Ends;
use self::session::check_key;
use super::{
    Api,
    error::{invalid, refused, status},
};

/// An agent comes back after this while nobody leads.
const NO_LEADER: Duration = Duration::from_secs(1);

/// The service.
pub struct Agents {
    /// What the services share.
    pub api: Api,
    /// Where rendered objects are.
    pub store: Arc<dyn Store>,
}

#[tonic::async_trait]
impl AgentService for Agents {
    async fn join(
        &self,
        request: Request<agent::JoinRequest>,
    ) -> Result<Response<agent::JoinResponse>, Status> {
        let remote = remote(&request);
        // A token that was used after the backup is unused again in a restored store.
        crate::gate::may_change(&self.api.leading()?.fleet.standing())?;
        let request = request.into_inner();
        // The key is in the request for signing; its hash is what the token is bound to.
        let key_sha256 = ca::key_sha256(&request.csr_der).map_err(|error| {
            invalid(vec![Violation::new(
                "csr_der",
                error.to_string(),
                "send a PKCS#10 request signed by the agent's own key",
            )])
        })?;
        let joined = self.api.registry.redeem(&request.token, &key_sha256).await;
        let joined = joined.map_err(|error| {
            warn!(%remote, error = %error, "a join was refused");
            status(error)
        })?;
        let certificate_pem = self.issue(&joined.cluster, &request.csr_der)?;
        info!(cluster = %joined.cluster, %remote, agent = %request.agent_version, "joined");
        Ok(Response::new(agent::JoinResponse {
            certificate_pem,
            ca_pem: self.api.authority.certificate_pem().to_owned(),
            cluster: joined.cluster.to_string(),
        }))
    }

    async fn renew(
        &self,
        request: Request<agent::RenewRequest>,
    ) -> Result<Response<agent::RenewResponse>, Status> {
        self.api.leading()?;
        let (cluster, key) = self.peer(&request).await?;
        let request = request.into_inner();
        if ca::key_sha256(&request.csr_der).ok().as_deref() != Some(key.as_str()) {
            return Err(invalid(vec![Violation::new(
                "csr_der",
                "is for another key",
                "renew with the key of the certificate in use",
            )]));
        }
        let certificate_pem = self.issue(&cluster, &request.csr_der)?;
        info!(%cluster, "certificate renewed");
        Ok(Response::new(agent::RenewResponse {
            certificate_pem,
            ca_pem: self.api.authority.certificate_pem().to_owned(),
        }))
    }

    type LinkStream = Pin<Box<dyn Stream<Item = Result<agent::LinkResponse, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<agent::LinkRequest>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let Some(leading) = self.api.lead.leading() else {
            return Ok(Response::new(self.elsewhere()));
        };
        let (cluster, key_sha256) = self.peer(&request).await?;
        let ends = Ends {
            registry: self.api.registry.clone(),
            sessions: self.api.sessions.clone(),
            clock: self.api.clock.clone(),
            store: self.store.clone(),
            term: leading.term,
        };
        let shown = request.extensions().get::<PeerInfo>();
        let certificate = shown
            .and_then(|info| info.certificate.clone())
            .unwrap_or_default();
        let messages = ends
            .begin(cluster, key_sha256, certificate, request.into_inner())
            .await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

impl Agents {
    /// All that a hub says that does not lead: who does.
    fn elsewhere(&self) -> <Self as AgentService>::LinkStream {
        let leader = self.api.lead.elsewhere().map(|leader| leader.agent_url);
        let goodbye = agent::Goodbye {
            reason: "NotLeader".to_owned(),
            message: "this hub does not lead".to_owned(),
            retry_after: Some(time::span_to_proto(if leader.is_some() {
                Duration::ZERO
            } else {
                NO_LEADER
            })),
            leader: leader.unwrap_or_default(),
        };
        let message = agent::LinkResponse {
            message: Some(agent::link_response::Message::Goodbye(goodbye)),
        };
        Box::pin(tokio_stream::once(Ok(message)))
    }

    /// The cluster whose agent calls, and its key; the key must be the one that joined last.
    async fn peer<T>(&self, request: &Request<T>) -> Result<(ClusterName, String), Status> {
        let Some(PeerInfo {
            peer: Some(Peer::Agent { cluster, key_sha256 }),
            ..
        }) = request.extensions().get::<PeerInfo>()
        else {
            return Err(refused(
                Code::Unauthenticated,
                "NO_CERTIFICATE",
                "join first: this call needs an agent's certificate",
            ));
        };
        check_key(&self.api.registry, cluster, key_sha256).await?;
        Ok((cluster.clone(), key_sha256.clone()))
    }

    fn issue(&self, cluster: &ClusterName, csr_der: &[u8]) -> Result<String, Status> {
        let api = &self.api;
        api.authority
            .issue_agent(
                &api.fleet_id,
                cluster,
                csr_der,
                api.clock.now(),
                ca::AGENT_LIFETIME,
            )
            .map(|issued| issued.certificate_pem)
            .map_err(|error| invalid(vec![Violation::new("csr_der", error.to_string(), "")]))
    }
}

/// Where a request comes from.
pub(super) fn remote<T>(request: &Request<T>) -> String {
    request
        .extensions()
        .get::<PeerInfo>()
        .map_or_else(|| "unknown".into(), |info| info.remote.to_string())
}
