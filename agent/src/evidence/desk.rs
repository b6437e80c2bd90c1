//! The latest evidence of each tenant, and who is asked for: bounded by the number of tenants.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use berth_model::TenantId;
use berth_wire::evidence::Sealed;
use tokio::sync::{Notify, watch};

#[derive(Debug, Default)]
struct State {
    /// Somebody probes.
    open: bool,
    sequence: u64,
    latest: BTreeMap<TenantId, (u64, Fresh)>,
    asked: BTreeSet<TenantId>,
    everyone: bool,
}

/// Signed evidence, and when its pass began by the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) sealed: Sealed,
    pub(crate) began: Duration,
}

/// The desk; copies are the same.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    state: Arc<Mutex<State>>,
    sequence: watch::Sender<u64>,
    asked: Arc<Notify>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            sequence: watch::Sender::new(0),
            asked: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody probes from now on.
    pub(super) fn open(&self) {
        self.state().open = true;
    }

    pub(super) fn put(&self, tenant: TenantId, sealed: Sealed, began: Duration) {
        let sequence = {
            let mut state = self.state();
            state.sequence += 1;
            let sequence = state.sequence;
            state.latest.insert(tenant, (sequence, Fresh { sealed, began }));
            sequence
        };
        self.sequence.send_replace(sequence);
    }

    pub(super) fn forget(&self, tenant: &TenantId) {
        let mut state = self.state();
        state.latest.remove(tenant);
        state.asked.remove(tenant);
    }

    /// A tenant is to be probed as soon as it is its turn; an error when nobody probes here.
    pub(crate) fn ask(&self, tenant: TenantId) -> Result<(), String> {
        let mut state = self.state();
        if !state.open {
            return Err("this agent does not probe".to_owned());
        }
        state.asked.insert(tenant);
        drop(state);
        self.asked.notify_one();
        Ok(())
    }

    /// All are to be probed again: what the cluster can hold has changed.
    pub(crate) fn ask_everyone(&self) {
        self.state().everyone = true;
        self.asked.notify_one();
    }

    pub(super) fn take_everyone(&self) -> bool {
        std::mem::take(&mut self.state().everyone)
    }

    pub(super) fn take_asked(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut self.state().asked)
    }

    /// Waits until somebody is asked for. Cancel safe; one reader.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// What changes from now on, after all that is there.
    pub(crate) fn news(&self) -> News {
        News {
            desk: self.clone(),
            sequence: self.sequence.subscribe(),
            seen: 0,
        }
    }
}

/// The reading side.
#[derive(Debug)]
pub(crate) struct News {
    desk: Desk,
    sequence: watch::Receiver<u64>,
    seen: u64,
}

impl News {
    /// Waits until there is evidence that was not read here, and takes the oldest of it. Cancel safe.
    pub(crate) async fn next(&mut self) -> Fresh {
        loop {
            self.sequence.borrow_and_update();
            if let Some((at, fresh)) = self.first() {
                self.seen = at;
                return fresh;
            }
            if self.sequence.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn first(&self) -> Option<(u64, Fresh)> {
        let state = self.desk.state();
        let unread = state.latest.values().filter(|(at, _)| *at > self.seen);
        unread.min_by_key(|(at, _)| *at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(byte: u8) -> Sealed {
        Sealed {
            statement_zstd: vec![byte],
            signature: Vec::new(),
        }
    }

    #[tokio::test]
    async fn every_reader_gets_the_latest_of_each_tenant_once() {
        let desk = Desk::new();
        let (a, b) = (TenantId::new("a").unwrap(), TenantId::new("b").unwrap());
        desk.put(a.clone(), sealed(1), Duration::ZERO);
        desk.put(b.clone(), sealed(2), Duration::ZERO);
        desk.put(a.clone(), sealed(3), Duration::ZERO);
        let mut news = desk.news();
        let mut read = async || news.next().await.sealed.statement_zstd[0];
        assert_eq!((read().await, read().await), (2, 3));
        let waits = futures_poll(news.next()).await;
        assert!(waits.is_none());
        assert_eq!(
            desk.news().next().await.sealed,
            sealed(2),
            "another reader starts over"
        );
        desk.forget(&a);
        assert!(futures_poll(news.next()).await.is_none());
    }

    /// The answer, if there is one now.
    async fn futures_poll<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let answer = future.as_mut().poll(context);
            std::task::Poll::Ready(match answer {
                std::task::Poll::Ready(answer) => Some(answer),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }

    #[test]
    fn nobody_is_asked_for_where_nobody_probes() {
        let desk = Desk::new();
        let tenant = TenantId::new("a").unwrap();
        assert!(desk.ask(tenant.clone()).is_err());
        desk.open();
        assert_eq!(desk.ask(tenant.clone()), Ok(()));
        assert_eq!(desk.take_asked(), [tenant].into());
        assert!(desk.take_asked().is_empty());
    }
}
