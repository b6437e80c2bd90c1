//! OrganisationService.

use berth_control::{RegistryError, access::Resource, registry::Shown};
use berth_model::{Organisation, OrganisationSpec, Tenant, Violation};
use berth_plan::owners::usage;
use berth_proto::v1::{self, organisation_service_server::OrganisationService};
use berth_wire::{api, names};
use tonic::{Request, Response, Status};

use super::{
    Api,
    error::{invalid, status},
    paging,
};
use crate::calls::Access;

/// The service.
pub struct Organisations(pub Api);

#[tonic::async_trait]
impl OrganisationService for Organisations {
    async fn create_organisation(
        &self,
        request: Request<v1::CreateOrganisationRequest>,
    ) -> Result<Response<v1::CreateOrganisationResponse>, Status> {
        let request = request.into_inner();
        let spec = spec_of(request.organisation.as_ref()).map_err(invalid)?;
        let organisation = self
            .0
            .registry
            .create_organisation(&request.organisation_id, spec, request.validate_only)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::CreateOrganisationResponse {
            organisation: Some(self.shown(&organisation).await?),
        }))
    }

    async fn get_organisation(
        &self,
        request: Request<v1::GetOrganisationRequest>,
    ) -> Result<Response<v1::GetOrganisationResponse>, Status> {
        let name =
            names::parse_organisation("name", &request.into_inner().name).map_err(|v| invalid(vec![v]))?;
        let organisation = self.0.registry.organisation(&name).await.map_err(status)?;
        Ok(Response::new(v1::GetOrganisationResponse {
            organisation: Some(self.shown(&organisation).await?),
        }))
    }

    async fn list_organisations(
        &self,
        request: Request<v1::ListOrganisationsRequest>,
    ) -> Result<Response<v1::ListOrganisationsResponse>, Status> {
        let access = Access::of(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let own =
            |it: &Organisation| access.allows("organisations.list", Resource::Organisation(it.name.as_str()));
        let shown: Option<Shown<'_, Organisation>> = (!access.sees_all("organisations.list")).then_some(&own);
        let listed = self
            .0
            .registry
            .organisations(paging::after(&request.page_token), size, shown)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::ListOrganisationsResponse {
            organisations: self.all_shown(&listed.items).await?,
            next_page_token: listed.next.unwrap_or_default(),
        }))
    }

    async fn update_organisation(
        &self,
        request: Request<v1::UpdateOrganisationRequest>,
    ) -> Result<Response<v1::UpdateOrganisationResponse>, Status> {
        let request = request.into_inner();
        let given = request.organisation.unwrap_or_default();
        let name =
            names::parse_organisation("organisation.name", &given.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("organisation.etag", &given.etag).map_err(|v| invalid(vec![v]))?;
        let spec = spec_of(Some(&given)).map_err(invalid)?;
        let organisation = self
            .0
            .registry
            .update_organisation(&name, spec, etag, request.validate_only, request.allow_missing)
            .await
            .map_err(status)?;
        Ok(Response::new(v1::UpdateOrganisationResponse {
            organisation: Some(self.shown(&organisation).await?),
        }))
    }

    async fn delete_organisation(
        &self,
        request: Request<v1::DeleteOrganisationRequest>,
    ) -> Result<Response<v1::DeleteOrganisationResponse>, Status> {
        let request = request.into_inner();
        let name = names::parse_organisation("name", &request.name).map_err(|v| invalid(vec![v]))?;
        let etag = names::parse_etag("etag", &request.etag).map_err(|v| invalid(vec![v]))?;
        match self.0.registry.delete_organisation(&name, etag).await {
            Ok(()) => Ok(Response::new(v1::DeleteOrganisationResponse {})),
            Err(RegistryError::NotFound { .. }) if request.allow_missing => {
                Ok(Response::new(v1::DeleteOrganisationResponse {}))
            }
            Err(error) => Err(status(error)),
        }
    }
}

impl Organisations {
    async fn shown(&self, organisation: &Organisation) -> Result<v1::Organisation, Status> {
        let mut shown = self.all_shown(std::slice::from_ref(organisation)).await?;
        shown
            .pop()
            .ok_or_else(|| Status::internal("one organisation was shown as none"))
    }

    /// Organisations with what their tenants hold.
    async fn all_shown(&self, organisations: &[Organisation]) -> Result<Vec<v1::Organisation>, Status> {
        let tiers = self.0.registry.all_tiers().await.map_err(status)?;
        let tenants = self.0.registry.owned_tenants().await.map_err(status)?;
        let shown = |organisation: &Organisation| {
            let members: Vec<&Tenant> = tenants
                .iter()
                .filter(|tenant| tenant.spec.owner.organisation == organisation.name.as_str())
                .collect();
            let held = members.iter().map(|tenant| {
                let tier = tiers.get(&tenant.spec.tier).map(|tier| &tier.spec);
                (tenant.id.as_str(), &tenant.spec, tier)
            });
            let usage = usage(&organisation.spec, held)
                .into_iter()
                .map(|usage| v1::OwnerUsage {
                    team: usage.team,
                    project: usage.project,
                    used: api::amounts_to_proto(&usage.used),
                })
                .collect();
            api::organisation_to_proto(organisation, members.len(), usage)
        };
        Ok(organisations.iter().map(shown).collect())
    }
}

fn spec_of(organisation: Option<&v1::Organisation>) -> Result<OrganisationSpec, Vec<Violation>> {
    let Some(spec) = organisation.and_then(|organisation| organisation.spec.as_ref()) else {
        return Err(vec![Violation::new(
            "spec",
            "is missing",
            "an organisation has a quota, teams or both",
        )]);
    };
    api::organisation_spec_from_proto(spec)
}
