//! AgentService: joining, and the link. Identity is the certificate; nothing in a message changes it.

mod following;
mod hello;
mod listen;
mod pings;
mod proving;
mod session;
mod speak;
mod standing;
#[cfg(test)]
mod tests;

use std::{pin::Pin, sync::Arc, time::Duration};

use berth_control::registry::Joining;
use berth_identity::{CaError, ca, recovery::Challenges};
use berth_model::{ClusterName, Uid, Violation};
use berth_proto::agent::{self, agent_service_server::AgentService};
use berth_runtime::CancellationToken;
use berth_store::Store;
use futures::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::info;

pub(super) use self::standing::remote_text;
use self::standing::{check, denied, remote, shown};
pub use self::{following::Following, session::Ends, standing::Shown};
use super::{
    Api,
    error::{invalid, status},
};

/// The service.
pub struct Agents {
    /// What the services share.
    pub api: Api,
    /// Where rendered objects are.
    pub store: Arc<dyn Store>,
    /// For agents whose certificates have expired.
    pub challenges: Challenges,
    /// How long their certificates are good.
    pub lifetime: Duration,
    /// The hub is ending.
    pub ending: CancellationToken,
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
        let key_sha256 = ca::key_sha256(&request.csr_der).map_err(bad_request)?;
        let joining = Joining {
            token: &request.token,
            key_sha256: &key_sha256,
            kubernetes_uid: &request.kubernetes_uid,
            remote,
        };
        let joined = self.api.registry.redeem(joining).await.map_err(status)?;
        let certificate_pem = self.issue((&joined.cluster, &joined.uid), &request.csr_der)?;
        info!(cluster = %joined.cluster, ?remote, agent = %request.agent_version, "joined");
        Ok(Response::new(agent::JoinResponse {
            certificate_pem,
            ca_pem: self.api.authority.trust().pem,
            cluster: joined.cluster.to_string(),
        }))
    }

    async fn renew(
        &self,
        request: Request<agent::RenewRequest>,
    ) -> Result<Response<agent::RenewResponse>, Status> {
        self.api.leading()?;
        let shown = shown(&request)?;
        let known = check(&self.api.registry, &shown).await?;
        let request = request.into_inner();
        if ca::key_sha256(&request.csr_der).map_err(bad_request)? != shown.key_sha256 {
            return Err(denied(
                &shown.cluster,
                "OTHER_KEY",
                "renew with the key of the certificate in use".to_owned(),
            ));
        }
        let certificate_pem = self.issue((&known.name, &known.uid), &request.csr_der)?;
        info!(cluster = %known.name, "certificate renewed");
        Ok(Response::new(agent::RenewResponse {
            certificate_pem,
            ca_pem: self.api.authority.trust().pem,
        }))
    }

    async fn challenge(
        &self,
        _: Request<agent::ChallengeRequest>,
    ) -> Result<Response<agent::ChallengeResponse>, Status> {
        self.give_challenge().map(Response::new)
    }

    async fn recover(
        &self,
        request: Request<agent::RecoverRequest>,
    ) -> Result<Response<agent::RecoverResponse>, Status> {
        let remote = remote(&request);
        self.prove(&request.into_inner(), remote).await.map(Response::new)
    }

    type LinkStream = Pin<Box<dyn Stream<Item = Result<agent::LinkResponse, Status>> + Send>>;

    async fn link(
        &self,
        request: Request<Streaming<agent::LinkRequest>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let mut shown = shown(&request)?;
        let Some(leading) = self.api.lead.leading() else {
            let following = Following {
                lead: self.api.lead.clone(),
                clock: self.api.clock.clone(),
                ending: self.ending.clone(),
            };
            let messages = following.begin(request.into_inner());
            return Ok(Response::new(Box::pin(ReceiverStream::new(messages))));
        };
        check(&self.api.registry, &shown).await?;
        let issuer = self.api.authority.issuer_of(&shown.certificate);
        shown.issuer_pin = issuer.map(|pin| pin.to_string()).unwrap_or_default();
        let ends = Ends {
            registry: self.api.registry.clone(),
            sessions: self.api.sessions.clone(),
            clock: self.api.clock.clone(),
            store: self.store.clone(),
            term: leading.term,
        };
        let messages = ends.begin(shown, request.into_inner()).await?;
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

impl Agents {
    fn issue(&self, cluster: (&ClusterName, &Uid), csr_der: &[u8]) -> Result<String, Status> {
        let api = &self.api;
        let issued = api
            .authority
            .issue_agent(&api.fleet_id, cluster, csr_der, api.clock.now(), self.lifetime)
            .map_err(bad_request)?;
        api.sessions.certified(cluster.0, &issued.issuer_pin.to_string());
        Ok(issued.certificate_pem)
    }
}

/// What is wrong with a request for signing.
fn bad_request(error: CaError) -> Status {
    invalid(vec![Violation::new(
        "csr_der",
        error.to_string(),
        "send a PKCS#10 request signed by the agent's own ECDSA P-256 key",
    )])
}
