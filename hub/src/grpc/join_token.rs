//! JoinTokenService.

use std::time::Duration;

use berth_control::registry::TokenSpec;
use berth_model::{ClusterName, Violation, network::Cidr};
use berth_proto::v1::{self, join_token_service_server::JoinTokenService};
use berth_wire::{names, time};
use tonic::{Request, Response, Status};

use super::{
    Api,
    error::{invalid, status},
    paging,
};

const USUAL_TTL: Duration = Duration::from_secs(30 * 60);
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// Ranges of addresses a token may be used from.
const MOST_RANGES: usize = 64;

/// The service.
pub struct JoinTokens(pub Api);

#[tonic::async_trait]
impl JoinTokenService for JoinTokens {
    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Result<Response<v1::CreateJoinTokenResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Vec::new();
        let cluster = ClusterName::new(request.cluster.clone()).map_err(|error| {
            violations.push(Violation::new(
                "cluster",
                error.to_string(),
                "name the cluster as it will be called in the fleet",
            ))
        });
        let ttl = request.ttl.as_ref().map_or(USUAL_TTL, time::span_from_proto);
        if ttl.is_zero() || ttl > LONGEST_TTL {
            violations.push(Violation::new(
                "ttl",
                format!("{}s is out of range", ttl.as_secs()),
                "at least one second, at most one hour: a token that lies about is somebody's way in",
            ));
        }
        let from = ranges(&request.source_cidrs, &mut violations);
        let (Ok(cluster), true) = (cluster, violations.is_empty()) else {
            return Err(invalid(violations));
        };
        let pins = self.0.authority.pins();
        let spec = TokenSpec {
            cluster,
            ttl,
            labels: request.labels,
            region: request.region,
            cloud_name: request.cloud_name,
            from,
            rejoin: request.rejoin,
            // A cluster that has joined was accepted, or still waits for it.
            require_accept: !request.rejoin && (request.require_accept || self.0.require_accept),
            ca_pins: pins.iter().map(ToString::to_string).collect(),
        };
        let made = self.0.registry.create_token(spec).await.map_err(status)?;
        Ok(Response::new(v1::CreateJoinTokenResponse {
            join_token: Some(shown(&made.info)),
            token: made.token.expose().to_string(),
            ca_pin: pins.to_string(),
            hub_urls: self.0.hub_urls.clone(),
        }))
    }

    async fn list_join_tokens(
        &self,
        request: Request<v1::ListJoinTokensRequest>,
    ) -> Result<Response<v1::ListJoinTokensResponse>, Status> {
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let listed = self
            .0
            .registry
            .tokens(paging::after(&request.page_token), size)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListJoinTokensResponse {
            join_tokens: listed.items.iter().map(shown).collect(),
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn delete_join_token(
        &self,
        request: Request<v1::DeleteJoinTokenRequest>,
    ) -> Result<Response<v1::DeleteJoinTokenResponse>, Status> {
        let request = request.into_inner();
        let id = names::parse_join_token("name", &request.name).map_err(|v| invalid(vec![v]))?;
        self.0.registry.delete_token(id).await.map_err(status)?;
        Ok(Response::new(v1::DeleteJoinTokenResponse {}))
    }
}

fn shown(info: &berth_control::registry::TokenInfo) -> v1::JoinToken {
    v1::JoinToken {
        name: names::join_token(&info.id),
        cluster: info.cluster.to_string(),
        expire_time: Some(time::to_proto(info.expires_at)),
        labels: info.labels.clone(),
        source_cidrs: info.from.iter().map(ToString::to_string).collect(),
        rejoin: info.rejoin,
        require_accept: info.require_accept,
    }
}

fn ranges(texts: &[String], violations: &mut Vec<Violation>) -> Vec<Cidr> {
    if texts.len() > MOST_RANGES {
        violations.push(Violation::new(
            "source_cidrs",
            format!("has more than {MOST_RANGES} ranges"),
            "wider ranges",
        ));
        return Vec::new();
    }
    let mut ranges = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(range) => ranges.push(range),
            Err(error) => violations.push(Violation::new(
                format!("source_cidrs[{at}]"),
                format!("{error}"),
                "a range of addresses, such as 10.0.0.0/8",
            )),
        }
    }
    ranges
}
