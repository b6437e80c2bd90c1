//! What a change concerns: the queue of work, each piece at most once.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::embedded::kinds::{self, Kind, by_api_version};
use crate::embedded::object::{self, list, text};
use crate::embedded::store::{Change, Happened, Name, Store};

/// A thing to bring into order. The order of the variants is the order of work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Namespace(String),
    /// Dependents of an owner that is gone.
    Orphans(String),
    /// An object whose owners may never have been.
    Ownerless(usize, Name),
    /// An object that waits for its dependents.
    Finalize(usize, Name),
    Node(String),
    Workload(usize, Name),
    Pod(Name),
    Endpoints(Name),
    /// Every pod without a node.
    Schedule,
    Quota(String),
}

/// Work waiting to be done.
#[derive(Debug, Default)]
pub(super) struct Queue(BTreeSet<Work>);

impl Queue {
    pub(super) fn add(&mut self, work: Work) {
        self.0.insert(work);
    }

    pub(super) fn next(&mut self) -> Option<Work> {
        self.0.pop_first()
    }

    /// Queues what a change may concern.
    pub(super) fn concern(&mut self, store: &Store, change: &Change, workloads: bool) {
        let (kind, name) = (change.kind, &change.object.name);
        let gone = change.happened == Happened::Deleted;
        if kind.is("", "Namespace") && !gone {
            self.add(Work::Namespace(name.name.clone()));
        }
        if kind.namespaced {
            if gone {
                self.add(Work::Namespace(name.namespace.clone()));
            }
            if change.happened != Happened::Modified
                || matches!(kind.kind, "ResourceQuota" | "Pod" | "Service")
            {
                self.add(Work::Quota(name.namespace.clone()));
            }
        }
        let value = change.object.value();
        self.garbage(store, change, &value);
        if workloads {
            self.workloads(store, kind, name, gone, &value);
        }
    }

    fn garbage(&mut self, store: &Store, change: &Change, value: &Value) {
        let (kind, name) = (change.kind, &change.object.name);
        let owners = list(value, &["metadata", "ownerReferences"]);
        match change.happened {
            Happened::Deleted => {
                self.add(Work::Orphans(change.object.uid.clone()));
                for owner in owners {
                    if let Some((kind, name)) = store.locate(text(owner, &["uid"])) {
                        self.add(Work::Finalize(kind.id, name));
                    }
                }
            }
            Happened::Added if !owners.is_empty() => self.add(Work::Ownerless(kind.id, name.clone())),
            _ => {}
        }
        if object::is_deleting(value) && change.happened != Happened::Deleted {
            self.add(Work::Finalize(kind.id, name.clone()));
        }
    }

    fn workloads(&mut self, store: &Store, kind: &'static Kind, name: &Name, gone: bool, value: &Value) {
        match kind.kind {
            "Pod" => {
                if !gone {
                    self.add(Work::Pod(name.clone()));
                }
                self.all(store, kinds::service(), &name.namespace, Work::Endpoints);
                if gone {
                    self.retry(store, &name.namespace);
                }
            }
            "Service" => self.add(Work::Endpoints(name.clone())),
            "Node" => {
                self.add(Work::Node(name.name.clone()));
                self.add(Work::Schedule);
                self.all(store, kinds::daemon_set(), "", |n| {
                    Work::Workload(kinds::daemon_set().id, n)
                });
            }
            "ResourceQuota" | "LimitRange" => self.retry(store, &name.namespace),
            "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" if !gone => {
                self.add(Work::Workload(kind.id, name.clone()));
            }
            _ => {}
        }
        for owner in list(value, &["metadata", "ownerReferences"]) {
            if owner["controller"] == true
                && let Some(kind) = by_api_version(text(owner, &["apiVersion"]), text(owner, &["kind"]))
            {
                self.add(Work::Workload(
                    kind.id,
                    Name::new(&name.namespace, text(owner, &["name"])),
                ));
            }
        }
    }

    /// Those that may have been refused pods look again.
    fn retry(&mut self, store: &Store, namespace: &str) {
        for kind in [
            kinds::replica_set(),
            kinds::stateful_set(),
            kinds::daemon_set(),
            kinds::job(),
        ] {
            self.all(store, kind, namespace, |n| Work::Workload(kind.id, n));
        }
    }

    fn all(&mut self, store: &Store, kind: &'static Kind, namespace: &str, work: impl Fn(Name) -> Work) {
        for stored in store.list(kind, namespace, None) {
            self.add(work(stored.name.clone()));
        }
    }
}
