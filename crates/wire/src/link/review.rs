//! Whose token of a `ServiceAccount` something is: the question and its answer.

use berth_model::{NoToken, ReviewedAccount, TokenRefused, TokenToReview, condition::clipped};
use berth_proto::agent::{self, reply};

use super::token::REASONS;
use crate::words;

/// A question about a token.
#[must_use]
pub fn review_to_proto(review: &TokenToReview) -> agent::ReviewToken {
    agent::ReviewToken {
        token: review.expose().to_owned(),
        audience: review.audience.clone(),
    }
}

/// Reads a question about a token.
#[must_use]
pub fn review_from_proto(review: agent::ReviewToken) -> TokenToReview {
    let agent::ReviewToken { token, audience } = review;
    TokenToReview::new(token, audience)
}

/// The answer to question `id`.
#[must_use]
pub fn review_reply_to_proto(id: u64, answer: &Result<ReviewedAccount, TokenRefused>) -> agent::Reply {
    match answer {
        Ok(account) => agent::Reply {
            id,
            answer: Some(reply::Answer::TokenReviewed(agent::TokenReviewed {
                namespace: account.namespace.clone(),
                service_account: account.name.clone(),
                service_account_uid: account.uid.clone(),
            })),
            ..agent::Reply::default()
        },
        Err(refused) => agent::Reply {
            id,
            error: refused.message.clone(),
            reason: words::word(&REASONS, &refused.reason).to_owned(),
            answer: None,
        },
    }
}

/// Reads the answer to a question about a token.
///
/// # Errors
/// The agent's refusal, or that it answered something else.
pub fn review_reply_from_proto(reply: agent::Reply) -> Result<ReviewedAccount, TokenRefused> {
    if !reply.error.is_empty() {
        let reason = words::find(&REASONS, &reply.reason).unwrap_or(NoToken::Other);
        return Err(TokenRefused::new(reason, clipped(reply.error)));
    }
    let account = match reply.answer {
        Some(reply::Answer::TokenReviewed(reviewed)) => ReviewedAccount {
            namespace: reviewed.namespace,
            name: reviewed.service_account,
            uid: reviewed.service_account_uid,
        },
        _ => {
            return Err(TokenRefused::new(
                NoToken::Other,
                "the agent answered without an account",
            ));
        }
    };
    if account.well_formed() {
        Ok(account)
    } else {
        Err(TokenRefused::new(
            NoToken::Other,
            "the agent answered with an account whose name none can have",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_answers_survive_and_the_token_is_in_no_debug_output() {
        let review = TokenToReview::new("eyJ.PLANTED".into(), "f.berth.dev".into());
        let sent = review_to_proto(&review);
        assert!(!format!("{sent:?}").contains("PLANTED"));
        assert_eq!(review_from_proto(sent), review);
        let account = ReviewedAccount {
            namespace: "argocd".into(),
            name: "deployer".into(),
            uid: "u1".into(),
        };
        for answer in [Ok(account), Err(TokenRefused::new(NoToken::Invalid, "no"))] {
            assert_eq!(review_reply_from_proto(review_reply_to_proto(7, &answer)), answer);
        }
    }

    #[test]
    fn an_account_that_none_can_be_and_no_account_are_refusals() {
        let hostile = ReviewedAccount {
            namespace: "eu-2/kube-system".into(),
            name: "admin".into(),
            uid: String::new(),
        };
        let refused = review_reply_from_proto(review_reply_to_proto(1, &Ok(hostile))).unwrap_err();
        assert_eq!(refused.reason, NoToken::Other);
        assert!(review_reply_from_proto(agent::Reply::default()).is_err());
    }
}
