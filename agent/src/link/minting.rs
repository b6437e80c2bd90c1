//! Questions for and about tokens that are being worked on: beside the session, so that a slow API server keeps no heartbeat back.

use std::{sync::Arc, time::Duration};

use berth_apply::Engine;
use berth_model::{NoToken, TokenRefused, TokenToReview, TokenWanted};
use berth_runtime::clock::Clock;
use tokio::task::JoinSet;

use super::session::Input;

/// Asked for at once, at most.
const AT_ONCE: usize = 8;

/// What is under way; dropped, it ends.
#[derive(Default)]
pub(crate) struct Minting(JoinSet<Input>);

impl Minting {
    /// Begins to get a token; what comes of it [`next`](Self::next) tells. Where too many are under way, the refusal comes back.
    pub(crate) fn begin(
        &mut self,
        engine: Engine,
        clock: Arc<dyn Clock>,
        id: u64,
        wanted: TokenWanted,
        within: Duration,
    ) -> Option<Input> {
        let refused = |reason, message: &str| Err(TokenRefused::new(reason, message));
        if self.0.len() >= AT_ONCE {
            let answer = refused(NoToken::Busy, "the agent is asked for too many tokens at once");
            return Some(Input::TokenMinted { id, answer });
        }
        self.0.spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = engine.mint_token(&wanted) => answer,
                () = clock.sleep(within) => refused(NoToken::Unreachable, "the API server does not answer in time"),
            };
            if let Err(refused) = &answer {
                let (tenant, role) = (&wanted.tenant, wanted.role);
                tracing::warn!(%tenant, %role, reason = ?refused.reason, message = %refused.message, "no token was issued");
            }
            Input::TokenMinted { id, answer }
        });
        None
    }

    /// Begins to ask whose token that is; likewise.
    pub(crate) fn begin_review(
        &mut self,
        engine: Engine,
        clock: Arc<dyn Clock>,
        id: u64,
        review: TokenToReview,
        within: Duration,
    ) -> Option<Input> {
        let refused = |reason, message: &str| Err(TokenRefused::new(reason, message));
        if self.0.len() >= AT_ONCE {
            let answer = refused(NoToken::Busy, "the agent is asked about too many tokens at once");
            return Some(Input::TokenReviewed { id, answer });
        }
        self.0.spawn(async move {
            let answer = tokio::select! {
                biased;
                answer = engine.review_token(&review) => answer,
                () = clock.sleep(within) => refused(NoToken::Unreachable, "the API server does not answer in time"),
            };
            if let Err(refused) = &answer {
                tracing::warn!(reason = ?refused.reason, message = %refused.message, "a token was not vouched for");
            }
            Input::TokenReviewed { id, answer }
        });
        None
    }

    /// The next answer; waits for ever while nothing is under way. Cancel safe.
    pub(crate) async fn next(&mut self) -> Input {
        loop {
            match self.0.join_next().await {
                Some(Ok(answered)) => return answered,
                // It was ended from outside: whoever asked waits no longer than its deadline.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}
