//! Tokens of a tenant's access accounts: the question and its answer.

use berth_model::{AccessToken, NoToken, TokenRefused, TokenWanted, condition::clipped};
use berth_proto::agent::{self, reply};

use super::{LinkError, name};
use crate::{time, words};

pub(super) const REASONS: [(&str, NoToken); 7] = [
    ("NotHeld", NoToken::NotHeld),
    ("NotApplied", NoToken::NotApplied),
    ("Invalid", NoToken::Invalid),
    ("Forbidden", NoToken::Forbidden),
    ("Unreachable", NoToken::Unreachable),
    ("Busy", NoToken::Busy),
    ("Other", NoToken::Other),
];

/// A question for a token.
#[must_use]
pub fn mint_to_proto(wanted: &TokenWanted) -> agent::MintToken {
    agent::MintToken {
        tenant: wanted.tenant.to_string(),
        tenant_uid: wanted.uid.to_string(),
        role: wanted.role.as_str().to_owned(),
        lifetime: Some(time::span_to_proto(wanted.lifetime)),
    }
}

/// Reads a question for a token. Whether it may be granted is not judged here.
///
/// # Errors
/// A name or the role in it is none.
pub fn mint_from_proto(mint: &agent::MintToken) -> Result<TokenWanted, LinkError> {
    const MESSAGE: &str = "MintToken";
    Ok(TokenWanted {
        tenant: name(MESSAGE, &mint.tenant)?,
        uid: name(MESSAGE, &mint.tenant_uid)?,
        role: mint.role.parse().map_err(|_| LinkError::Word {
            message: MESSAGE,
            field: "role",
            word: mint.role.clone(),
        })?,
        lifetime: mint
            .lifetime
            .as_ref()
            .map(time::span_from_proto)
            .unwrap_or_default(),
    })
}

/// A token as it goes over the link.
#[must_use]
pub fn minted_to_proto(token: &AccessToken) -> agent::TokenMinted {
    agent::TokenMinted {
        token: token.expose().to_owned(),
        expire_time: Some(time::to_proto(token.expires_at)),
    }
}

/// Reads a token; none when it is empty or does not say when it ends.
#[must_use]
pub fn minted_from_proto(minted: agent::TokenMinted) -> Option<AccessToken> {
    let agent::TokenMinted { token, expire_time } = minted;
    // Made first, so that what is not taken is wiped too.
    let expires_at = expire_time.as_ref().and_then(time::from_proto);
    let token = AccessToken::new(token, expires_at.unwrap_or_default());
    (expires_at.is_some() && !token.expose().is_empty()).then_some(token)
}

/// The answer to question `id`.
#[must_use]
pub fn token_reply_to_proto(id: u64, answer: &Result<AccessToken, TokenRefused>) -> agent::Reply {
    match answer {
        Ok(token) => agent::Reply {
            id,
            answer: Some(reply::Answer::TokenMinted(minted_to_proto(token))),
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

/// Reads the answer to a question for a token.
///
/// # Errors
/// The agent's refusal, or that it answered something else.
pub fn token_reply_from_proto(reply: agent::Reply) -> Result<AccessToken, TokenRefused> {
    let agent::Reply {
        id: _,
        error,
        reason,
        answer,
    } = reply;
    if !error.is_empty() {
        let reason = words::find(&REASONS, &reason).unwrap_or(NoToken::Other);
        return Err(TokenRefused::new(reason, clipped(error)));
    }
    let minted = match answer {
        Some(reply::Answer::TokenMinted(minted)) => minted_from_proto(minted),
        _ => None,
    };
    minted.ok_or_else(|| TokenRefused::new(NoToken::Other, "the agent answered without a token"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_model::{AccessRole, TenantId, Timestamp, Uid};

    use super::*;

    #[test]
    fn a_question_for_a_token_survives() {
        for role in AccessRole::ALL {
            let wanted = TokenWanted {
                tenant: TenantId::new("acme").unwrap(),
                uid: Uid::new("u1").unwrap(),
                role,
                lifetime: Duration::from_secs(900),
            };
            assert_eq!(mint_from_proto(&mint_to_proto(&wanted)), Ok(wanted));
        }
    }

    #[test]
    fn a_question_that_names_nobody_cannot_be_read() {
        let fine = agent::MintToken {
            tenant: "acme".into(),
            tenant_uid: "u1".into(),
            role: "user".into(),
            lifetime: None,
        };
        assert_eq!(
            mint_from_proto(&fine).map(|wanted| wanted.lifetime_allowed()),
            Ok(false)
        );
        let wrong = |change: fn(&mut agent::MintToken)| {
            let mut mint = fine.clone();
            change(&mut mint);
            assert!(mint_from_proto(&mint).is_err(), "{mint:?}");
        };
        wrong(|mint| mint.tenant = "../kube-system".into());
        wrong(|mint| mint.tenant.clear());
        wrong(|mint| mint.tenant_uid.clear());
        wrong(|mint| mint.role.clear());
        wrong(|mint| mint.role = "cluster-admin".into());
    }

    #[test]
    fn an_answer_survives_whether_it_is_a_token_or_a_refusal() {
        let token = AccessToken::new("eyJ.a.b".into(), Timestamp::from_second(1_800_000_000).unwrap());
        let refusals = REASONS.map(|(_, reason)| Err(TokenRefused::new(reason, "no")));
        for answer in refusals.into_iter().chain([Ok(token)]) {
            let reply = token_reply_to_proto(7, &answer);
            assert_eq!(reply.id, 7);
            assert_eq!(token_reply_from_proto(reply), answer);
        }
    }

    #[test]
    fn an_agent_that_does_not_know_the_question_or_answers_another_gives_no_token() {
        let unknown = agent::Reply {
            error: "this agent does not know the question".into(),
            ..agent::Reply::default()
        };
        let other = agent::Reply {
            answer: Some(reply::Answer::BreakerReleased(agent::BreakerReleased {})),
            ..agent::Reply::default()
        };
        let endless = agent::Reply {
            answer: Some(reply::Answer::TokenMinted(agent::TokenMinted {
                token: "eyJ".into(),
                expire_time: None,
            })),
            ..agent::Reply::default()
        };
        for reply in [unknown, other, endless, agent::Reply::default()] {
            let refused = token_reply_from_proto(reply).unwrap_err();
            assert_eq!(refused.reason, NoToken::Other);
            assert!(!refused.message.contains("eyJ"));
        }
    }

    #[test]
    fn no_message_with_a_token_shows_it() {
        let token = AccessToken::new("eyJ.secret".into(), Timestamp::UNIX_EPOCH);
        let shown = format!("{:?}", token_reply_to_proto(1, &Ok(token)));
        assert!(shown.contains("[redacted]") && !shown.contains("eyJ"), "{shown}");
    }
}
