//! Tokens of the accounts that a tenant's kubeconfigs name. Nothing is written for them: Kubernetes keeps no list of tokens, and
//! neither does the engine.

use berth_model::{
    AccessToken, NoToken, Timestamp, TokenRefused, TokenWanted,
    label::{TENANT, TENANT_UID},
};
use serde::Deserialize;
use serde_json::json;

use super::Engine;
use crate::{
    object::{Kind, ObjectRef},
    request::{Lane, Metadata, RequestError},
};

/// A TokenRequest of `authentication.k8s.io/v1`, as it comes back.
#[derive(Deserialize)]
struct Answered {
    status: Issued,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Issued {
    token: String,
    expiration_timestamp: Timestamp,
}

impl Engine {
    /// Has the API server issue a token for the account of that role in the tenant's main namespace.
    ///
    /// # Errors
    /// Exactly that tenant is not held here, its account is not there or not ours, the lifetime is out of bounds, or the API
    /// server refuses or does not answer.
    pub async fn mint_token(&self, wanted: &TokenWanted) -> Result<AccessToken, TokenRefused> {
        if !wanted.lifetime_allowed() {
            let message = "a token lives from 10 minutes to 12 hours";
            return Err(TokenRefused::new(NoToken::Invalid, message));
        }
        self.check_held(wanted)?;
        let account = ObjectRef::new(
            Kind::ServiceAccount,
            Some(&wanted.namespace()),
            wanted.role.account(),
        )
        .map_err(|problem| TokenRefused::new(NoToken::Invalid, problem))?;
        let found = self.core.caller.metadata(Lane::Look, &account).await;
        match found.map_err(|error| refused(&account, &error))? {
            Some(found) if is_of(&found, wanted) => {}
            Some(_) => {
                let message = format!("{account} is there and is not of tenant {}", wanted.tenant);
                return Err(TokenRefused::new(NoToken::NotApplied, message));
            }
            None => return Err(not_there(&account)),
        }
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": wanted.lifetime.as_secs()},
        });
        let answer = self
            .core
            .caller
            .request_token(&account, body.to_string().as_bytes())
            .await;
        let answer = answer.map_err(|error| refused(&account, &error))?;
        // What cannot be read is not repeated: it may hold the token.
        let Issued {
            token,
            expiration_timestamp,
        } = serde_json::from_slice::<Answered>(&answer)
            .map_err(|_| TokenRefused::new(NoToken::Other, "the API server's answer holds no token"))?
            .status;
        let token = AccessToken::new(token, expiration_timestamp);
        // Withdrawn meanwhile: the account goes, and so does the token, but nobody is to begin with it.
        self.check_held(wanted)?;
        Ok(token)
    }

    fn check_held(&self, wanted: &TokenWanted) -> Result<(), TokenRefused> {
        self.core
            .check_ready()
            .map_err(|error| TokenRefused::new(NoToken::Unreachable, error.to_string()))?;
        let state = self.core.state();
        let held = state.slots.get(&wanted.tenant);
        if held.is_some_and(|slot| slot.uid == wanted.uid && !slot.withdrawing) {
            return Ok(());
        }
        let message = format!(
            "tenant {} with uid {} is not held here",
            wanted.tenant, wanted.uid
        );
        Err(TokenRefused::new(NoToken::NotHeld, message))
    }
}

/// A namespace of the tenant's name may be somebody else's, or of an earlier tenant of that name.
fn is_of(found: &Metadata, wanted: &TokenWanted) -> bool {
    found.deletion_timestamp.is_none()
        && found.label(TENANT) == Some(wanted.tenant.as_str())
        && found.label(TENANT_UID) == Some(wanted.uid.as_str())
}

fn not_there(account: &ObjectRef) -> TokenRefused {
    TokenRefused::new(NoToken::NotApplied, format!("{account} is not there yet"))
}

fn refused(account: &ObjectRef, error: &RequestError) -> TokenRefused {
    let reason = match error {
        error if error.is_not_found() => return not_there(account),
        error if error.is_forbidden() => NoToken::Forbidden,
        error if error.retryable() => NoToken::Unreachable,
        _ => NoToken::Other,
    };
    TokenRefused::new(reason, format!("issue a token for {account}: {error}"))
}
