//! LoginService.

use std::sync::Arc;

use berth_identity::Caller;
use berth_proto::v1::{self, login_service_server::LoginService};
use tonic::{Request, Response, Status};

use crate::auth::Oidc;

/// The service.
pub struct Logins {
    /// Providers whose people may sign in.
    pub oidc: Oidc,
    /// The audience of ServiceAccounts' tokens.
    pub audience: String,
}

#[tonic::async_trait]
impl LoginService for Logins {
    async fn get_login_options(
        &self,
        _: Request<v1::GetLoginOptionsRequest>,
    ) -> Result<Response<v1::GetLoginOptionsResponse>, Status> {
        let oidc = self.oidc.providers().map(|provider| {
            let config = provider.config();
            v1::OidcOptions {
                issuer: config.issuer.clone(),
                client_id: config.cli_client_id.as_ref().unwrap_or(&config.client_id).clone(),
                scopes: config.scopes.clone(),
                ca_pem: provider.ca_pem().to_owned(),
            }
        });
        Ok(Response::new(v1::GetLoginOptionsResponse {
            oidc: oidc.collect(),
            service_account_audience: self.audience.clone(),
        }))
    }

    async fn get_caller(
        &self,
        request: Request<v1::GetCallerRequest>,
    ) -> Result<Response<v1::GetCallerResponse>, Status> {
        let Some(caller) = request.extensions().get::<Arc<Caller>>() else {
            return Err(Status::unauthenticated("nobody has signed in"));
        };
        Ok(Response::new(v1::GetCallerResponse {
            subject: caller.principal.to_string(),
            groups: caller.groups.clone(),
            credential: caller.credential.clone(),
        }))
    }
}
