//! "Look again": a signal without content that wakes everybody who listens, in the order in which they began to.
//!
//! A `tokio::sync::watch` would do, but for the order: it wakes its readers in a random one, so that nothing that follows can be
//! played again.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Rings for its listeners; when it is dropped it rings for good.
#[derive(Debug, Default)]
pub struct Bell(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rung: AtomicU64,
    gone: AtomicBool,
    wake: Notify,
}

/// Hears every ring since it last heard one. Copies hear each for themselves.
#[derive(Clone, Debug)]
pub struct Listener {
    bell: Arc<Inner>,
    heard: u64,
}

impl Bell {
    /// Nobody has rung it yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes everybody who listens.
    pub fn ring(&self) {
        self.0.rung.fetch_add(1, Ordering::SeqCst);
        self.0.wake.notify_waiters();
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> Listener {
        Listener {
            heard: self.0.rung.load(Ordering::SeqCst),
            bell: self.0.clone(),
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::SeqCst);
        self.0.wake.notify_waiters();
    }
}

impl Listener {
    /// Whether it rang and was not heard yet.
    #[must_use]
    pub fn rang(&self) -> bool {
        self.bell.rung.load(Ordering::SeqCst) != self.heard || self.bell.gone.load(Ordering::SeqCst)
    }

    /// Counts every ring so far as heard.
    pub fn catch_up(&mut self) {
        self.heard = self.bell.rung.load(Ordering::SeqCst);
    }

    /// Returns when it has rung, at once when it did before, and always when the bell is gone. Cancel safe.
    pub async fn hear(&mut self) {
        loop {
            let wake = self.bell.wake.notified();
            let mut wake = std::pin::pin!(wake);
            wake.as_mut().enable();
            if self.rang() {
                break;
            }
            wake.await;
        }
        self.catch_up();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    /// Whether `future` is ready at its first poll.
    async fn ready(future: impl Future) -> bool {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test]
    async fn a_ring_is_heard_once_and_never_missed() {
        let bell = Bell::new();
        bell.ring();
        let mut listener = bell.listen();
        assert!(!ready(listener.hear()).await, "that was before");
        bell.ring();
        bell.ring();
        assert!(listener.rang());
        assert!(ready(listener.hear()).await);
        assert!(!ready(listener.hear()).await);
        drop(bell);
        assert!(
            ready(listener.hear()).await && ready(listener.hear()).await,
            "gone for good"
        );
    }

    #[tokio::test]
    async fn listeners_wake_in_the_order_in_which_they_began() {
        let bell = Bell::new();
        let (tell, mut told) = tokio::sync::mpsc::channel(64);
        for number in 0..20 {
            let (mut listener, tell) = (bell.listen(), tell.clone());
            tokio::spawn(async move {
                listener.hear().await;
                tell.send(number).await
            });
        }
        tokio::task::yield_now().await;
        bell.ring();
        for number in 0..20 {
            assert_eq!(told.recv().await, Some(number));
        }
    }
}
