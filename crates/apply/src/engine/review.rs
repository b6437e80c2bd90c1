//! Whose token of a `ServiceAccount` something is, by the API server's word (TokenReview). Nothing is kept.

use berth_model::{NoToken, ReviewedAccount, TokenRefused, TokenToReview};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::Engine;
use crate::request::RequestError;

const ACCOUNT: &str = "system:serviceaccount:";

/// A TokenReview of `authentication.k8s.io/v1`, as it comes back.
#[derive(Deserialize)]
struct Reviewed {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    authenticated: bool,
    #[serde(default)]
    user: User,
    #[serde(default)]
    audiences: Vec<String>,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    uid: String,
}

impl Engine {
    /// Asks the API server whose token that is. It must be a `ServiceAccount`'s, and for the audience that is asked for.
    ///
    /// # Errors
    /// It is nobody's, or for somebody else, or the API server refuses or does not answer.
    pub async fn review_token(&self, review: &TokenToReview) -> Result<ReviewedAccount, TokenRefused> {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": review.expose(), "audiences": [&review.audience]},
        });
        let body = Zeroizing::new(body.to_string());
        let answer = self.core.caller.review_token(body.as_bytes()).await;
        let answer = answer.map_err(|error| refused(&error))?;
        let Reviewed { status } = serde_json::from_slice(&answer)
            .map_err(|_| TokenRefused::new(NoToken::Other, "the API server's answer is no TokenReview"))?;
        account(status, &review.audience)
    }
}

/// The account of a review; whatever does not say so plainly is none.
fn account(status: Status, audience: &str) -> Result<ReviewedAccount, TokenRefused> {
    let invalid = |message: &str| TokenRefused::new(NoToken::Invalid, message);
    if !status.authenticated {
        return Err(invalid("the cluster does not take the token"));
    }
    // An API server that does not know of audiences takes any token.
    if !status.audiences.iter().any(|found| found == audience) {
        return Err(invalid("the cluster does not say that the token is for this hub"));
    }
    let names = status.user.username.strip_prefix(ACCOUNT);
    let Some((namespace, name)) = names.and_then(|names| names.split_once(':')) else {
        return Err(invalid("the token is no ServiceAccount's"));
    };
    let account = ReviewedAccount {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: status.user.uid,
    };
    if account.well_formed() {
        Ok(account)
    } else {
        Err(invalid("the account has a name that none can have"))
    }
}

fn refused(error: &RequestError) -> TokenRefused {
    let reason = match error {
        error if error.is_forbidden() => NoToken::Forbidden,
        error if error.retryable() => NoToken::Unreachable,
        _ => NoToken::Other,
    };
    TokenRefused::new(reason, format!("review a token: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: serde_json::Value) -> Status {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn only_a_service_account_whose_token_is_for_this_hub_is_vouched_for() {
        let fine = json!({
            "authenticated": true,
            "audiences": ["f.berth.dev"],
            "user": {"username": "system:serviceaccount:argocd:deployer", "uid": "u1"},
        });
        let found = account(status(fine.clone()), "f.berth.dev").unwrap();
        assert_eq!(
            (found.namespace.as_str(), found.name.as_str()),
            ("argocd", "deployer")
        );
        for (field, value) in [
            ("authenticated", json!(false)),
            ("audiences", json!([])),
            ("audiences", json!(["https://kubernetes.default.svc"])),
            ("user", json!({"username": "system:node:a"})),
            ("user", json!({"username": "kubernetes-admin"})),
            ("user", json!({"username": "system:serviceaccount:a"})),
            ("user", json!({"username": "system:serviceaccount:a/b:c"})),
            ("user", json!({})),
        ] {
            let mut wrong = fine.clone();
            wrong[field] = value.clone();
            let refused = account(status(wrong), "f.berth.dev").unwrap_err();
            assert_eq!(refused.reason, NoToken::Invalid, "{field} {value}");
        }
    }
}
