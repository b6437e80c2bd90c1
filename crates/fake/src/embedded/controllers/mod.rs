//! The cluster's own controllers, as one task: it reads the changes of the store, queues what each may concern, and brings
//! that into order. Nothing polls. Every piece of work looks at the present state only, so being told twice, late or in
//! another order makes no difference.

mod garbage;
mod namespaces;
mod queue;
mod quotas;
mod workloads;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::{Api, Caller, Door, update};
use super::failure::Failure;
use super::kinds::{Kind, kinds};
use super::object;
use super::store::{Change, Happened, Name, Store};
use queue::{Queue, Work};

/// The name under which controllers write.
const MANAGER: &str = "kube-controller-manager";

/// After so many pieces of work others get a turn.
const TURN: usize = 64;

/// Starts the controllers.
pub(super) fn start(api: &Arc<Api>, workloads: bool, stop: &CancellationToken) {
    let controllers = Controllers {
        api: api.clone(),
        workloads,
        queue: Queue::default(),
        later: BTreeMap::new(),
    };
    tokio::spawn(controllers.run(stop.clone()));
}

struct Controllers {
    api: Arc<Api>,
    workloads: bool,
    queue: Queue,
    later: BTreeMap<Instant, Vec<Work>>,
}

impl Controllers {
    async fn run(mut self, stop: CancellationToken) {
        let mut news = self.api.store().changes();
        let mut position = self.everything();
        loop {
            news.borrow_and_update();
            position = self.look(position);
            let mut done = 0;
            while let Some(work) = self.queue.next() {
                self.work(&work);
                done += 1;
                if done % TURN == 0 {
                    tokio::task::yield_now().await;
                    position = self.look(position);
                    if stop.is_cancelled() {
                        return;
                    }
                }
            }
            let due = self.later.keys().next().copied();
            let wait = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = news.changed() => if changed.is_err() { return },
                () = wait => {}
            }
            let now = Instant::now();
            while let Some(entry) = self.later.first_entry().filter(|e| *e.key() <= now) {
                for work in entry.remove() {
                    self.queue.add(work);
                }
            }
        }
    }

    /// Queues what the changes since a revision concern, and tells the present revision.
    fn look(&mut self, position: u64) -> u64 {
        let changes: Option<Vec<Change>> = {
            let store = self.api.store();
            store.since(position).map(|changes| changes.cloned().collect())
        };
        let Some(changes) = changes else {
            return self.everything();
        };
        let store = self.api.store();
        for change in &changes {
            self.queue.concern(&store, change, self.workloads);
        }
        changes.last().map_or(position, |change| change.revision)
    }

    /// Queues everything there is, as if it had just changed.
    fn everything(&mut self) -> u64 {
        let store = self.api.store();
        for (kind, stored) in store.everything() {
            let change = Change {
                revision: stored.revision,
                kind,
                happened: Happened::Added,
                object: stored.clone(),
                previous: None,
            };
            self.queue.concern(&store, &change, self.workloads);
        }
        store.revision()
    }

    fn work(&mut self, work: &Work) {
        let mut store = self.api.store();
        let store = &mut *store;
        let done = match work {
            Work::Namespace(name) => namespaces::settle(store, name, &self.api.ca_pem),
            Work::Quota(namespace) => quotas::fill(store, namespace),
            Work::Orphans(uid) => garbage::collect(store, uid),
            Work::Ownerless(kind, name) => garbage::check(store, kind_of(*kind), name),
            Work::Finalize(kind, name) => garbage::finalize(store, kind_of(*kind), name),
            work => workloads::settle(store, work, &self.api.version).map(|again| {
                if let Some((after, work)) = again {
                    self.later.entry(Instant::now() + after).or_default().push(work);
                }
            }),
        };
        if let Err(failure) = done
            && !matches!(failure.code, 404 | 409)
        {
            tracing::debug!(?work, error = failure.message, "controller could not finish");
        }
    }
}

fn kind_of(id: usize) -> &'static Kind {
    &kinds()[id]
}

/// Writes an object's status, when it differs.
fn write_status(store: &mut Store, kind: &'static Kind, object: Value) -> Result<(), Failure> {
    let name = Name::of(&object);
    update(store, kind, &name, object, &Caller::server(MANAGER), Door::Status).map(|_| ())
}

/// Writes an object, when it differs.
fn write(store: &mut Store, kind: &'static Kind, object: Value) -> Result<(), Failure> {
    let name = Name::of(&object);
    update(store, kind, &name, object, &Caller::server(MANAGER), Door::Main).map(|_| ())
}

/// The names of all objects of a kind in a namespace.
fn names(store: &Store, kind: &'static Kind, namespace: &str) -> Vec<Name> {
    store
        .list(kind, namespace, None)
        .map(|stored| stored.name.clone())
        .collect()
}

fn is_gone(object: &Value) -> bool {
    object.is_null() || object::is_deleting(object)
}
