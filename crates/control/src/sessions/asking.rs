//! Asking an agent something that somebody waits for.

use std::time::Duration;

use berth_model::{AccessToken, ClusterName, ReviewedAccount, TokenRefused, TokenToReview, TokenWanted};
use tokio::sync::oneshot;

use super::Sessions;
use crate::questions::TooMany;

/// How long an answer is waited for: an agent asks its API server twice within it.
pub const ANSWER: Duration = Duration::from_secs(20);

/// Why an agent gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It has no session, or its session ended meanwhile.
    #[error("the agent of cluster {cluster} is not connected")]
    Away {
        /// Whose.
        cluster: ClusterName,
    },
    /// It is there and says nothing.
    #[error("the agent of cluster {cluster} did not answer within {} s", ANSWER.as_secs())]
    Silent {
        /// Whose.
        cluster: ClusterName,
    },
    /// Too many questions to it are not answered yet.
    #[error("the agent of cluster {cluster} has too many questions to answer")]
    Busy {
        /// Whose.
        cluster: ClusterName,
    },
    /// It said no.
    #[error("the agent of cluster {cluster} refused")]
    Refused {
        /// Whose.
        cluster: ClusterName,
        /// What it said.
        #[source]
        refused: TokenRefused,
    },
}

impl Sessions {
    /// Has the agent of `cluster` get a token. Nothing of it is kept here.
    ///
    /// # Errors
    /// There is none.
    pub async fn mint_token(
        &self,
        cluster: &ClusterName,
        wanted: TokenWanted,
    ) -> Result<AccessToken, AskError> {
        let asked = self.outbox(cluster).map(|outbox| outbox.ask(wanted));
        self.answered(cluster, asked).await
    }

    /// Has the agent of `cluster` ask its API server whose token that is. Nothing of it is kept here.
    ///
    /// # Errors
    /// Nobody's there, or nobody could be asked.
    pub async fn review_token(
        &self,
        cluster: &ClusterName,
        review: TokenToReview,
    ) -> Result<ReviewedAccount, AskError> {
        let asked = self.outbox(cluster).map(|outbox| outbox.review(review));
        self.answered(cluster, asked).await
    }

    async fn answered<T>(
        &self,
        cluster: &ClusterName,
        asked: Option<Result<oneshot::Receiver<Result<T, TokenRefused>>, TooMany>>,
    ) -> Result<T, AskError> {
        let cluster = cluster.clone();
        let asked = match asked {
            None => return Err(AskError::Away { cluster }),
            Some(Err(TooMany)) => return Err(AskError::Busy { cluster }),
            Some(Ok(asked)) => asked,
        };
        tokio::select! {
            biased;
            answer = asked => match answer {
                Ok(answer) => answer.map_err(|refused| AskError::Refused { cluster, refused }),
                Err(_) => Err(AskError::Away { cluster }),
            },
            () = self.clock.sleep(ANSWER) => Err(AskError::Silent { cluster }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_model::{AccessRole, ClusterFacts, NoToken, TenantId, Term, Timestamp, Uid};
    use berth_runtime::ManualClock;

    use super::*;
    use crate::{outbox::Outgoing, sessions::Hello};

    fn cluster() -> ClusterName {
        ClusterName::new("eu-1").unwrap()
    }

    fn wanted() -> TokenWanted {
        TokenWanted {
            tenant: TenantId::new("acme").unwrap(),
            uid: Uid::new("u1").unwrap(),
            role: AccessRole::User,
            lifetime: Duration::from_secs(900),
        }
    }

    fn hello() -> Hello {
        Hello {
            agent_version: String::new(),
            held: crate::sessions::Held::new(),
            facts: ClusterFacts::default(),
            highest_term: Term(0),
            told: None,
            trusted_pins: Vec::new(),
            issuer_pin: String::new(),
        }
    }

    fn sessions() -> (Sessions, ManualClock) {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        (Sessions::new(Arc::new(clock.clone())), clock)
    }

    #[tokio::test]
    async fn a_question_reaches_the_agent_and_its_answer_whoever_asked() {
        let (sessions, _) = sessions();
        let (_, outbox) = sessions.open(&cluster(), "key", hello());
        let token = AccessToken::new("eyJ".into(), Timestamp::UNIX_EPOCH);
        for answer in [
            Ok(token),
            Err(TokenRefused::new(NoToken::NotHeld, "it is not here")),
        ] {
            let agent = async {
                let Outgoing::MintToken { id, wanted: said } = outbox.next().await else {
                    panic!("no question");
                };
                assert_eq!(said, wanted());
                outbox.answer(id, answer.clone());
            };
            let eu_1 = cluster();
            let (heard, ()) = tokio::join!(sessions.mint_token(&eu_1, wanted()), agent);
            let expected = answer.map_err(|refused| AskError::Refused {
                cluster: cluster(),
                refused,
            });
            assert_eq!(heard, expected);
        }
    }

    #[tokio::test]
    async fn an_agent_that_is_away_or_goes_away_is_told_from_one_that_is_silent() {
        let (sessions, clock) = sessions();
        let away = Err(AskError::Away { cluster: cluster() });
        assert_eq!(sessions.mint_token(&cluster(), wanted()).await, away);

        let (_, outbox) = sessions.open(&cluster(), "key", hello());
        let asking = tokio::spawn({
            let sessions = sessions.clone();
            async move { sessions.mint_token(&cluster(), wanted()).await }
        });
        assert!(matches!(outbox.next().await, Outgoing::MintToken { .. }));
        sessions.goodbye_all("Draining", "the hub stops");
        assert_eq!(asking.await.unwrap(), away);

        let (_, outbox) = sessions.open(&cluster(), "key", hello());
        let asking = tokio::spawn({
            let sessions = sessions.clone();
            async move { sessions.mint_token(&cluster(), wanted()).await }
        });
        assert!(matches!(outbox.next().await, Outgoing::MintToken { .. }));
        clock.advance(ANSWER);
        assert_eq!(
            asking.await.unwrap(),
            Err(AskError::Silent { cluster: cluster() })
        );
    }
}
