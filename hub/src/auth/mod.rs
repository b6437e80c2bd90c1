//! Callers without a client certificate: what stands in `authorization: Bearer`, and who that is.
//!
//! The form of the credential says of which kind it is; no kind is tried after another has refused.

mod accounts;
mod fetch;
mod oidc;
mod provider;

pub use accounts::{Accounts, CLUSTER_HEADER, Leads};
pub use oidc::Oidc;
pub use provider::ProviderError;

use async_trait::async_trait;
use berth_control::{Registry, registry::RegistryError};
use berth_identity::{ApiKey, Caller, Principal, api_key};
use http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use tonic::Code;

use crate::calls::{Authenticator, Refusal};

/// Bearer tokens: API keys of this hub, ID tokens of its OpenID providers, and tokens of ServiceAccounts of its clusters.
pub struct Bearer {
    /// Where API keys are.
    pub registry: Registry,
    /// The providers.
    pub oidc: Oidc,
    /// ServiceAccounts of the fleet's clusters.
    pub accounts: Accounts,
}

#[async_trait]
impl Authenticator for Bearer {
    async fn caller(&self, request: &Parts) -> Result<Option<Caller>, Refusal> {
        let Some(token) = bearer(&request.headers)? else {
            return Ok(None);
        };
        if token.starts_with(api_key::PREFIX) {
            return api_key_holder(&self.registry, token).await.map(Some);
        }
        match request.headers.get(CLUSTER_HEADER) {
            Some(cluster) => {
                let cluster = cluster.to_str().unwrap_or_default();
                self.accounts.caller(cluster, token).await.map(Some)
            }
            None => self.oidc.caller(token).await.map(Some),
        }
    }
}

/// The token of the `authorization` header (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    let malformed = |message: &str| Refusal::new("MALFORMED_CREDENTIAL", message);
    if all.next().is_some() {
        return Err(malformed("the request has more than one authorization"));
    }
    let text = value
        .to_str()
        .map_err(|_| malformed("the authorization is no ASCII text"))?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Some(token.trim()))
        }
        _ => Err(malformed("the authorization is not of the form Bearer TOKEN")),
    }
}

async fn api_key_holder(registry: &Registry, token: &str) -> Result<Caller, Refusal> {
    let key: ApiKey = token
        .parse()
        .map_err(|error: api_key::InvalidApiKey| Refusal::new("API_KEY_MALFORMED", error.to_string()))?;
    match registry.admit_api_key(&key).await {
        Ok(record) => Ok(Caller {
            principal: Principal::ApiKey(key.name().to_owned()),
            groups: Vec::new(),
            credential: format!("API key {}", record.uid),
        }),
        Err(RegistryError::Refused { reason, message }) => Err(Refusal::new(reason, message)),
        Err(error) => Err(Refusal {
            code: Code::Unavailable,
            reason: "STORE",
            message: format!("the API key cannot be looked up: {error}; try again"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use berth_control::Sessions;
    use berth_model::Timestamp;
    use berth_runtime::ManualClock;
    use berth_store::MemoryStore;
    use http::Request;

    use super::*;
    use crate::config::Auth;

    fn authenticator() -> Bearer {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        Bearer {
            registry: Registry::new(Arc::new(MemoryStore::new()), clock.clone()),
            accounts: Accounts::new(
                Sessions::new(clock.clone()),
                Arc::new(|| true),
                clock.clone(),
                "f.berth.dev".into(),
            ),
            oidc: Oidc::new(&Auth::default(), clock).unwrap(),
        }
    }

    async fn ask(bearer: &Bearer, values: &[&str]) -> Result<Option<Caller>, Refusal> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(AUTHORIZATION, *value);
        }
        bearer.caller(&request.body(()).unwrap().into_parts().0).await
    }

    #[tokio::test]
    async fn an_api_key_is_its_account_and_nothing_else_of_that_form_is() {
        let bearer = authenticator();
        let made = bearer
            .registry
            .create_api_key("ci", Duration::from_secs(60), "", "x")
            .await
            .unwrap();
        let key = made.key.expose().to_string();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let caller = ask(&bearer, &[&format!("{scheme} {key}")])
                .await
                .unwrap()
                .unwrap();
            assert_eq!(caller.principal.to_string(), "apikey:ci");
            assert_eq!(caller.credential, format!("API key {}", made.record.uid));
        }
        let other = ApiKey::generate("ci").unwrap();
        let refused = ask(&bearer, &[&format!("Bearer {}", *other.expose())])
            .await
            .unwrap_err();
        assert_eq!(refused.reason, "API_KEY_UNKNOWN");
        let cut = ask(&bearer, &[&format!("Bearer {}", &key[..key.len() - 1])])
            .await
            .unwrap_err();
        assert_eq!(cut.reason, "API_KEY_MALFORMED");
        assert!(!format!("{refused:?} {cut:?}").contains(&key[9..30]));
    }

    #[tokio::test]
    async fn without_an_authorization_nobody_is_asked_and_other_forms_are_refused() {
        let bearer = authenticator();
        assert_eq!(ask(&bearer, &[]).await, Ok(None));
        for wrong in [
            vec!["Basic YTpi"],
            vec!["Bearer"],
            vec!["Bearer "],
            vec![""],
            vec!["Bearer a", "Bearer b"],
        ] {
            let refused = ask(&bearer, &wrong).await.unwrap_err();
            assert_eq!(refused.reason, "MALFORMED_CREDENTIAL", "{wrong:?}");
        }
        let unknown = ask(&bearer, &["Bearer something"]).await.unwrap_err();
        assert_eq!(unknown.code, Code::Unauthenticated);
    }
}
