//! Waiting for conditions, with a bound and with words for what did not happen.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use berth_model::Timestamp;

/// Long enough for anything that happens at all on a busy machine.
pub const LONG: Duration = Duration::from_secs(90);

/// Between two looks at what cannot be watched.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Awaits `what`, but not forever.
///
/// # Errors
/// It takes longer than `within`, or fails.
pub async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::time::timeout(limit, future)
        .await
        .with_context(|| format!("{what}: not within {} s", limit.as_secs()))?
        .with_context(|| what.to_owned())
}

/// Looks until there is an answer: `None` is "not yet", an error is "not yet, because".
///
/// # Errors
/// There is none within `limit`; the last error is the reason.
pub async fn until<T, F>(limit: Duration, what: &str, mut look: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<Option<T>>>,
{
    let mut last = None;
    let looks = async {
        loop {
            match look().await {
                Ok(Some(answer)) => return answer,
                Ok(None) => {}
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    match tokio::time::timeout(limit, looks).await {
        Ok(answer) => Ok(answer),
        Err(_) => {
            let reason = last.unwrap_or_else(|| anyhow::anyhow!("it is not so"));
            Err(reason.context(format!("{what}: not within {} s", limit.as_secs())))
        }
    }
}

/// This machine's time, which is the hub's and the agents' too.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "it is compared with what real programs write by the real clock"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Starts measuring.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "it measures real programs by the real clock"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
