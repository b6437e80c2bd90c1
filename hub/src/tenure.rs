//! How long a hub may speak as the leader. It knows nothing of what is said.

use std::sync::Arc;

use berth_runtime::CancellationToken;
use berth_store::Leadership;

/// How long a period of leading lasts. Copies tell the same.
#[derive(Clone, Debug)]
pub struct Tenure {
    over: CancellationToken,
    leadership: Arc<Leadership>,
}

impl Tenure {
    /// Until `over`, or until `leadership` ends.
    #[must_use]
    pub const fn new(over: CancellationToken, leadership: Arc<Leadership>) -> Self {
        Self { over, leadership }
    }

    /// Whether this hub leads at this very moment: asked for everything that is said in the leader's name. A process that was paused
    /// past its lease learns it here before it is told.
    ///
    /// What was read while readers were shown something (the board) is the leader's state if this holds after it was read: it ends
    /// before the board is taken down.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.over.is_cancelled() && self.leadership.holds()
    }

    /// Whether this hub leads, be it that it is asked to end.
    pub(crate) fn leads(&self) -> bool {
        self.leadership.holds()
    }

    /// Returns when the period is over: what waits or streams in it ends. Cancel safe.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }
}
