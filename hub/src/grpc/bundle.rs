//! BundleService.

use std::collections::BTreeMap;

use berth_model::{BundleName, BundleVersion, Violation};
use berth_proto::v1::{self, bundle_service_server::BundleService};
use berth_wire::{api, names};
use tonic::{Request, Response, Status};

use super::{
    Api,
    error::{invalid, status},
    paging,
};

/// The service.
pub struct Bundles(pub Api);

#[tonic::async_trait]
impl BundleService for Bundles {
    async fn create_bundle(
        &self,
        request: Request<v1::CreateBundleRequest>,
    ) -> Result<Response<v1::CreateBundleResponse>, Status> {
        let request = request.into_inner();
        let Some(spec) = request.bundle.as_ref().and_then(|bundle| bundle.spec.as_ref()) else {
            return Err(invalid(vec![Violation::new(
                "spec",
                "is missing",
                "a bundle needs spec.manifests",
            )]));
        };
        let spec = api::bundle_spec_from_proto(spec).map_err(invalid)?;
        let bundle = self
            .0
            .registry
            .create_bundle(&request.bundle_id, &request.version, spec, request.validate_only)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::CreateBundleResponse {
            bundle: Some(api::bundle_to_proto(&bundle, 0, true)),
        }))
    }

    async fn get_bundle(
        &self,
        request: Request<v1::GetBundleRequest>,
    ) -> Result<Response<v1::GetBundleResponse>, Status> {
        let (name, version) =
            names::parse_bundle("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let bundle = self.0.registry.bundle(&name, &version).await.map_err(status)?;
        let users = self.users().get(&(name, version)).copied().unwrap_or_default();
        Ok(Response::new(v1::GetBundleResponse {
            bundle: Some(api::bundle_to_proto(&bundle, users, true)),
        }))
    }

    async fn list_bundles(
        &self,
        request: Request<v1::ListBundlesRequest>,
    ) -> Result<Response<v1::ListBundlesResponse>, Status> {
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let listed = self
            .0
            .registry
            .bundles(paging::after(&request.page_token), size)
            .await
            .map_err(status)?;
        let users = self.users();
        let bundles = listed
            .items
            .iter()
            .map(|bundle| {
                let used = users
                    .get(&(bundle.name.clone(), bundle.version.clone()))
                    .copied()
                    .unwrap_or_default();
                api::bundle_to_proto(bundle, used, false)
            })
            .collect();
        Ok(Response::new(v1::ListBundlesResponse {
            bundles,
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn delete_bundle(
        &self,
        request: Request<v1::DeleteBundleRequest>,
    ) -> Result<Response<v1::DeleteBundleResponse>, Status> {
        let request = request.into_inner();
        let (name, version) = names::parse_bundle("name", &request.name).map_err(|v| invalid(vec![v]))?;
        match self.0.registry.delete_bundle(&name, &version).await {
            Ok(()) => Ok(Response::new(v1::DeleteBundleResponse {})),
            Err(berth_control::RegistryError::NotFound { .. }) if request.allow_missing => {
                Ok(Response::new(v1::DeleteBundleResponse {}))
            }
            Err(error) => Err(status(error)),
        }
    }
}

impl Bundles {
    /// How many tenants use each version, as last published.
    fn users(&self) -> BTreeMap<(BundleName, BundleVersion), usize> {
        let mut users = BTreeMap::new();
        for snapshot in self.0.board.snapshot().0 {
            for used in &snapshot.tenant.spec.bundles {
                *users
                    .entry((used.name.clone(), used.version.clone()))
                    .or_default() += 1;
            }
        }
        users
    }
}
