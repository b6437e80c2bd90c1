//! Who says that it leads, in which term: no two hubs may in one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_tests::api::Api;
use tokio_util::sync::{CancellationToken, DropGuard};

type Leaders = Arc<Mutex<BTreeMap<u64, BTreeSet<usize>>>>;

/// Asks every hub again and again.
pub(crate) struct Terms {
    leaders: Leaders,
    _stop: DropGuard,
}

impl Terms {
    /// Begins to ask.
    pub(crate) fn watch(apis: &[Api]) -> Self {
        let leaders = Leaders::default();
        let stop = CancellationToken::new();
        for (number, api) in apis.iter().cloned().enumerate() {
            let (leaders, stop) = (leaders.clone(), stop.clone());
            tokio::spawn(stop.run_until_cancelled_owned(async move {
                loop {
                    let asked = tokio::time::timeout(Duration::from_secs(1), api.hub()).await;
                    if let Ok(Ok(hub)) = asked
                        && hub.role == "leading"
                    {
                        leaders
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .entry(hub.term)
                            .or_default()
                            .insert(number);
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }));
        }
        Self {
            leaders,
            _stop: stop.drop_guard(),
        }
    }

    /// How many terms were seen, or which of them had more than one leader.
    pub(crate) fn verify(&self) -> anyhow::Result<usize> {
        let leaders = self.leaders.lock().unwrap_or_else(PoisonError::into_inner);
        let double = leaders.iter().find(|(_, hubs)| hubs.len() > 1);
        match double {
            Some((term, hubs)) => Err(anyhow::anyhow!("term {term} has the leaders {hubs:?}")),
            None => Ok(leaders.len()),
        }
    }
}
