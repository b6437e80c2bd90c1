//! A stream of changes that reads the shared history at its own pace: it holds no queue, so a slow reader costs nothing
//! and learns that it was too slow.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use berth_model::Revision;
use futures::{Stream, StreamExt, stream::BoxStream};
use tokio::sync::watch;

use crate::{entry::Change, error::StoreError, index::SharedIndex};

/// Changes in order, transaction by transaction. Ends after an error, and when the store is closed.
pub struct Watch {
    changes: BoxStream<'static, Result<Change, StoreError>>,
}

/// How many changes are copied out of the history at a time; transactions are never cut.
const BATCH: usize = 256;

struct State {
    index: SharedIndex,
    committed: watch::Receiver<Revision>,
    seen: Revision,
    batch: VecDeque<Change>,
    over: bool,
}

impl Watch {
    /// Any stream of changes as a watch: for stores outside this crate.
    #[must_use]
    pub fn new(changes: impl Stream<Item = Result<Change, StoreError>> + Send + 'static) -> Self {
        Self {
            changes: changes.boxed(),
        }
    }

    pub(crate) fn over_history(
        index: SharedIndex,
        committed: watch::Receiver<Revision>,
        from: Revision,
    ) -> Result<Self, StoreError> {
        index.read(|index| index.history().changes_after(from, 0).map(drop))?;
        let state = State {
            index,
            committed,
            seen: from,
            batch: VecDeque::new(),
            over: false,
        };
        Ok(Self::new(futures::stream::unfold(state, next)))
    }
}

async fn next(mut state: State) -> Option<(Result<Change, StoreError>, State)> {
    loop {
        if state.over {
            return None;
        }
        if let Some(change) = state.batch.pop_front() {
            return Some((Ok(change), state));
        }
        // Marked as seen before looking, so that a commit in between wakes the wait below.
        state.committed.borrow_and_update();
        match state
            .index
            .read(|index| index.history().changes_after(state.seen, BATCH))
        {
            Err(error) => {
                state.over = true;
                return Some((Err(error), state));
            }
            Ok(changes) => state.batch = changes,
        }
        match state.batch.back() {
            Some(last) => state.seen = last.revision,
            None => state.over = state.committed.changed().await.is_err(),
        }
    }
}

impl Stream for Watch {
    type Item = Result<Change, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.changes.poll_next_unpin(context)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
