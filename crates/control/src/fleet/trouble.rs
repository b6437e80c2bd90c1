//! A store that does not take writes, or does not answer, for a while: the loop decides nothing new then, but goes on listening and
//! shows how things are, and comes back by the same path as a restart.

use std::time::Duration;

use berth_plan::Changes;
use berth_runtime::CancellationToken;
use berth_store::StoreError;
use tracing::{info, warn};

use super::{Fleet, FleetError, act::Look};

/// Pauses between two tries: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What keeps the loop from acting.
#[derive(Debug)]
pub(super) struct Trouble {
    pause: Duration,
}

impl Fleet {
    /// Waits until the store does as asked again; false when `cancel` came first.
    pub(super) async fn wait_out(
        &mut self,
        error: StoreError,
        cancel: &CancellationToken,
    ) -> Result<bool, FleetError> {
        let mut error = error;
        loop {
            let pause = match &self.trouble {
                None => {
                    warn!(%error, "the store does not do as asked; nothing new is decided until it does");
                    FIRST_PAUSE
                }
                Some(before) => (before.pause * 2).min(LONGEST_PAUSE),
            };
            self.trouble = Some(Trouble { pause });
            let problem = error.to_string();
            self.standing
                .send_if_modified(|standing| standing.trouble.replace(problem.clone()) != Some(problem));
            if !self.listen_for(pause, cancel).await {
                return Ok(false);
            }
            let mut changes = Changes::default();
            match self.reload(&mut changes).await {
                Ok(()) => {
                    self.pending.merge(changes);
                    return Ok(true);
                }
                Err(FleetError::Store(again)) if again.retryable() => error = again,
                Err(other) => return Err(other),
            }
        }
    }

    /// Everything that was to be written was: whatever troubled the store is over.
    pub(super) fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            info!("the store does as asked again");
            self.standing.send_modify(|standing| standing.trouble = None);
        }
    }

    /// Hears agents and shows how tenants are, without writing anything; false when `cancel` came.
    async fn listen_for(&mut self, pause: Duration, cancel: &CancellationToken) -> bool {
        let until = self.clock.monotonic() + pause;
        loop {
            let left = until.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return true;
            }
            let clock = self.clock.clone();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return false,
                Some(question) = self.questions.recv() => self.answer(question),
                () = self.sessions.changed() => {}
                () = clock.sleep(left.min(super::SWEEP)) => {}
            }
            let mut changes = Changes::default();
            self.hear_all(&mut changes);
            self.sweep(&mut changes);
            if changes != Changes::default() {
                self.show(&Look::Again(changes));
            }
        }
    }
}
