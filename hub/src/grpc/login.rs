//! LoginService.

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
}
