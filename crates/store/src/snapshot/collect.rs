//! A store at one revision, read while writes go on.
//!
//! Pages of a list may be of different moments. What a watch tells happened between the first page and the last is laid over them: the
//! result is the store as it was at the last page.

use std::{collections::BTreeMap, time::Duration};

use berth_model::Revision;
use bytes::Bytes;
use futures::StreamExt;

use super::SnapshotError;
use crate::{
    entry::{Change, Entry, Page},
    error::StoreError,
    key::Key,
    store::Store,
    watch::Watch,
};

/// How often it is begun again, when the history was too short or nothing came.
const TRIES: u32 = 10;
/// How long to wait for the watch to come to where the list did. A store whose revision is raised by others may never tell.
const QUIET: Duration = Duration::from_secs(1);

pub(super) async fn collect(store: &dyn Store) -> Result<(Revision, Vec<Entry>), SnapshotError> {
    for _ in 0..TRIES {
        match attempt(store).await {
            Ok(Some((revision, entries))) => return Ok((revision, entries.into_values().collect())),
            Ok(None) | Err(StoreError::Compacted { .. }) => {}
            Err(source) => {
                return Err(SnapshotError::Store {
                    operation: "read",
                    source,
                });
            }
        }
    }
    Err(SnapshotError::Busy)
}

type State = BTreeMap<Key, Entry>;

async fn attempt(store: &dyn Store) -> Result<Option<(Revision, State)>, StoreError> {
    let mut listing = store.list("", Page::first()).await?;
    let start = listing.revision;
    let mut watch: Option<Watch> = None;
    let mut entries = State::new();
    loop {
        let end = listing.revision;
        let after = listing.entries.last().map(|entry| entry.key.clone());
        entries.extend(
            listing
                .entries
                .into_iter()
                .map(|entry| (entry.key.clone(), entry)),
        );
        let Some(after) = after.filter(|_| listing.more) else {
            if end == start {
                return Ok(Some((end, entries)));
            }
            let mut watch = match watch {
                Some(watch) => watch,
                None => store.watch(start).await?,
            };
            let reached = lay_over(&mut entries, &mut watch, end).await?;
            return Ok(reached.then_some((end, entries)));
        };
        if watch.is_none() {
            watch = Some(store.watch(start).await?);
        }
        listing = store.list("", Page::after(after)).await?;
    }
}

/// Lays the changes up to `end` over what was listed; false when the watch does not get there.
async fn lay_over(entries: &mut State, watch: &mut Watch, end: Revision) -> Result<bool, StoreError> {
    let mut changed: BTreeMap<Key, Track> = BTreeMap::new();
    loop {
        let change = match tokio::time::timeout(QUIET, watch.next()).await {
            Ok(Some(change)) => change?,
            Ok(None) | Err(_) => return Ok(false),
        };
        if change.revision > end {
            break;
        }
        let done = change.revision == end && change.last;
        let Change {
            key, revision, put, ..
        } = change;
        let listed = entries.get(&key);
        changed
            .entry(key)
            .or_insert_with(|| Track::of(listed))
            .step(revision, put);
        if done {
            break;
        }
    }
    for (key, Track { now, .. }) in changed {
        match now {
            Some((value, revision, created)) => {
                let entry = Entry {
                    key: key.clone(),
                    value,
                    revision,
                    created,
                };
                entries.insert(key, entry);
            }
            None => {
                entries.remove(&key);
            }
        }
    }
    Ok(true)
}

/// What becomes of one key.
struct Track {
    /// When it was made, by what the list says; it holds until a change says that the key went.
    listed: Option<Revision>,
    now: Option<(Bytes, Revision, Revision)>,
    started: bool,
}

impl Track {
    fn of(listed: Option<&Entry>) -> Self {
        Self {
            listed: listed.map(|entry| entry.created),
            now: None,
            started: false,
        }
    }

    fn step(&mut self, revision: Revision, put: Option<Bytes>) {
        let created = match (&self.now, self.listed) {
            (Some((_, _, created)), _) => *created,
            // Nothing was said of it yet: it was there before, unless the list saw what is only made here.
            (None, Some(created)) if !self.started && created < revision => created,
            (None, _) => revision,
        };
        self.started = true;
        self.now = put.map(|value| (value, revision, created));
    }
}
