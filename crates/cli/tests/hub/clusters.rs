//! Clusters and join tokens.

use berth_proto::v1::{
    self, cluster_service_server::ClusterService, join_token_service_server::JoinTokenService,
};
use tonic::{Request, Response, Status, async_trait};

use super::Shelves;

impl Shelves {
    fn cordon(&self, name: &str, cordoned: bool) -> Result<v1::Cluster, Status> {
        let id = name.trim_start_matches("clusters/").to_owned();
        let mut cluster = self
            .now()
            .clusters
            .remove(&id)
            .ok_or_else(|| Status::not_found(name))?;
        cluster.cordoned = cordoned;
        self.0.send_modify(|state| {
            state.clusters.insert(id, cluster.clone());
        });
        Ok(cluster)
    }
}

#[async_trait]
impl ClusterService for Shelves {
    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterResponse>, Status> {
        let name = request.into_inner().name;
        match self.now().clusters.remove(name.trim_start_matches("clusters/")) {
            Some(cluster) => Ok(Response::new(v1::GetClusterResponse {
                cluster: Some(cluster),
            })),
            None => Err(Status::not_found(name)),
        }
    }

    async fn list_clusters(
        &self,
        _: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        let clusters = self.now().clusters.into_values().collect();
        Ok(Response::new(v1::ListClustersResponse {
            clusters,
            next_page_token: String::new(),
        }))
    }

    async fn update_cluster(
        &self,
        _: Request<v1::UpdateClusterRequest>,
    ) -> Result<Response<v1::UpdateClusterResponse>, Status> {
        Err(Status::unimplemented("the command line does not ask for it"))
    }

    async fn delete_cluster(
        &self,
        request: Request<v1::DeleteClusterRequest>,
    ) -> Result<Response<v1::DeleteClusterResponse>, Status> {
        let name = request.into_inner().name;
        self.0.send_modify(|state| {
            state.clusters.remove(name.trim_start_matches("clusters/"));
        });
        Ok(Response::new(v1::DeleteClusterResponse {}))
    }

    async fn cordon_cluster(
        &self,
        request: Request<v1::CordonClusterRequest>,
    ) -> Result<Response<v1::CordonClusterResponse>, Status> {
        let cluster = self.cordon(&request.into_inner().name, true)?;
        Ok(Response::new(v1::CordonClusterResponse {
            cluster: Some(cluster),
        }))
    }

    async fn uncordon_cluster(
        &self,
        request: Request<v1::UncordonClusterRequest>,
    ) -> Result<Response<v1::UncordonClusterResponse>, Status> {
        let cluster = self.cordon(&request.into_inner().name, false)?;
        Ok(Response::new(v1::UncordonClusterResponse {
            cluster: Some(cluster),
        }))
    }

    async fn accept_cluster_gap(
        &self,
        request: Request<v1::AcceptClusterGapRequest>,
    ) -> Result<Response<v1::AcceptClusterGapResponse>, Status> {
        let request = request.into_inner();
        let id = request.name.trim_start_matches("clusters/").to_owned();
        let Some(mut cluster) = self.now().clusters.remove(&id) else {
            return Err(Status::not_found(request.name));
        };
        cluster.accepted_gaps.insert(request.gap, request.reason);
        self.0.send_modify(|state| {
            state.clusters.insert(id, cluster.clone());
        });
        Ok(Response::new(v1::AcceptClusterGapResponse {
            cluster: Some(cluster),
        }))
    }

    async fn accept_cluster(
        &self,
        request: Request<v1::AcceptClusterRequest>,
    ) -> Result<Response<v1::AcceptClusterResponse>, Status> {
        let cluster = self.changed(&request.into_inner().name, |cluster| {
            cluster.awaiting_acceptance = false;
        })?;
        Ok(Response::new(v1::AcceptClusterResponse {
            cluster: Some(cluster),
        }))
    }

    async fn revoke_cluster(
        &self,
        request: Request<v1::RevokeClusterRequest>,
    ) -> Result<Response<v1::RevokeClusterResponse>, Status> {
        let request = request.into_inner();
        let cluster = self.changed(&request.name, |cluster| {
            cluster.revoke_time = Some(prost_types::Timestamp::default());
            cluster.revoke_reason.clone_from(&request.reason);
        })?;
        Ok(Response::new(v1::RevokeClusterResponse {
            cluster: Some(cluster),
            session_cut: true,
        }))
    }

    async fn release_breaker(
        &self,
        _: Request<v1::ReleaseBreakerRequest>,
    ) -> Result<Response<v1::ReleaseBreakerResponse>, Status> {
        Ok(Response::new(v1::ReleaseBreakerResponse { agent_told: true }))
    }
}

impl Shelves {
    fn changed(&self, name: &str, change: impl FnOnce(&mut v1::Cluster)) -> Result<v1::Cluster, Status> {
        let id = name.trim_start_matches("clusters/").to_owned();
        let Some(mut cluster) = self.now().clusters.remove(&id) else {
            return Err(Status::not_found(name));
        };
        change(&mut cluster);
        self.0.send_modify(|state| {
            state.clusters.insert(id, cluster.clone());
        });
        Ok(cluster)
    }
}

#[async_trait]
impl JoinTokenService for Shelves {
    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::CreateJoinTokenResponse>, Status> {
        let request = request.into_inner();
        let token = v1::JoinToken {
            name: "joinTokens/abcdef".into(),
            cluster: request.cluster,
            expire_time: Some(prost_types::Timestamp {
                seconds: 4_000_000_000,
                nanos: 0,
            }),
            labels: request.labels,
            source_cidrs: request.source_cidrs,
            rejoin: request.rejoin,
            require_accept: request.require_accept,
        };
        self.0.send_modify(|state| {
            state.tokens.insert("abcdef".into(), token.clone());
        });
        Ok(Response::new(v1::CreateJoinTokenResponse {
            join_token: Some(token),
            token: "abcdef.secret".into(),
            ca_pin: "sha256:00".into(),
            hub_urls: vec!["https://hub:7444".into()],
        }))
    }

    async fn list_join_tokens(
        &self,
        _: Request<v1::ListJoinTokensRequest>,
    ) -> Result<Response<v1::ListJoinTokensResponse>, Status> {
        let join_tokens = self.now().tokens.into_values().collect();
        Ok(Response::new(v1::ListJoinTokensResponse {
            join_tokens,
            next_page_token: String::new(),
        }))
    }

    async fn delete_join_token(
        &self,
        request: Request<v1::DeleteJoinTokenRequest>,
    ) -> Result<Response<v1::DeleteJoinTokenResponse>, Status> {
        let name = request.into_inner().name;
        self.0.send_modify(|state| {
            state.tokens.remove(name.trim_start_matches("joinTokens/"));
        });
        Ok(Response::new(v1::DeleteJoinTokenResponse {}))
    }
}
