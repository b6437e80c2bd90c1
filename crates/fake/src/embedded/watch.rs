//! Watches: a stream of events for as long as the client listens. Nothing runs between events; a watch is the body of its answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::StreamExt as _;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::api::request::Format;
use super::api::selector::Selector;
use super::api::{Api, Body, partial_metadata, table_event};
use super::failure::Failure;
use super::kinds::Kind;
use super::store::{Happened, Stored};

const BOOKMARK_EVERY: Duration = Duration::from_mins(1);
const LONGEST: u64 = 3600;

/// From where a watch tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// All objects as added, then changes.
    Everything,
    /// The same, with a bookmark that says where the objects end.
    Initial,
    /// Changes after a revision.
    After(u64),
}

/// What a watch is to tell.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: String,
    pub(crate) selector: Selector,
    pub(crate) format: Format,
    pub(crate) bookmarks: bool,
    /// In seconds.
    pub(crate) timeout: Option<u64>,
    pub(crate) start: Start,
}

struct Watch {
    api: Arc<Api>,
    wanted: Wanted,
    position: u64,
    ready: VecDeque<Bytes>,
    news: Receiver<u64>,
    end: Instant,
    next_bookmark: Instant,
    over: bool,
}

/// Opens a watch.
pub(crate) fn open(api: &Arc<Api>, wanted: Wanted) -> Body {
    let now = Instant::now();
    let (news, position, ready) = {
        let store = api.store();
        let mut ready = VecDeque::new();
        let mut position = store.revision();
        match wanted.start {
            Start::After(revision) => position = revision,
            Start::Everything | Start::Initial => {
                let objects = store.list(wanted.kind, &wanted.namespace, None);
                ready.extend(
                    objects
                        .filter(|s| wanted.selector.matches(s))
                        .map(|s| event(&wanted, "ADDED", s)),
                );
                if wanted.start == Start::Initial {
                    ready.push_back(bookmark(&wanted, position, true));
                }
            }
        }
        (store.changes_of(wanted.kind), position, ready)
    };
    let end = now + Duration::from_secs(wanted.timeout.unwrap_or(LONGEST).min(LONGEST));
    let next_bookmark = now + BOOKMARK_EVERY;
    let watch = Watch {
        api: api.clone(),
        wanted,
        position,
        ready,
        news,
        end,
        next_bookmark,
        over: false,
    };
    let events = futures::stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((event, watch))
    });
    StreamBody::new(events.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync()
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            self.news.borrow_and_update();
            self.collect();
            if !self.ready.is_empty() {
                continue;
            }
            let closed = self.api.closed.clone();
            tokio::select! {
                biased;
                changed = self.news.changed() => if changed.is_err() { return None },
                () = closed.cancelled() => return None,
                () = tokio::time::sleep_until(self.end) => {
                    self.over = true;
                    if self.wanted.bookmarks {
                        return Some(bookmark(&self.wanted, self.position, false));
                    }
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.wanted.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    return Some(bookmark(&self.wanted, self.position, false));
                }
            }
        }
    }

    /// Collects the events since the last look.
    fn collect(&mut self) {
        let store = self.api.store();
        let oldest = store.oldest();
        let Some(changes) = store.since(self.position.min(store.revision())) else {
            let failure = Failure::expired(self.position, oldest);
            let line = json!({"type": "ERROR", "object": failure.status()});
            self.ready.push_back(Bytes::from(format!("{line}\n")));
            self.over = true;
            return;
        };
        let wanted = &self.wanted;
        for change in changes.filter(|c| c.kind.id == wanted.kind.id) {
            if !wanted.namespace.is_empty() && change.object.name.namespace != wanted.namespace {
                continue;
            }
            let matched = change
                .previous
                .as_ref()
                .is_some_and(|p| wanted.selector.matches(p));
            let matches = change.happened != Happened::Deleted && wanted.selector.matches(&change.object);
            let happened = match (matched, matches) {
                (false, true) => "ADDED",
                (true, true) => "MODIFIED",
                (true, false) => "DELETED",
                (false, false) => continue,
            };
            self.ready.push_back(event(wanted, happened, &change.object));
        }
        self.position = self.position.max(store.revision());
    }
}

fn event(wanted: &Wanted, happened: &str, stored: &Stored) -> Bytes {
    let object = match wanted.format {
        Format::Full => stored.json.clone(),
        Format::Metadata => partial_metadata(stored),
        Format::Table => table_event(wanted.kind, stored),
    };
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(format!("{{\"type\":\"{happened}\",\"object\":").as_bytes());
    line.put(object);
    line.put_slice(b"}\n");
    line.freeze()
}

fn bookmark(wanted: &Wanted, position: u64, initial_end: bool) -> Bytes {
    let (kind, version) = match wanted.format {
        Format::Metadata => ("PartialObjectMetadata".into(), "meta.k8s.io/v1".into()),
        _ => (wanted.kind.kind.to_owned(), wanted.kind.api_version()),
    };
    let mut metadata = json!({"resourceVersion": position.to_string(), "creationTimestamp": null});
    if initial_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = json!({"kind": kind, "apiVersion": version, "metadata": metadata});
    Bytes::from(format!("{}\n", json!({"type": "BOOKMARK", "object": object})))
}
