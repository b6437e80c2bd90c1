//! Programs by their `ServiceAccount`'s token: the agent of its cluster has the API server say whose it is (TokenReview), and what it
//! says is kept for a minute. A cluster vouches for its own accounts alone: which one is asked stands in the request, and is part of
//! who the caller is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use berth_control::{Sessions, sessions::AskError};
use berth_identity::{Caller, Principal, oidc};
use berth_model::{ClusterName, NoToken, ReviewedAccount, TokenToReview};
use berth_runtime::Clock;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tonic::Code;

use crate::calls::Refusal;

/// The header that says whose token it is.
pub const CLUSTER_HEADER: &str = "x-berth-cluster";
/// So long a cluster's word counts: a token that is taken back works no longer than that.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Words that are remembered, at most.
const MOST: usize = 1024;

type Known = BTreeMap<[u8; 32], (Duration, ReviewedAccount)>;

/// Whether this hub leads; agents speak with no other.
pub type Leads = Arc<dyn Fn() -> bool + Send + Sync>;

/// Accounts of the fleet's clusters.
pub struct Accounts {
    sessions: Sessions,
    leads: Leads,
    clock: Arc<dyn Clock>,
    audience: String,
    known: Mutex<Known>,
}

impl Accounts {
    /// Tokens must be for `audience`.
    #[must_use]
    pub fn new(sessions: Sessions, leads: Leads, clock: Arc<dyn Clock>, audience: String) -> Self {
        Self {
            sessions,
            leads,
            clock,
            audience,
            known: Mutex::default(),
        }
    }

    pub(super) async fn caller(&self, cluster: &str, token: &str) -> Result<Caller, Refusal> {
        let cluster = ClusterName::new(cluster)
            .map_err(|_| Refusal::new("UNKNOWN_CLUSTER", format!("{CLUSTER_HEADER} names no cluster")))?;
        self.plausible(token)?;
        let key: [u8; 32] = Sha256::digest(format!("{cluster}\n{token}")).into();
        let account = match self.remembered(&key) {
            Some(account) => account,
            None => {
                let account = self.reviewed(&cluster, token).await?;
                self.remember(key, account.clone());
                account
            }
        };
        Ok(Caller {
            principal: Principal::ServiceAccount {
                cluster: cluster.to_string(),
                namespace: account.namespace,
                name: account.name,
            },
            groups: Vec::new(),
            credential: format!("token of ServiceAccount {}", account.uid),
        })
    }

    /// What can be seen without asking: no agent is asked about what cannot be good.
    fn plausible(&self, token: &str) -> Result<(), Refusal> {
        let refused = |message: String| Err(Refusal::new("TOKEN_REFUSED", message));
        let Some(claims) = oidc::claims_unverified(token) else {
            return refused("the token is malformed".into());
        };
        let ours = |value: &Value| value.as_str() == Some(&self.audience);
        let for_us = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        };
        if !for_us {
            return refused(format!(
                "the token is not for this hub: its audience must be {0} (kubectl create token ACCOUNT --audience {0}, or audience in a projected volume)",
                self.audience
            ));
        }
        let expiry = claims.get("exp").and_then(Value::as_i64);
        if expiry.is_none_or(|expiry| expiry <= self.clock.now().as_second()) {
            return refused("the token has expired; have Kubernetes issue another".into());
        }
        Ok(())
    }

    async fn reviewed(&self, cluster: &ClusterName, token: &str) -> Result<ReviewedAccount, Refusal> {
        let unavailable = |reason, message: String| Refusal {
            code: Code::Unavailable,
            reason,
            message,
        };
        if !(self.leads)() {
            return Err(unavailable(
                "NOT_LEADER",
                "this hub does not lead, and agents speak with the one that does; ask that one".into(),
            ));
        }
        let review = TokenToReview::new(token.to_owned(), self.audience.clone());
        let refused = match self.sessions.review_token(cluster, review).await {
            Ok(account) => return Ok(account),
            Err(AskError::Refused { refused, .. }) => refused,
            Err(error) => {
                return Err(unavailable(
                    "AGENT_AWAY",
                    format!("{error}, and only it can vouch for the token; try again"),
                ));
            }
        };
        Err(match refused.reason {
            NoToken::Invalid => Refusal::new(
                "TOKEN_REFUSED",
                format!("cluster {cluster} does not vouch for the token: {refused}"),
            ),
            NoToken::Forbidden => unavailable(
                "AGENT_RIGHTS",
                format!(
                    "the agent of cluster {cluster} may not review tokens ({refused}): renew its rights with berth agent manifest {cluster} --no-token | kubectl apply -f -"
                ),
            ),
            _ => unavailable(
                "AGENT_REFUSED",
                format!("the agent of cluster {cluster} says nothing about the token: {refused}"),
            ),
        })
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<ReviewedAccount> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, account) = known.get(key)?;
        (self.clock.monotonic() < *until).then(|| account.clone())
    }

    fn remember(&self, key: [u8; 32], account: ReviewedAccount) {
        let now = self.clock.monotonic();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() < MOST {
            known.insert(key, (now + REMEMBERED, account));
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use berth_control::{
        outbox::{Outbox, Outgoing},
        sessions::{Held, Hello},
    };
    use berth_model::{ClusterFacts, Term, Timestamp, TokenRefused};
    use berth_runtime::ManualClock;
    use serde_json::json;

    use super::*;

    const AUDIENCE: &str = "f.berth.dev";

    fn accounts(leads: bool) -> (Accounts, Sessions, ManualClock) {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let sessions = Sessions::new(Arc::new(clock.clone()));
        let made = Accounts::new(
            sessions.clone(),
            Arc::new(move || leads),
            Arc::new(clock.clone()),
            AUDIENCE.into(),
        );
        (made, sessions, clock)
    }

    fn agent(sessions: &Sessions, cluster: &str) -> Arc<Outbox> {
        let hello = Hello {
            agent_version: String::new(),
            held: Held::new(),
            facts: ClusterFacts::default(),
            highest_term: Term(0),
            told: None,
            trusted_pins: Vec::new(),
            issuer_pin: String::new(),
        };
        sessions.open(&ClusterName::new(cluster).unwrap(), "key", hello).1
    }

    fn token(claims: &serde_json::Value) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn good() -> String {
        token(&json!({"aud": [AUDIENCE], "exp": 3600}))
    }

    /// What the agent says to the next question.
    async fn says(outbox: &Outbox, answer: Result<ReviewedAccount, TokenRefused>) {
        let Outgoing::ReviewToken { id, review } = outbox.next().await else {
            panic!("no question about a token");
        };
        assert_eq!(review.audience, AUDIENCE);
        assert!(Outbox::is_review(id));
        outbox.answer_review(id, answer);
    }

    fn deployer() -> ReviewedAccount {
        ReviewedAccount {
            namespace: "argocd".into(),
            name: "deployer".into(),
            uid: "u1".into(),
        }
    }

    #[tokio::test]
    async fn the_cluster_that_was_asked_is_part_of_who_the_caller_is_and_its_word_counts_for_a_minute() {
        let (accounts, sessions, clock) = accounts(true);
        let outbox = agent(&sessions, "eu-1");
        let token = good();
        let (caller, ()) = tokio::join!(accounts.caller("eu-1", &token), says(&outbox, Ok(deployer())));
        let subject = "serviceaccount:eu-1/argocd/deployer";
        assert_eq!(caller.unwrap().principal.to_string(), subject);
        // Nobody is asked again, but for another cluster.
        let again = accounts.caller("eu-1", &token).await.unwrap();
        assert_eq!(again.principal.to_string(), subject);
        assert_eq!(
            accounts.caller("eu-2", &token).await.unwrap_err().reason,
            "AGENT_AWAY"
        );
        clock.advance(REMEMBERED);
        let refusal = TokenRefused::new(NoToken::Invalid, "the account is gone");
        let (gone, ()) = tokio::join!(accounts.caller("eu-1", &token), says(&outbox, Err(refusal)));
        let gone = gone.unwrap_err();
        assert_eq!((gone.code, gone.reason), (Code::Unauthenticated, "TOKEN_REFUSED"));
        assert!(!gone.message.contains(&token));
    }

    #[tokio::test]
    async fn no_agent_is_asked_about_what_cannot_be_good() {
        let (accounts, _, _) = accounts(true);
        for claims in [
            json!({"aud": "https://kubernetes.default.svc", "exp": 3600}),
            json!({"aud": [], "exp": 3600}),
            json!({"exp": 3600}),
            json!({"aud": AUDIENCE}),
            json!({"aud": AUDIENCE, "exp": 0}),
        ] {
            let refused = accounts.caller("eu-1", &token(&claims)).await.unwrap_err();
            assert_eq!(refused.reason, "TOKEN_REFUSED", "{claims}");
        }
        let malformed = accounts.caller("eu-1", "something").await.unwrap_err();
        assert_eq!(malformed.reason, "TOKEN_REFUSED");
        let nowhere = accounts.caller("../eu-1", &good()).await.unwrap_err();
        assert_eq!(nowhere.reason, "UNKNOWN_CLUSTER");
    }

    #[tokio::test]
    async fn a_hub_that_does_not_lead_and_an_agent_that_cannot_say_are_no_refusals_of_the_token() {
        let (following, _, _) = accounts(false);
        let refused = following.caller("eu-1", &good()).await.unwrap_err();
        assert_eq!((refused.code, refused.reason), (Code::Unavailable, "NOT_LEADER"));
        let (accounts, sessions, _) = accounts(true);
        let outbox = agent(&sessions, "eu-1");
        for (reason, told) in [
            (NoToken::Forbidden, "AGENT_RIGHTS"),
            (NoToken::Unreachable, "AGENT_REFUSED"),
            (NoToken::Other, "AGENT_REFUSED"),
        ] {
            let answer = Err(TokenRefused::new(reason, "no"));
            let token = good();
            let (refused, ()) = tokio::join!(accounts.caller("eu-1", &token), says(&outbox, answer));
            let refused = refused.unwrap_err();
            assert_eq!((refused.code, refused.reason), (Code::Unavailable, told));
        }
    }
}
