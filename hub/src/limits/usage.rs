//! What a connection is used for: whether it may stay.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future as _,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use berth_runtime::Clock;
use futures::{future::BoxFuture, task::AtomicWaker};

use super::{Limits, Listener, Reason, counts::Counts};

/// What a connection is used for; shared by it and the calls on it.
pub struct Usage {
    clock: Arc<dyn Clock>,
    waker: AtomicWaker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    called: bool,
    cut: bool,
    open: usize,
    /// When the last call ended, or the connection was made.
    last: Duration,
    next: u64,
    /// Answers that are to be taken, by when they were there.
    answers: BTreeMap<u64, Duration>,
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usage").finish_non_exhaustive()
    }
}

impl Usage {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            last: clock.monotonic(),
            ..State::default()
        };
        Self {
            clock,
            waker: AtomicWaker::new(),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins; the connection is not idle until it is dropped.
    pub(super) fn call(self: &Arc<Self>) -> Open {
        let mut state = self.state();
        state.called = true;
        state.open += 1;
        state.next += 1;
        Open {
            number: state.next,
            usage: self.clone(),
        }
    }

    /// A call that does not keep the connection.
    pub(super) fn touch(&self) {
        let mut state = self.state();
        state.called = true;
        state.last = self.clock.monotonic();
    }

    /// Ends the connection.
    pub(super) fn cut(&self) {
        self.state().cut = true;
        self.waker.wake();
    }
}

/// A call that is open.
#[derive(Debug)]
pub(super) struct Open {
    number: u64,
    usage: Arc<Usage>,
}

impl Open {
    /// Its whole answer is there, to be taken.
    pub(super) fn answered(&self) {
        let now = self.usage.clock.monotonic();
        self.usage.state().answers.insert(self.number, now);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let now = self.usage.clock.monotonic();
        let mut state = self.usage.state();
        state.open -= 1;
        state.last = now;
        state.answers.remove(&self.number);
    }
}

/// Looks now and then whether a connection may stay.
pub struct Patience {
    usage: Arc<Usage>,
    first_call: Duration,
    idle: Duration,
    answer: Duration,
    listener: Listener,
    counts: Counts,
    look: BoxFuture<'static, ()>,
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").finish_non_exhaustive()
    }
}

impl Patience {
    pub(super) fn new(limits: &Limits, listener: Listener, counts: Counts, clock: Arc<dyn Clock>) -> Self {
        let usage = Arc::new(Usage::new(clock));
        let mut patience = Self {
            usage,
            first_call: limits.first_call(),
            idle: limits.idle(),
            answer: limits.message(),
            listener,
            counts,
            look: Box::pin(std::future::pending()),
        };
        patience.sleep();
        patience
    }

    /// What the connection is used for.
    #[must_use]
    pub const fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    fn sleep(&mut self) {
        let (clock, wait) = (
            self.usage.clock.clone(),
            self.first_call.min(self.idle).min(self.answer),
        );
        self.look = Box::pin(async move { clock.sleep(wait).await });
    }

    /// Whether it is at an end; wakes the task of `cx` when it is to be asked again.
    pub fn ended(&mut self, cx: &mut Context<'_>) -> bool {
        self.usage.waker.register(cx.waker());
        if self.usage.state().cut {
            return true;
        }
        while Pin::new(&mut self.look).poll(cx).is_ready() {
            if let Some(reason) = self.reason() {
                self.counts.limited(self.listener, reason);
                self.usage.state().cut = true;
                return true;
            }
            self.sleep();
        }
        false
    }

    fn reason(&self) -> Option<Reason> {
        let now = self.usage.clock.monotonic();
        let state = self.usage.state();
        let since = |then: Duration| now.saturating_sub(then);
        if !state.called && since(state.last) >= self.first_call {
            Some(Reason::NoCall)
        } else if state.called && state.open == 0 && since(state.last) >= self.idle {
            Some(Reason::Idle)
        } else if state.answers.values().any(|then| since(*then) >= self.answer) {
            Some(Reason::AnswerNotTaken)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_runtime::ManualClock;
    use futures::task::noop_waker;

    use super::*;

    fn patience() -> (Patience, ManualClock) {
        let clock = ManualClock::default();
        let limits = Limits {
            first_call_seconds: 10,
            idle_seconds: 60,
            message_seconds: 20,
            ..Limits::default()
        };
        let patience = Patience::new(&limits, Listener::Api, Counts::default(), Arc::new(clock.clone()));
        (patience, clock)
    }

    fn after(patience: &mut Patience, clock: &ManualClock, seconds: u64) -> bool {
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        (0..seconds).any(|_| {
            clock.advance(Duration::from_secs(1));
            patience.ended(&mut cx)
        })
    }

    #[tokio::test]
    async fn a_connection_without_a_call_ends() {
        let (mut patience, clock) = patience();
        assert!(!after(&mut patience, &clock, 9));
        assert!(after(&mut patience, &clock, 11));
    }

    #[tokio::test]
    async fn an_open_call_keeps_it_as_long_as_it_takes_and_an_idle_one_ends() {
        let (mut patience, clock) = patience();
        let open = patience.usage().call();
        assert!(!after(&mut patience, &clock, 1000));
        drop(open);
        assert!(!after(&mut patience, &clock, 59));
        assert!(after(&mut patience, &clock, 11));
    }

    #[tokio::test]
    async fn an_answer_that_nobody_takes_ends_it() {
        let (mut patience, clock) = patience();
        let open = patience.usage().call();
        open.answered();
        assert!(!after(&mut patience, &clock, 19));
        assert!(after(&mut patience, &clock, 11));
        let (mut patience, clock) = self::patience();
        let taken = patience.usage().call();
        taken.answered();
        drop(taken);
        assert!(!after(&mut patience, &clock, 59));
    }

    #[tokio::test]
    async fn who_is_cut_is_at_an_end_at_once() {
        let (mut patience, clock) = patience();
        patience.usage().cut();
        assert!(after(&mut patience, &clock, 1));
    }
}
