//! The end of a process: everybody is told, whoever still has work under way is waited for, and the wait has a bound.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Tells the parts of a process to end, and knows who has not yet. Copies are the same drain.
#[derive(Clone, Debug)]
pub struct Drain {
    token: CancellationToken,
    holders: Arc<watch::Sender<BTreeMap<&'static str, usize>>>,
}

/// Held by work that wants to be waited for. The process's end waits until it is dropped.
#[derive(Debug)]
#[must_use = "dropping a holder says that this work is done"]
pub struct Holder {
    name: &'static str,
    drain: Drain,
}

/// Somebody did not end in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("still at work after {waited:?}: {}", .holders.join(", "))]
pub struct StillHeld {
    /// Who, by name.
    pub holders: Vec<&'static str>,
    /// How long they were waited for.
    pub waited: Duration,
}

impl Drain {
    /// A drain nobody holds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            token: CancellationToken::new(),
            holders: Arc::new(watch::Sender::new(BTreeMap::new())),
        }
    }

    /// What fires when the process is to end.
    #[must_use]
    pub const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Returns when the process is to end.
    pub async fn draining(&self) {
        self.token.cancelled().await;
    }

    /// Makes the end wait for the named work.
    pub fn hold(&self, name: &'static str) -> Holder {
        self.holders
            .send_modify(|holders| *holders.entry(name).or_default() += 1);
        Holder {
            name,
            drain: self.clone(),
        }
    }

    /// Tells everybody to end. Telling twice changes nothing.
    pub fn start(&self) {
        self.token.cancel();
    }

    /// Tells everybody to end and waits for the holders, at most for `bound`.
    ///
    /// # Errors
    /// [`StillHeld`] names whoever was not done by then.
    pub async fn shutdown(&self, clock: &dyn Clock, bound: Duration) -> Result<(), StillHeld> {
        self.start();
        let mut holders = self.holders.subscribe();
        let released = tokio::select! {
            biased;
            _ = holders.wait_for(BTreeMap::is_empty) => true,
            () = clock.sleep(bound) => false,
        };
        if released {
            return Ok(());
        }
        Err(StillHeld {
            holders: self.holders.borrow().keys().copied().collect(),
            waited: bound,
        })
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Holder {
    /// What fires when the process is to end.
    #[must_use]
    pub const fn token(&self) -> &CancellationToken {
        &self.drain.token
    }

    /// Returns when the process is to end.
    pub async fn draining(&self) {
        self.drain.draining().await;
    }
}

impl Clone for Holder {
    fn clone(&self) -> Self {
        self.drain.hold(self.name)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.drain.holders.send_modify(|holders| {
            if let Some(count) = holders.get_mut(self.name) {
                *count -= 1;
                if *count == 0 {
                    holders.remove(self.name);
                }
            }
        });
    }
}

/// Returns the name of the first of SIGTERM and SIGINT that arrives. A second signal, after this returned, has no effect
/// until this is called again: call it twice to let an impatient operator end a slow shutdown.
///
/// # Errors
/// When the process may not listen for signals.
pub async fn signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn shutdown_waits_for_whoever_holds_on() {
        let drain = Drain::new();
        let holder = drain.hold("sessions");
        let work = tokio::spawn(async move {
            holder.draining().await;
            drop(holder);
        });
        drain
            .shutdown(&ManualClock::default(), Duration::from_secs(10))
            .await
            .unwrap();
        work.await.unwrap();
    }

    #[tokio::test]
    async fn shutdown_has_a_bound_and_names_who_was_late() {
        let (drain, clock) = (Drain::new(), ManualClock::default());
        let late = drain.hold("store");
        let _copy = late.clone();
        drop(drain.hold("api"));
        let shutdown = tokio::spawn({
            let (drain, clock) = (drain.clone(), clock.clone());
            async move { drain.shutdown(&clock, Duration::from_secs(10)).await }
        });
        clock.wait_for_sleepers(1).await;
        drop(late);
        clock.advance(Duration::from_secs(10));
        let error = shutdown.await.unwrap().unwrap_err();
        assert_eq!(error.holders, ["store"]);
        assert!(drain.token().is_cancelled());
    }
}
