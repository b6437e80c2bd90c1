//! Tiers and bundles.

use berth_proto::v1::{self, bundle_service_server::BundleService, tier_service_server::TierService};
use berth_wire::{api, status};
use tonic::{Request, Response, Status, async_trait};

use super::{Shelves, five_days_ago};

fn checked(tier: &v1::Tier) -> Result<(), Status> {
    let spec = tier.spec.clone().unwrap_or_default();
    api::tier_spec_from_proto(&spec)
        .map(|_| ())
        .map_err(|violations| status::invalid_argument(&violations))
}

#[async_trait]
impl TierService for Shelves {
    async fn create_tier(
        &self,
        request: Request<v1::CreateTierRequest>,
    ) -> Result<Response<v1::CreateTierResponse>, Status> {
        let request = request.into_inner();
        let mut tier = request.tier.unwrap_or_default();
        checked(&tier)?;
        tier.name = format!("tiers/{}", request.tier_id);
        tier.generation = 1;
        if !request.validate_only {
            self.0.send_modify(|state| {
                state.tiers.insert(request.tier_id, tier.clone());
            });
        }
        Ok(Response::new(v1::CreateTierResponse { tier: Some(tier) }))
    }

    async fn get_tier(
        &self,
        request: Request<v1::GetTierRequest>,
    ) -> Result<Response<v1::GetTierResponse>, Status> {
        let name = request.into_inner().name;
        match self.now().tiers.remove(name.trim_start_matches("tiers/")) {
            Some(tier) => Ok(Response::new(v1::GetTierResponse { tier: Some(tier) })),
            None => Err(Status::not_found(name)),
        }
    }

    async fn list_tiers(
        &self,
        _: Request<v1::ListTiersRequest>,
    ) -> Result<Response<v1::ListTiersResponse>, Status> {
        let tiers = self.now().tiers.into_values().collect();
        Ok(Response::new(v1::ListTiersResponse {
            tiers,
            next_page_token: String::new(),
        }))
    }

    async fn update_tier(
        &self,
        request: Request<v1::UpdateTierRequest>,
    ) -> Result<Response<v1::UpdateTierResponse>, Status> {
        let tier = request.into_inner().tier.unwrap_or_default();
        checked(&tier)?;
        let name = tier.name.trim_start_matches("tiers/").to_owned();
        self.0.send_modify(|state| {
            state.tiers.insert(name, tier.clone());
        });
        Ok(Response::new(v1::UpdateTierResponse { tier: Some(tier) }))
    }

    async fn delete_tier(
        &self,
        request: Request<v1::DeleteTierRequest>,
    ) -> Result<Response<v1::DeleteTierResponse>, Status> {
        let name = request.into_inner().name;
        let state = self.now();
        let tier = name.trim_start_matches("tiers/");
        if state
            .tenants
            .values()
            .any(|tenant| tenant.spec.as_ref().is_some_and(|spec| spec.tier == tier))
        {
            return Err(Status::failed_precondition(
                "1 tenant uses it; delete or move it first",
            ));
        }
        self.0.send_modify(|state| {
            state.tiers.remove(tier);
        });
        Ok(Response::new(v1::DeleteTierResponse {}))
    }
}

#[async_trait]
impl BundleService for Shelves {
    async fn create_bundle(
        &self,
        request: Request<v1::CreateBundleRequest>,
    ) -> Result<Response<v1::CreateBundleResponse>, Status> {
        let request = request.into_inner();
        let bundle = v1::Bundle {
            name: format!("bundles/{}/versions/{}", request.bundle_id, request.version),
            create_time: Some(five_days_ago()),
            ..request.bundle.unwrap_or_default()
        };
        if !request.validate_only {
            self.0.send_modify(|state| {
                state.bundles.insert(bundle.name.clone(), bundle.clone());
            });
        }
        Ok(Response::new(v1::CreateBundleResponse { bundle: Some(bundle) }))
    }

    async fn get_bundle(
        &self,
        request: Request<v1::GetBundleRequest>,
    ) -> Result<Response<v1::GetBundleResponse>, Status> {
        let name = request.into_inner().name;
        match self.now().bundles.remove(&name) {
            Some(bundle) => Ok(Response::new(v1::GetBundleResponse { bundle: Some(bundle) })),
            None => Err(Status::not_found(name)),
        }
    }

    async fn list_bundles(
        &self,
        _: Request<v1::ListBundlesRequest>,
    ) -> Result<Response<v1::ListBundlesResponse>, Status> {
        let mut bundles: Vec<v1::Bundle> = self.now().bundles.into_values().collect();
        for bundle in &mut bundles {
            if let Some(spec) = &mut bundle.spec {
                spec.manifests.clear();
            }
        }
        Ok(Response::new(v1::ListBundlesResponse {
            bundles,
            next_page_token: String::new(),
        }))
    }

    async fn delete_bundle(
        &self,
        request: Request<v1::DeleteBundleRequest>,
    ) -> Result<Response<v1::DeleteBundleResponse>, Status> {
        let name = request.into_inner().name;
        if !self.now().bundles.contains_key(&name) {
            return Err(Status::not_found(name));
        }
        self.0.send_modify(|state| {
            state.bundles.remove(&name);
        });
        Ok(Response::new(v1::DeleteBundleResponse {}))
    }
}
