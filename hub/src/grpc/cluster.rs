//! ClusterService.

use std::collections::BTreeMap;

use berth_control::{access::Resource, registry::Shown};
use berth_model::{Cluster, ClusterName, Truth, Violation};
use berth_plan::view::Reserved;
use berth_proto::v1::{self, cluster_service_server::ClusterService};
use berth_wire::{api, names};
use tonic::{Request, Response, Status};

use super::{
    Api,
    error::{invalid, status},
    paging,
};
use crate::calls::Access;

/// Evidence older than three heartbeats says nothing any more.
const FRESH_SECONDS: i64 = 12;

/// The service.
pub struct Clusters(pub Api);

#[tonic::async_trait]
impl ClusterService for Clusters {
    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterResponse>, Status> {
        let name = names::parse_cluster("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let cluster = self.0.registry.cluster(&name).await.map_err(status)?;
        Ok(Response::new(v1::GetClusterResponse {
            cluster: Some(self.shown(cluster).await),
        }))
    }

    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let own =
            |cluster: &Cluster| access.allows("clusters.list", Resource::Cluster(cluster.name.as_str()));
        let shown: Option<Shown<'_, Cluster>> = (!access.sees_all("clusters.list")).then_some(&own);
        let listed = self
            .0
            .registry
            .clusters(paging::after(&request.page_token), size, shown)
            .await
            .map_err(status)?;
        let reserved = self.0.leading()?.fleet.reserved().await;
        let clusters = listed
            .items
            .into_iter()
            .map(|cluster| {
                let used = reserved.get(&cluster.name).copied().unwrap_or_default();
                self.with_status(cluster, used)
            })
            .collect();
        Ok(Response::new(v1::ListClustersResponse {
            clusters,
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn update_cluster(
        &self,
        request: Request<v1::UpdateClusterRequest>,
    ) -> Result<Response<v1::UpdateClusterResponse>, Status> {
        let given = request.into_inner().cluster.unwrap_or_default();
        let change = api::cluster_change_from_proto(&given).map_err(invalid)?;
        let cluster = self
            .0
            .registry
            .update_cluster(
                &change.name,
                change.labels,
                &change.region,
                &change.cloud_name,
                change.etag,
            )
            .await
            .map_err(status)?;
        Ok(Response::new(v1::UpdateClusterResponse {
            cluster: Some(self.shown(cluster).await),
        }))
    }

    async fn delete_cluster(
        &self,
        request: Request<v1::DeleteClusterRequest>,
    ) -> Result<Response<v1::DeleteClusterResponse>, Status> {
        let request = request.into_inner();
        let name = names::parse_cluster("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("etag", &request.etag).map_err(|v| invalid(vec![v]))?;
        match self.0.registry.delete_cluster(&name, etag).await {
            Ok(()) => {
                if let Some(outbox) = self.0.sessions.outbox(&name) {
                    outbox.goodbye("Refused", "the cluster was taken out of the fleet");
                }
                Ok(Response::new(v1::DeleteClusterResponse {}))
            }
            Err(berth_control::RegistryError::NotFound { .. }) if request.allow_missing => {
                Ok(Response::new(v1::DeleteClusterResponse {}))
            }
            Err(error) => Err(status(error)),
        }
    }

    async fn cordon_cluster(
        &self,
        request: Request<v1::CordonClusterRequest>,
    ) -> Result<Response<v1::CordonClusterResponse>, Status> {
        let cluster = self.cordon(&request.into_inner().name, true).await?;
        Ok(Response::new(v1::CordonClusterResponse {
            cluster: Some(cluster),
        }))
    }

    async fn accept_cluster_gap(
        &self,
        request: Request<v1::AcceptClusterGapRequest>,
    ) -> Result<Response<v1::AcceptClusterGapResponse>, Status> {
        let request = request.into_inner();
        let name = names::parse_cluster("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let gap = request
            .gap
            .parse()
            .map_err(|problem: String| invalid(vec![Violation::new("gap", problem, "")]))?;
        let accepted = self.0.registry.accept_gap(&name, gap, &request.reason).await;
        let cluster = accepted.map_err(status)?;
        tracing::warn!(cluster = %name, gap = gap.as_str(), reason = request.reason, "an operator changed what a cluster need not hold");
        Ok(Response::new(v1::AcceptClusterGapResponse {
            cluster: Some(self.shown(cluster).await),
        }))
    }

    async fn uncordon_cluster(
        &self,
        request: Request<v1::UncordonClusterRequest>,
    ) -> Result<Response<v1::UncordonClusterResponse>, Status> {
        let cluster = self.cordon(&request.into_inner().name, false).await?;
        Ok(Response::new(v1::UncordonClusterResponse {
            cluster: Some(cluster),
        }))
    }

    async fn accept_cluster(
        &self,
        request: Request<v1::AcceptClusterRequest>,
    ) -> Result<Response<v1::AcceptClusterResponse>, Status> {
        let name = names::parse_cluster("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let cluster = self.0.registry.accept_cluster(&name).await.map_err(status)?;
        tracing::info!(cluster = %name, "an administrator accepted the cluster");
        Ok(Response::new(v1::AcceptClusterResponse {
            cluster: Some(self.shown(cluster).await),
        }))
    }

    async fn revoke_cluster(
        &self,
        request: Request<v1::RevokeClusterRequest>,
    ) -> Result<Response<v1::RevokeClusterResponse>, Status> {
        let request = request.into_inner();
        let name = names::parse_cluster("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let session_cut = self.0.sessions.is_connected(&name);
        let revoked = self.0.registry.revoke_cluster(&name, &request.reason).await;
        let cluster = revoked.map_err(status)?;
        // First written, then cut: whoever dials again is refused by what is written. The loop may have been faster.
        self.0.sessions.revoke(&name);
        tracing::warn!(cluster = %name, reason = request.reason, session_cut, "the identity of a cluster was revoked");
        Ok(Response::new(v1::RevokeClusterResponse {
            cluster: Some(self.shown(cluster).await),
            session_cut,
        }))
    }

    async fn release_breaker(
        &self,
        request: Request<v1::ReleaseBreakerRequest>,
    ) -> Result<Response<v1::ReleaseBreakerResponse>, Status> {
        let name = names::parse_cluster("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        self.0.registry.release_breaker(&name).await.map_err(status)?;
        tracing::warn!(cluster = %name, "an operator released the mass-delete breaker");
        let outbox = self.0.sessions.outbox(&name);
        let agent_told = outbox.is_some();
        if let Some(outbox) = outbox {
            outbox.release_breaker();
        }
        Ok(Response::new(v1::ReleaseBreakerResponse { agent_told }))
    }
}

/// Whether an administrator has let the cluster in, and whether it was put out.
fn admission(cluster: &Cluster) -> impl Iterator<Item = v1::Condition> {
    let since = cluster.joined_at.unwrap_or(cluster.created_at);
    let waiting = cluster.awaiting_acceptance.then(|| {
        let message = format!("it takes no tenants before berth accept cluster {}", cluster.name);
        api::plain_condition("Accepted", Truth::False, "AwaitingAcceptance", &message, since)
    });
    let revoked = cluster.revoked.as_ref().map(|revoked| {
        let message = format!(
            "{}; it comes back by berth token create {} --rejoin and a new key",
            revoked.reason, cluster.name
        );
        api::plain_condition(
            "Revoked",
            Truth::True,
            "RevokedByAdministrator",
            &message,
            revoked.at,
        )
    });
    waiting.into_iter().chain(revoked)
}

impl Clusters {
    async fn cordon(&self, name: &str, cordoned: bool) -> Result<v1::Cluster, Status> {
        let name: ClusterName = names::parse_cluster("name", name).map_err(|v| invalid(vec![v]))?;
        let cluster = self
            .0
            .registry
            .cordon_cluster(&name, cordoned)
            .await
            .map_err(status)?;
        Ok(self.shown(cluster).await)
    }

    async fn shown(&self, cluster: Cluster) -> v1::Cluster {
        let reserved = match self.0.leading() {
            Ok(leading) => leading.fleet.reserved().await,
            // Lost just now: the next call is told so.
            Err(_) => BTreeMap::default(),
        };
        let used = reserved.get(&cluster.name).copied().unwrap_or_default();
        self.with_status(cluster, used)
    }

    fn with_status(&self, mut cluster: Cluster, used: Reserved) -> v1::Cluster {
        let sessions = &self.0.sessions;
        if let Some(facts) = sessions.last_facts(&cluster.name) {
            cluster.facts = Some(facts);
        }
        let session = sessions.view(&cluster.name);
        let evidence = sessions.evidence_at(&cluster.name);
        let now = self.0.clock.now();
        let fresh = evidence.is_some_and(|at| now.as_second() - at.as_second() <= FRESH_SECONDS);
        let api_error = session.as_ref().and_then(|session| session.api_error.clone());
        let connected = session.is_some();
        let since = evidence.unwrap_or(cluster.created_at);
        let (ready, reason, message) = match (&cluster.joined_at, connected && fresh, &api_error) {
            _ if cluster.revoked.is_some() => (
                Truth::False,
                "Revoked",
                "its agent is not heard any more".to_owned(),
            ),
            (None, ..) => (Truth::False, "NotJoined", "no agent has joined yet".to_owned()),
            (_, true, None) => (Truth::True, "AgentConnected", String::new()),
            (_, _, Some(error)) => (Truth::False, "ApiServerUnreachable", error.clone()),
            (_, false, None) => (
                Truth::Unknown,
                "AgentUnreachable",
                "the agent has not been heard of lately".to_owned(),
            ),
        };
        let breaker = self.0.board.breaker(&cluster.name);
        let breaker = breaker.map(|(tripped_at, message)| {
            api::plain_condition(
                "BreakerOpen",
                Truth::True,
                "TooManyDeletions",
                &message,
                tripped_at,
            )
        });
        let view = api::ClusterStatusView {
            conditions: vec![
                api::plain_condition(
                    "Connected",
                    if connected { Truth::True } else { Truth::False },
                    if connected { "SessionOpen" } else { "NoSession" },
                    "",
                    since,
                ),
                api::plain_condition("Ready", ready, reason, &message, since),
            ]
            .into_iter()
            .chain(admission(&cluster))
            .chain(breaker)
            .collect(),
            tenants: usize::try_from(used.tenants).unwrap_or(usize::MAX),
            reserved: used.capacity,
            evidence,
            agent_version: session.map(|session| session.agent_version).unwrap_or_default(),
        };
        api::cluster_to_proto(&cluster, &view)
    }
}
