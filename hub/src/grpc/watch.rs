//! WatchTenants: a snapshot, its end, then every change; a reader that lags sees the latest state of each tenant.

use std::{collections::VecDeque, pin::Pin};

use berth_control::{Board, TenantSnapshot, board::Change};
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
    /// What was not said yet, each with where to resume after it; none in a snapshot: until it is read whole, there is nothing to
    /// resume from.
    queue: VecDeque<(Option<u64>, Event)>,
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
        cancel,
    };
    let resumed = token
        .split_once(':')
        .filter(|(incarnation, _)| *incarnation == reader.incarnation)
        .and_then(|(_, sequence)| sequence.parse().ok())
        .is_some_and(|sequence| reader.news(sequence));
    if !resumed {
        reader.snapshot();
    }
    Box::pin(futures::stream::unfold(reader, |mut reader| async move {
        let (at, event) = reader.next().await?;
        let resume_token = at.map_or_else(String::new, |at| format!("{}:{at}", reader.incarnation));
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
        self.queue.clear();
        for snapshot in all {
            self.upserted(None, &snapshot);
        }
        let end = Event::SnapshotEnd(v1::SnapshotEnd {});
        self.queue.push_back((Some(at), end));
    }

    fn upserted(&mut self, at: Option<u64>, snapshot: &TenantSnapshot) {
        if self.wants(&snapshot.tenant.id) {
            let event = Event::Upserted(shown(&snapshot.tenant, Some(snapshot)));
            self.queue.push_back((at, event));
        }
    }

    /// Takes what changed since `sequence`; false when that is too long ago.
    fn news(&mut self, sequence: u64) -> bool {
        let Some(news) = self.board.since(sequence) else {
            return false;
        };
        self.at = news.sequence;
        for (at, change) in news.changes {
            match change {
                Change::Upserted(snapshot) => self.upserted(Some(at), &snapshot),
                Change::Deleted(id) if self.wants(&id) => {
                    let event = Event::Deleted(names::tenant(&id));
                    self.queue.push_back((Some(at), event));
                }
                Change::Deleted(_) => {}
            }
        }
        true
    }

    async fn next(&mut self) -> Option<(Option<u64>, Event)> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Some(event);
            }
            let at = self.at;
            tokio::select! {
                biased;
                // The hub ends, or leads no more: what is on the board by then is nobody's state.
                () = self.cancel.cancelled() => return None,
                changed = self.follow.wait_for(|sequence| *sequence > at) => drop(changed.ok()?),
            }
            if self.cancel.is_cancelled() {
                return None;
            }
            if !self.news(at) {
                self.snapshot();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use berth_model::{Generation, Revision, Tenant, TenantSpec, TierName, Uid};
    use futures::StreamExt as _;

    use super::*;

    fn put(board: &Board, id: &str, revision: u64) {
        board.put(TenantSnapshot {
            tenant: Arc::new(Tenant {
                id: TenantId::new(id).unwrap(),
                uid: Uid::new("u").unwrap(),
                generation: Generation(1),
                revision: Revision(revision),
                created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
                deleting_since: None,
                spec: TenantSpec::of_tier(TierName::new("free").unwrap()),
            }),
            placement: None,
            accepted_gaps: berth_model::AcceptedGaps::new(),
            status: None,
        });
    }

    /// What a reader that resumes at `token` is told before it would have to wait: each event with its own token.
    async fn told(board: &Board, token: &str) -> Vec<(String, String)> {
        let cancel = CancellationToken::new();
        let mut events = stream(board.clone(), "i".into(), token, None, cancel.clone());
        // What is there already comes before the end is looked at.
        cancel.cancel();
        let mut all = Vec::new();
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            let text = match event.event.unwrap() {
                Event::Upserted(tenant) => format!("{} {}", tenant.name, tenant.etag),
                Event::Deleted(name) => format!("{name} gone"),
                Event::SnapshotEnd(_) => "end".to_owned(),
            };
            all.push((text, event.resume_token));
        }
        all
    }

    #[tokio::test]
    async fn every_event_after_a_snapshot_says_where_to_resume_after_it() {
        let board = Board::default();
        put(&board, "a", 1);
        put(&board, "b", 2);
        let snapshot = told(&board, "").await;
        let texts: Vec<&str> = snapshot.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["tenants/a 1", "tenants/b 2", "end"]);
        // Until a snapshot is read whole, there is nothing to resume from.
        let tokens: Vec<&str> = snapshot.iter().map(|(_, token)| token.as_str()).collect();
        assert_eq!(tokens, ["", "", "i:2"]);

        put(&board, "a", 3);
        board.remove(&TenantId::new("b").unwrap());
        put(&board, "c", 5);
        let news = told(&board, "i:2").await;
        let texts: Vec<&str> = news.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["tenants/a 3", "tenants/b gone", "tenants/c 5"]);
        for (read, (_, token)) in news.iter().enumerate() {
            assert_eq!(told(&board, token).await, news[read + 1..], "after {token}");
        }
        assert_eq!(told(&board, "other:2").await.len(), 3, "a snapshot of a and c");
    }
}
