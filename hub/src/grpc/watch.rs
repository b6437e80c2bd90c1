//! WatchTenants: a snapshot, its end, then every change; a reader that lags sees the latest state of each tenant.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
};

use berth_control::{Board, TenantSnapshot, board::Change};
use berth_model::TenantId;
use berth_proto::v1::{self, watch_tenants_response::Event};
use berth_wire::names;
use futures::Stream;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::{error::refused, tenant::shown};
use crate::{calls::Access, tenure::Tenure};

/// The permission that the stream shows tenants by.
const WATCH: &str = "tenants.watch";

/// The stream of events.
pub(super) type TenantStream = Pin<Box<dyn Stream<Item = Result<v1::WatchTenantsResponse, Status>> + Send>>;

struct Reader {
    board: Board,
    incarnation: String,
    only: Option<TenantId>,
    access: Access,
    /// What the reader was told of, where it does not see everything: only that is gone for it when it goes.
    told: Option<BTreeSet<TenantId>>,
    follow: watch::Receiver<u64>,
    at: u64,
    /// What was not said yet, each with where to resume after it; none in a snapshot: until it is read whole, there is nothing to
    /// resume from.
    queue: VecDeque<(Option<u64>, Event)>,
    tenure: Tenure,
    over: bool,
}

/// Starts where `token` says, or with a snapshot when it says nothing this hub knows.
pub(super) fn stream(
    board: Board,
    incarnation: String,
    token: &str,
    only: Option<TenantId>,
    access: Access,
    tenure: Tenure,
) -> TenantStream {
    let follow = board.follow();
    let told = (!access.sees_all(WATCH)).then(BTreeSet::new);
    let mut reader = Reader {
        board,
        incarnation,
        only,
        access,
        told,
        follow,
        at: 0,
        queue: VecDeque::new(),
        tenure,
        over: false,
    };
    // Who does not see everything is told anew what there is: nobody remembers what it was told.
    let resumed = token
        .split_once(':')
        .filter(|(incarnation, _)| *incarnation == reader.incarnation && reader.told.is_none())
        .and_then(|(_, sequence)| sequence.parse().ok())
        .is_some_and(|sequence| reader.news(sequence));
    if !resumed {
        reader.snapshot();
    }
    Box::pin(futures::stream::unfold(reader, |mut reader| async move {
        let (at, event) = match reader.next().await? {
            Ok(next) => next,
            Err(status) => return Some((Err(status), reader)),
        };
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
        self.told = self.told.take().map(|_| BTreeSet::new());
        for snapshot in all {
            self.upserted(None, &snapshot);
        }
        let end = Event::SnapshotEnd(v1::SnapshotEnd {});
        self.queue.push_back((Some(at), end));
    }

    fn upserted(&mut self, at: Option<u64>, snapshot: &TenantSnapshot) {
        let id = &snapshot.tenant.id;
        if !self.wants(id) {
            return;
        }
        if let Some(told) = &mut self.told {
            if self.access.sees(WATCH, &snapshot.tenant) {
                told.insert(id.clone());
            } else {
                // It may have been the reader's until now.
                self.deleted(at, id);
                return;
            }
        }
        let event = Event::Upserted(shown(&snapshot.tenant, Some(snapshot)));
        self.queue.push_back((at, event));
    }

    fn deleted(&mut self, at: Option<u64>, id: &TenantId) {
        let known = self.told.as_mut().is_none_or(|told| told.remove(id));
        if known && self.wants(id) {
            let event = Event::Deleted(names::tenant(id));
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
                Change::Deleted(id) => self.deleted(Some(at), &id),
            }
        }
        true
    }

    /// The next event; an error when the reader holds something else than when it began.
    async fn next(&mut self) -> Option<Result<(Option<u64>, Event), Status>> {
        loop {
            // Asked after the board was read and before anything is told: by now it may be taken down, or another hub may lead.
            if self.over || !self.tenure.holds() {
                return None;
            }
            if let Some(event) = self.queue.pop_front() {
                return Some(Ok(event));
            }
            let at = self.at;
            tokio::select! {
                biased;
                () = self.tenure.over() => return None,
                () = self.access.changed() => {
                    self.over = true;
                    let message = "what this caller may see has changed: watch again";
                    return Some(Err(refused(Code::Unavailable, "ACCESS_CHANGED", message)));
                }
                changed = self.follow.wait_for(|sequence| *sequence > at) => drop(changed.ok()?),
            }
            if !self.news(at) {
                self.snapshot();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use berth_control::Authorizer;
    use berth_identity::Caller;
    use berth_model::{
        Generation, Revision, Role, RoleBinding, RoleBindingSpec, Scope, Tenant, TenantSelector, TenantSpec,
        TierName, Uid,
    };
    use berth_plan::authorize::Grants;
    use berth_runtime::CancellationToken;
    use berth_store::Leadership;
    use futures::{FutureExt as _, StreamExt as _};

    use super::*;

    fn put(board: &Board, id: &str, revision: u64) {
        put_of(board, id, revision, "");
    }

    fn put_of(board: &Board, id: &str, revision: u64, organisation: &str) {
        let mut spec = TenantSpec::of_tier(TierName::new("free").unwrap());
        spec.owner.organisation = organisation.into();
        board.put(TenantSnapshot {
            tenant: Arc::new(Tenant {
                id: TenantId::new(id).unwrap(),
                uid: Uid::new("u").unwrap(),
                generation: Generation(1),
                revision: Revision(revision),
                created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
                deleting_since: None,
                spec,
            }),
            placement: None,
            accepted_gaps: berth_model::AcceptedGaps::new(),
            status: None,
        });
    }

    fn access(grants: Grants) -> Access {
        let caller = Arc::new(Caller::certificate("alice", ""));
        Access::new(caller, Arc::new(grants), Authorizer::default(), 0)
    }

    /// Sees the tenants of organisation x.
    fn viewer_of_x() -> Access {
        let selector = TenantSelector {
            organisation: "x".into(),
            ..TenantSelector::default()
        };
        access(Grants::of(vec![Arc::new(RoleBinding {
            name: "x".parse().unwrap(),
            uid: Uid::new("u").unwrap(),
            generation: Generation(1),
            revision: Revision(1),
            spec: RoleBindingSpec {
                role: Role::Viewer,
                subjects: ["certificate:alice".parse().unwrap()].into(),
                scope: Scope::Selector(selector),
            },
        })]))
    }

    fn text(event: Event) -> String {
        match event {
            Event::Upserted(tenant) => format!("{} {}", tenant.name, tenant.etag),
            Event::Deleted(name) => format!("{name} gone"),
            Event::SnapshotEnd(_) => "end".to_owned(),
        }
    }

    /// A hub's only lead, for ever.
    fn tenure() -> Tenure {
        let held = tokio::sync::watch::Sender::new(true);
        let leadership = Leadership::new(held.subscribe(), || true, held);
        Tenure::new(CancellationToken::new(), Arc::new(leadership))
    }

    /// What a reader that resumes at `token` is told before it would have to wait: each event with its own token.
    async fn told_to(access: Access, board: &Board, token: &str) -> Vec<(String, String)> {
        let mut events = stream(board.clone(), "i".into(), token, None, access, tenure());
        let mut all = Vec::new();
        while let Some(event) = events.next().now_or_never() {
            let event = event.unwrap().unwrap();
            all.push((text(event.event.unwrap()), event.resume_token));
        }
        all
    }

    async fn told(board: &Board, token: &str) -> Vec<(String, String)> {
        told_to(access(Grants::everything()), board, token).await
    }

    #[tokio::test]
    async fn who_sees_some_tenants_hears_of_them_while_they_are_theirs_and_of_no_others() {
        let board = Board::default();
        put_of(&board, "a", 1, "x");
        put_of(&board, "b", 2, "y");
        let mut events = stream(board.clone(), "i".into(), "", None, viewer_of_x(), tenure());
        let mut next = async || text(events.next().await.unwrap().unwrap().event.unwrap());
        assert_eq!(next().await, "tenants/a 1");
        assert_eq!(next().await, "end");
        board.remove(&TenantId::new("b").unwrap());
        put_of(&board, "c", 4, "x");
        assert_eq!(next().await, "tenants/c 4");
        // It goes to another organisation: for this reader it is gone, once.
        put_of(&board, "c", 5, "y");
        assert_eq!(next().await, "tenants/c gone");
        board.remove(&TenantId::new("c").unwrap());
        put_of(&board, "d", 6, "x");
        assert_eq!(next().await, "tenants/d 6");
        board.remove(&TenantId::new("d").unwrap());
        assert_eq!(next().await, "tenants/d gone");
        // Where it left off is known only to who sees everything.
        let again = told_to(viewer_of_x(), &board, "i:5").await;
        let texts: Vec<&str> = again.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts, ["tenants/a 1", "end"]);
    }

    #[tokio::test]
    async fn a_board_that_was_taken_down_is_nobodys_state() {
        let board = Board::default();
        put(&board, "a", 1);
        let over = CancellationToken::new();
        let held = tokio::sync::watch::Sender::new(true);
        let leadership = Leadership::new(held.subscribe(), || true, held);
        let tenure = Tenure::new(over.clone(), Arc::new(leadership));
        let open = |token| {
            stream(
                board.clone(),
                "i".into(),
                token,
                None,
                access(Grants::everything()),
                tenure.clone(),
            )
        };
        let mut early = open("i:1");
        // In the order in which a period ends, between a call's admission and its answer.
        over.cancel();
        board.clear();
        assert!(open("").next().await.is_none(), "an empty snapshot");
        assert!(early.next().await.is_none());
    }

    #[tokio::test]
    async fn a_hub_whose_lease_ran_out_while_it_was_paused_tells_nothing_of_what_it_had_in_hand() {
        let board = Board::default();
        put(&board, "a", 1);
        put(&board, "b", 2);
        let lease = Arc::new(AtomicBool::new(true));
        let held = tokio::sync::watch::Sender::new(true);
        let valid = lease.clone();
        let leadership = Leadership::new(held.subscribe(), move || valid.load(Ordering::Relaxed), held);
        let tenure = Tenure::new(CancellationToken::new(), Arc::new(leadership));
        let mut events = stream(board, "i".into(), "", None, access(Grants::everything()), tenure);
        assert!(events.next().await.is_some());
        lease.store(false, Ordering::Relaxed);
        assert!(events.next().await.is_none());
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
