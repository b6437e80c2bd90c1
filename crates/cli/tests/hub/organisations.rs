//! Organisations.

use berth_proto::v1::{self, organisation_service_server::OrganisationService};
use berth_wire::{api, status};
use tonic::{Request, Response, Status, async_trait};

use super::Shelves;

fn checked(organisation: &v1::Organisation) -> Result<(), Status> {
    let spec = organisation.spec.clone().unwrap_or_default();
    api::organisation_spec_from_proto(&spec)
        .map(|_| ())
        .map_err(|violations| status::invalid_argument(&violations))
}

#[async_trait]
impl OrganisationService for Shelves {
    async fn create_organisation(
        &self,
        request: Request<v1::CreateOrganisationRequest>,
    ) -> Result<Response<v1::CreateOrganisationResponse>, Status> {
        let request = request.into_inner();
        let mut organisation = request.organisation.unwrap_or_default();
        checked(&organisation)?;
        organisation.name = format!("organisations/{}", request.organisation_id);
        organisation.generation = 1;
        if !request.validate_only {
            self.0.send_modify(|state| {
                state
                    .organisations
                    .insert(request.organisation_id, organisation.clone());
            });
        }
        Ok(Response::new(v1::CreateOrganisationResponse {
            organisation: Some(organisation),
        }))
    }

    async fn get_organisation(
        &self,
        request: Request<v1::GetOrganisationRequest>,
    ) -> Result<Response<v1::GetOrganisationResponse>, Status> {
        let name = request.into_inner().name;
        let found = self
            .now()
            .organisations
            .remove(name.trim_start_matches("organisations/"));
        match found {
            Some(organisation) => Ok(Response::new(v1::GetOrganisationResponse {
                organisation: Some(organisation),
            })),
            None => Err(Status::not_found(name)),
        }
    }

    async fn list_organisations(
        &self,
        _: Request<v1::ListOrganisationsRequest>,
    ) -> Result<Response<v1::ListOrganisationsResponse>, Status> {
        Ok(Response::new(v1::ListOrganisationsResponse {
            organisations: self.now().organisations.into_values().collect(),
            next_page_token: String::new(),
        }))
    }

    async fn update_organisation(
        &self,
        request: Request<v1::UpdateOrganisationRequest>,
    ) -> Result<Response<v1::UpdateOrganisationResponse>, Status> {
        let organisation = request.into_inner().organisation.unwrap_or_default();
        checked(&organisation)?;
        let name = organisation.name.trim_start_matches("organisations/").to_owned();
        self.0.send_modify(|state| {
            state.organisations.insert(name, organisation.clone());
        });
        Ok(Response::new(v1::UpdateOrganisationResponse {
            organisation: Some(organisation),
        }))
    }

    async fn delete_organisation(
        &self,
        request: Request<v1::DeleteOrganisationRequest>,
    ) -> Result<Response<v1::DeleteOrganisationResponse>, Status> {
        let name = request.into_inner().name;
        let organisation = name.trim_start_matches("organisations/");
        if !self.now().organisations.contains_key(organisation) {
            return Err(Status::not_found(name));
        }
        self.0.send_modify(|state| {
            state.organisations.remove(organisation);
        });
        Ok(Response::new(v1::DeleteOrganisationResponse {}))
    }
}
