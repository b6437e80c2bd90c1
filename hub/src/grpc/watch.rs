//! WatchTenants: a snapshot, its end, then every change; a reader that lags sees the latest state of each tenant.

use std::{collections::VecDeque, pin::Pin};

use berth_control::{Board, TenantSnapshot};
use berth_model::TenantId;
use berth_proto::v1::{self, watch_tenants_response::Event};
use berth_runtime::CancellationToken;
use berth_wire::names;
use futures::Stream;
use tokio::sync::watch;
use tonic::Status;

use super::tenant::shown;

/// The stream of events.
pub(super) type TenantStream = Pin<Box<dyn Stream<Item = Result<v1::WatchTenantsResponse, Status>> + Send>>;

struct Reader {
    board: Board,
    incarnation: String,
    only: Option<TenantId>,
    follow: watch::Receiver<u64>,
    at: u64,
    queue: VecDeque<Event>,
    /// Where to resume while a batch is only partly read: before it.
    resume: String,
    cancel: CancellationToken,
}

/// Starts where `token` says, or with a snapshot when it says nothing this hub knows.
pub(super) fn stream(
    board: Board,
    incarnation: String,
    token: &str,
    only: Option<TenantId>,
    cancel: CancellationToken,
) -> TenantStream {
    let follow = board.follow();
    let mut reader = Reader {
        board,
        incarnation,
        only,
        follow,
        at: 0,
        queue: VecDeque::new(),
        resume: String::new(),
        cancel,
    };
    let resumed = token
        .split_once(':')
        .filter(|(incarnation, _)| *incarnation == reader.incarnation)
        .and_then(|(_, sequence)| sequence.parse().ok())
        .is_some_and(|sequence| reader.news(sequence));
    if resumed {
        token.clone_into(&mut reader.resume);
    } else {
        reader.snapshot();
    }
    Box::pin(futures::stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        if reader.queue.is_empty() {
            reader.resume = format!("{}:{}", reader.incarnation, reader.at);
        }
        let resume_token = reader.resume.clone();
        Some((
            Ok(v1::WatchTenantsResponse {
                event: Some(event),
                resume_token,
            }),
            reader,
        ))
    }))
}

impl Reader {
    fn wants(&self, id: &TenantId) -> bool {
        self.only.as_ref().is_none_or(|only| only == id)
    }

    fn snapshot(&mut self) {
        let (all, at) = self.board.snapshot();
        self.at = at;
        // Until the snapshot is read whole, there is nothing to resume from.
        self.resume.clear();
        self.queue.clear();
        for snapshot in all {
            self.upserted(&snapshot);
        }
        self.queue.push_back(Event::SnapshotEnd(v1::SnapshotEnd {}));
    }

    fn upserted(&mut self, snapshot: &TenantSnapshot) {
        if self.wants(&snapshot.tenant.id) {
            self.queue
                .push_back(Event::Upserted(shown(&snapshot.tenant, Some(snapshot))));
        }
    }

    /// Takes what changed since `sequence`; false when that is too long ago.
    fn news(&mut self, sequence: u64) -> bool {
        let Some(news) = self.board.since(sequence) else {
            return false;
        };
        self.at = news.sequence;
        for snapshot in &news.upserted {
            self.upserted(snapshot);
        }
        for id in news.deleted {
            if self.wants(&id) {
                self.queue.push_back(Event::Deleted(names::tenant(&id)));
            }
        }
        true
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            let at = self.at;
            tokio::select! {
                changed = self.follow.wait_for(|sequence| *sequence > at) => drop(changed.ok()?),
                // The hub ends.
                () = self.cancel.cancelled() => return None,
            }
            if !self.news(at) {
                self.snapshot();
            }
        }
    }
}
