//! People by ID tokens of the configured OpenID providers. A token's own issuer says whose keys to ask; it must be a configured one.

use std::sync::Arc;

use berth_identity::{Caller, Principal, oidc};
use berth_runtime::Clock;
use tonic::Code;

use super::provider::{NotVerified, Provider, ProviderError};
use crate::{calls::Refusal, config::Auth};

/// The configured providers.
#[derive(Clone)]
pub struct Oidc {
    providers: Arc<[Arc<Provider>]>,
}

impl Oidc {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// A file of the configuration cannot be used.
    pub fn new(config: &Auth, clock: Arc<dyn Clock>) -> Result<Self, ProviderError> {
        let skew = std::time::Duration::from_secs(config.clock_skew_seconds);
        let providers: Result<Vec<_>, _> = config
            .oidc
            .iter()
            .map(|provider| Provider::new(provider, skew, clock.clone()).map(Arc::new))
            .collect();
        Ok(Self {
            providers: providers?.into(),
        })
    }

    /// Fetches all providers' keys ahead of the first caller; a provider that is away is logged and asked again when it is needed.
    pub fn warm_up(&self) {
        for provider in self.providers.iter() {
            let provider = provider.clone();
            tokio::spawn(async move { provider.refresh().await });
        }
    }

    /// The providers, for those who sign in.
    pub(crate) fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.iter()
    }

    pub(super) async fn caller(&self, token: &str) -> Result<Caller, Refusal> {
        let Some(issuer) = oidc::issuer_unverified(token) else {
            return Err(Refusal::new(
                "UNKNOWN_CREDENTIAL",
                "the credential is neither an API key of this hub nor an ID token; sign in with berth login",
            ));
        };
        let Some(provider) = self.providers().find(|provider| provider.issuer() == issuer) else {
            return Err(Refusal::new(
                "UNKNOWN_ISSUER",
                "the token is of an issuer that this hub does not know (auth.oidc of its configuration); sign in with berth login",
            ));
        };
        match provider.verify(token).await {
            Ok(person) => Ok(Caller {
                principal: Principal::Person(person.name),
                groups: person.groups,
                credential: match person.token_id {
                    Some(id) => format!("ID token {id}"),
                    None => format!("ID token until {}", person.expires_at),
                },
            }),
            Err(NotVerified::Rejected(rejected)) => Err(Refusal::new("TOKEN_REFUSED", rejected.to_string())),
            Err(NotVerified::NoKeys(message)) => Err(Refusal {
                code: Code::Unavailable,
                reason: "PROVIDER_AWAY",
                message,
            }),
        }
    }
}
