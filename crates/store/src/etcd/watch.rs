//! A watch on etcd: connects again when it is cut off and goes on behind the last transaction it has seen whole.
//!
//! It holds one answer of etcd at a time. Who does not read holds up etcd's stream, etcd keeps what is not sent in its own
//! history, and a reader that falls behind what etcd keeps is told [`StoreError::Compacted`].

use std::{collections::VecDeque, sync::Arc, time::Duration};

use berth_model::Revision;
use berth_runtime::{
    Clock,
    retry::{Backoff, Policy},
};
use bytes::Bytes;
use etcd_client::{WatchOptions, WatchStream, proto::PbWatchResponse};

use super::{
    count::Count,
    error::{away, meaning},
    keys::{Keys, number, revision},
    link::{Link, MAX_ANSWER},
};
use crate::{entry::Change, error::StoreError};

pub(super) const AGAIN: Policy = Policy::new(Duration::from_millis(50), Duration::from_secs(2));

/// Where a watch is.
pub(super) struct State {
    link: Arc<Link>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    count: Arc<Count>,
    /// How many transactions were known of when it was last connected.
    writes: u64,
    /// Up to here everything was given out, or is in `ready`.
    seen: Revision,
    /// Whole transactions.
    ready: VecDeque<Change>,
    /// The beginning of a transaction whose rest etcd sends in another answer. Not given out: when the stream breaks here,
    /// the whole comes again.
    begun: Vec<Change>,
    /// Which etcd answered first: another one, restored from a backup, counts its revisions anew.
    cluster: Option<u64>,
    stream: Option<WatchStream>,
    backoff: Backoff,
    over: bool,
}

impl State {
    pub(super) fn new(
        link: Arc<Link>,
        keys: Keys,
        clock: Arc<dyn Clock>,
        count: Arc<Count>,
        from: Revision,
    ) -> Self {
        Self {
            link,
            keys,
            clock,
            writes: count.known(),
            count,
            seen: from,
            ready: VecDeque::new(),
            begun: Vec::new(),
            cluster: None,
            stream: None,
            backoff: Backoff::new(&AGAIN),
            over: false,
        }
    }

    /// Connects now instead of when something is first asked for.
    pub(super) async fn open(&mut self) -> Result<(), StoreError> {
        let (start, end) = self.keys.range("", None);
        let stream = open(&self.link, start, Some(end), self.seen).await?;
        // After that: an etcd that is put back meanwhile breaks the stream. Of one that was, a watch shows nothing for a long time, or
        // that everything is to be read again, and what is read then is of the past.
        let checked = self.count.check(&self.link, &self.keys, self.writes);
        self.writes = checked.await?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Asks etcd how much of its history is gone, knowing that the beginning of this watch is.
    pub(super) async fn compacted(mut self, newest: Revision) -> StoreError {
        let asked = self.seen;
        let limit = self.link.request_timeout;
        let told = async move {
            self.open().await.ok()?;
            self.next().await.and_then(|(change, _)| change.err())
        };
        match tokio::time::timeout(limit, told).await {
            Ok(Some(error @ StoreError::Compacted { .. })) => error,
            _ => StoreError::Compacted {
                asked,
                oldest: newest,
                newest,
            },
        }
    }

    /// The next change, an error that ends it, or the end.
    pub(super) async fn next(mut self) -> Option<(Result<Change, StoreError>, Self)> {
        loop {
            if self.over {
                return None;
            }
            if let Some(change) = self.ready.pop_front() {
                return Some((Ok(change), self));
            }
            let step = match &mut self.stream {
                None => self.open().await,
                Some(stream) => match stream.message().await {
                    Ok(Some(answer)) => self.take(answer.0),
                    Ok(None) => Err(away("watch", "the stream ended")),
                    Err(error) => Err(meaning("watch", error)),
                },
            };
            match step {
                Ok(()) => {}
                Err(error @ StoreError::Unavailable { .. }) => self.again(&error).await,
                Err(error) => {
                    self.over = true;
                    return Some((Err(error), self));
                }
            }
        }
    }

    /// Forgets the stream and what is not whole, and waits a moment.
    async fn again(&mut self, error: &StoreError) {
        tracing::debug!(seen = %self.seen, %error, "watch is cut off");
        self.forget();
        self.link.turn_away();
        let delay = self.backoff.next_delay();
        self.clock.sleep(delay).await;
    }

    fn forget(&mut self) {
        self.stream = None;
        self.begun.clear();
    }

    fn take(&mut self, answer: PbWatchResponse) -> Result<(), StoreError> {
        let header = answer.header.unwrap_or_default();
        let now = revision(header.revision);
        let another = *self.cluster.get_or_insert(header.cluster_id) != header.cluster_id;
        if answer.compact_revision > 0 || another {
            // etcd does not always tell its newest revision then.
            let compacted = revision(answer.compact_revision);
            let now = now.max(compacted);
            return Err(StoreError::Compacted {
                asked: self.seen,
                oldest: if another { now } else { compacted },
                newest: now,
            });
        }
        if answer.canceled {
            return Err(away("watch", answer.cancel_reason));
        }
        self.backoff.reset();
        let quiet = answer.events.is_empty() && !answer.created;
        for event in answer.events {
            let Some(found) = event.kv else { continue };
            let written = revision(found.mod_revision);
            if written <= self.seen {
                continue;
            }
            if self.begun.last().is_some_and(|before| before.revision != written) {
                self.finish();
            }
            let Some(key) = self.keys.key(&found.key) else {
                continue;
            };
            self.begun.push(Change {
                revision: written,
                key,
                put: (event.r#type == PUT).then(|| Bytes::from(found.value)),
                last: false,
            });
        }
        if answer.fragment {
            return Ok(());
        }
        self.finish();
        if quiet && now > self.seen {
            // Everything up to now was sent: where nothing of ours happens, etcd's history may be cut behind us.
            self.seen = now;
        }
        Ok(())
    }

    /// What was begun is whole.
    fn finish(&mut self) {
        if let Some(last) = self.begun.last_mut() {
            last.last = true;
            self.seen = last.revision;
        }
        self.ready.extend(self.begun.drain(..));
    }
}

/// The number of a put among etcd's events; the other is a delete.
const PUT: i32 = 0;

/// A stream of what happens from behind `after` on, by a connection of its own.
pub(super) async fn open(
    link: &Link,
    start: impl Into<Vec<u8>>,
    end: Option<Vec<u8>>,
    after: Revision,
) -> Result<WatchStream, StoreError> {
    let client = link.alone().await?;
    // In parts, so that a long backlog comes in pieces that fit.
    let mut options = WatchOptions::new()
        .with_start_revision(number(after.next()))
        .with_progress_notify()
        .with_fragment();
    if let Some(end) = end {
        options = options.with_range(end);
    }
    let mut watching = client.watch_client().max_decoding_message_size(MAX_ANSWER);
    match tokio::time::timeout(link.request_timeout, watching.watch(start, Some(options))).await {
        Ok(stream) => stream.map_err(|error| meaning("watch", error)),
        Err(_) => Err(away(
            "watch",
            format!("no answer within {:?}", link.request_timeout),
        )),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
