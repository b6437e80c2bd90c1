//! TierService.

use std::collections::BTreeMap;

use berth_model::{TierName, TierSpec, Violation};
use berth_proto::v1::{self, tier_service_server::TierService};
use berth_wire::{api, names};
use tonic::{Request, Response, Status};

use super::{
    Api,
    error::{invalid, status},
    paging,
};

/// The service.
pub struct Tiers(pub Api);

#[tonic::async_trait]
impl TierService for Tiers {
    async fn create_tier(
        &self,
        request: Request<v1::CreateTierRequest>,
    ) -> Result<Response<v1::CreateTierResponse>, Status> {
        let request = request.into_inner();
        let spec = spec_of(request.tier.as_ref()).map_err(invalid)?;
        let tier = self
            .0
            .registry
            .create_tier(&request.tier_id, spec, request.validate_only)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::CreateTierResponse {
            tier: Some(api::tier_to_proto(&tier, 0)),
        }))
    }

    async fn get_tier(
        &self,
        request: Request<v1::GetTierRequest>,
    ) -> Result<Response<v1::GetTierResponse>, Status> {
        let name = names::parse_tier("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let tier = self.0.registry.tier(&name).await.map_err(status)?;
        let users = self.users().get(&name).copied().unwrap_or_default();
        Ok(Response::new(v1::GetTierResponse {
            tier: Some(api::tier_to_proto(&tier, users)),
        }))
    }

    async fn list_tiers(
        &self,
        request: Request<v1::ListTiersRequest>,
    ) -> Result<Response<v1::ListTiersResponse>, Status> {
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let listed = self
            .0
            .registry
            .tiers(paging::after(&request.page_token), size)
            .await
            .map_err(status)?;
        let users = self.users();
        let tiers = listed
            .items
            .iter()
            .map(|tier| api::tier_to_proto(tier, users.get(&tier.name).copied().unwrap_or_default()))
            .collect();
        Ok(Response::new(v1::ListTiersResponse {
            tiers,
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn update_tier(
        &self,
        request: Request<v1::UpdateTierRequest>,
    ) -> Result<Response<v1::UpdateTierResponse>, Status> {
        let request = request.into_inner();
        let given = request.tier.unwrap_or_default();
        let name = names::parse_tier("tier.name", &given.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("tier.etag", &given.etag).map_err(|v| invalid(vec![v]))?;
        let spec = spec_of(Some(&given)).map_err(invalid)?;
        let tier = self
            .0
            .registry
            .update_tier(
                name.as_str(),
                spec,
                etag,
                request.validate_only,
                request.allow_missing,
            )
            .await
            .map_err(status)?;
        let users = self.users().get(&name).copied().unwrap_or_default();
        Ok(Response::new(v1::UpdateTierResponse {
            tier: Some(api::tier_to_proto(&tier, users)),
        }))
    }

    async fn delete_tier(
        &self,
        request: Request<v1::DeleteTierRequest>,
    ) -> Result<Response<v1::DeleteTierResponse>, Status> {
        let request = request.into_inner();
        let name = names::parse_tier("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("etag", &request.etag).map_err(|v| invalid(vec![v]))?;
        match self.0.registry.delete_tier(&name, etag).await {
            Ok(()) => Ok(Response::new(v1::DeleteTierResponse {})),
            Err(berth_control::RegistryError::NotFound { .. }) if request.allow_missing => {
                Ok(Response::new(v1::DeleteTierResponse {}))
            }
            Err(error) => Err(status(error)),
        }
    }
}

impl Tiers {
    /// How many tenants use each tier, as last published.
    fn users(&self) -> BTreeMap<TierName, usize> {
        let mut users = BTreeMap::new();
        for snapshot in self.0.board.snapshot().0 {
            *users.entry(snapshot.tenant.spec.tier.clone()).or_default() += 1;
        }
        users
    }
}

fn spec_of(tier: Option<&v1::Tier>) -> Result<TierSpec, Vec<Violation>> {
    let Some(spec) = tier.and_then(|tier| tier.spec.as_ref()) else {
        return Err(vec![Violation::new(
            "spec",
            "is missing",
            "a tier needs at least spec.isolation",
        )]);
    };
    api::tier_spec_from_proto(spec)
}
