//! Readiness as guards: each part that must be up takes one by name and drops it when it is up.
//!
//! The process is ready when nobody holds a guard. Whoever is not ready is named, so `/readyz` answers the question that follows.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

/// The registry of what is not ready. Copies are the same registry.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// How many guards there are by name.
    pending: Arc<watch::Sender<BTreeMap<&'static str, usize>>>,
}

/// Keeps the process unready until dropped.
#[derive(Debug)]
#[must_use = "dropping a guard says that this part is ready"]
pub struct ReadinessGuard {
    name: &'static str,
    registry: Readiness,
}

impl Readiness {
    /// A registry in which nothing is awaited.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pending: Arc::new(watch::Sender::new(BTreeMap::new())),
        }
    }

    /// Makes the process unready until the guard is dropped. May be taken again later, by a part that lost what it needs.
    pub fn guard(&self, name: &'static str) -> ReadinessGuard {
        self.pending
            .send_modify(|pending| *pending.entry(name).or_default() += 1);
        ReadinessGuard {
            name,
            registry: self.clone(),
        }
    }

    /// Who is not ready, in order of name; empty when the process is.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        self.pending.borrow().keys().copied().collect()
    }

    /// Whether nobody is awaited.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.pending.borrow().is_empty()
    }

    /// Returns when nobody is awaited.
    pub async fn wait_ready(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.pending.subscribe().wait_for(BTreeMap::is_empty).await;
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ReadinessGuard {
    fn drop(&mut self) {
        self.registry.pending.send_modify(|pending| {
            if let Some(count) = pending.get_mut(self.name) {
                *count -= 1;
                if *count == 0 {
                    pending.remove(self.name);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_process_is_ready_when_the_last_guard_is_dropped() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let store = readiness.guard("store");
        let first = readiness.guard("link");
        let second = readiness.guard("link");
        assert_eq!(readiness.pending(), ["link", "store"]);
        drop(first);
        drop(store);
        assert_eq!(readiness.pending(), ["link"]);
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.wait_ready().await }
        });
        drop(second);
        waiting.await.unwrap();
        let _again = readiness.guard("link");
        assert!(!readiness.is_ready());
    }
}
