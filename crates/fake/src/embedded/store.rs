//! The objects of one cluster, under one counter of revisions, with a bounded history of changes to watch.
//!
//! Objects are kept as the bytes clients get, so reading and watching cost no encoding. Knows nothing of what the objects mean.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::journal::Journal;
use super::kinds::{Kind, kinds};
use super::object;

/// How many changes are remembered for watchers.
const HISTORY: usize = 1024;

/// Where an object is, within its kind. The namespace is empty for cluster-wide kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Name {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(crate) fn of(value: &Value) -> Self {
        Self::new(object::namespace(value), object::name(value))
    }
}

/// One version of an object.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) name: Name,
    pub(crate) revision: u64,
    pub(crate) uid: String,
    pub(crate) labels: Box<[(String, String)]>,
    owners: Box<[String]>,
    pub(crate) json: Bytes,
}

impl Stored {
    fn new(value: &Value, revision: u64) -> Self {
        let labels = object::strings(&value["metadata"]["labels"]);
        let owners = object::list(value, &["metadata", "ownerReferences"]).iter();
        Self {
            name: Name::of(value),
            revision,
            uid: object::uid(value).to_owned(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            owners: owners.map(|o| object::text(o, &["uid"]).to_owned()).collect(),
            json: Bytes::from(value.to_string()),
        }
    }

    /// The object itself.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or_default()
    }
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    Added,
    Modified,
    Deleted,
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) kind: &'static Kind,
    pub(crate) happened: Happened,
    pub(crate) object: Arc<Stored>,
    pub(crate) previous: Option<Arc<Stored>>,
}

/// The objects of one cluster.
#[derive(Debug)]
pub(crate) struct Store {
    shelves: Vec<BTreeMap<Name, Arc<Stored>>>,
    dependents: HashMap<String, BTreeSet<(usize, Name)>>,
    uids: HashMap<String, (usize, Name)>,
    revision: u64,
    history: VecDeque<Change>,
    changed: watch::Sender<u64>,
    changed_kind: Vec<watch::Sender<u64>>,
    journal: Option<Journal>,
}

impl Store {
    pub(crate) fn new(journal: Option<Journal>) -> Self {
        Self {
            shelves: kinds().iter().map(|_| BTreeMap::new()).collect(),
            dependents: HashMap::new(),
            uids: HashMap::new(),
            revision: 1,
            history: VecDeque::new(),
            changed: watch::Sender::new(1),
            changed_kind: kinds().iter().map(|_| watch::Sender::new(1)).collect(),
            journal,
        }
    }

    /// The revision of the latest change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Wakes at every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes at every change of one kind.
    pub(crate) fn changes_of(&self, kind: &Kind) -> watch::Receiver<u64> {
        self.changed_kind[kind.id].subscribe()
    }

    pub(crate) fn get(&self, kind: &Kind, name: &Name) -> Option<&Arc<Stored>> {
        self.shelves[kind.id].get(name)
    }

    pub(crate) fn read(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Value> {
        self.get(kind, &Name::new(namespace, name)).map(|s| s.value())
    }

    /// The objects of one kind in name order: of one namespace, or of all when it is empty; after a name, when given.
    pub(crate) fn list<'s>(
        &'s self,
        kind: &Kind,
        namespace: &'s str,
        after: Option<Name>,
    ) -> impl Iterator<Item = &'s Arc<Stored>> {
        let start = match after {
            Some(name) => Bound::Excluded(name),
            None => Bound::Included(Name::new(namespace, "")),
        };
        self.shelves[kind.id]
            .range((start, Bound::Unbounded))
            .take_while(move |(n, _)| namespace.is_empty() || n.namespace == namespace)
            .map(|(_, stored)| stored)
    }

    /// The objects that name this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<(&'static Kind, Name)> {
        let found = self.dependents.get(uid).into_iter().flatten();
        found.map(|(id, name)| (&kinds()[*id], name.clone())).collect()
    }

    /// Whether an object with this uid exists.
    pub(crate) fn exists(&self, uid: &str) -> bool {
        self.uids.contains_key(uid)
    }

    /// Where the object with this uid is.
    pub(crate) fn locate(&self, uid: &str) -> Option<(&'static Kind, Name)> {
        self.uids.get(uid).map(|(id, name)| (&kinds()[*id], name.clone()))
    }

    /// Stores a new version of an object and gives it the next revision.
    pub(crate) fn put(&mut self, kind: &'static Kind, value: &mut Value) -> Arc<Stored> {
        self.revision += 1;
        object::child(value, "metadata").insert("resourceVersion".into(), self.revision.to_string().into());
        let stored = Arc::new(Stored::new(value, self.revision));
        let previous = self.place(kind, stored.clone());
        if let Some(journal) = &mut self.journal {
            journal.put(kind, &stored.json);
        }
        let happened = if previous.is_some() {
            Happened::Modified
        } else {
            Happened::Added
        };
        self.record(Change {
            revision: self.revision,
            kind,
            happened,
            object: stored.clone(),
            previous,
        });
        stored
    }

    /// Removes an object; the returned last version carries the revision of its removal.
    pub(crate) fn remove(&mut self, kind: &'static Kind, name: &Name) -> Option<Value> {
        let previous = self.shelves[kind.id].remove(name)?;
        self.forget(kind, &previous);
        self.revision += 1;
        let mut value = previous.value();
        object::child(&mut value, "metadata")
            .insert("resourceVersion".into(), self.revision.to_string().into());
        let stored = Arc::new(Stored::new(&value, self.revision));
        if let Some(journal) = &mut self.journal {
            journal.remove(kind, name, self.revision);
        }
        let happened = Happened::Deleted;
        self.record(Change {
            revision: self.revision,
            kind,
            happened,
            object: stored,
            previous: Some(previous),
        });
        Some(value)
    }

    /// Puts a version back as it was, without making a change of it.
    pub(crate) fn restore(&mut self, kind: &'static Kind, value: &Value) {
        let revision = object::text(value, &["metadata", "resourceVersion"])
            .parse()
            .unwrap_or(0);
        self.revision = self.revision.max(revision);
        self.place(kind, Arc::new(Stored::new(value, revision)));
    }

    /// Takes out again what was put back.
    pub(crate) fn unrestore(&mut self, kind: &'static Kind, name: &Name, revision: u64) {
        self.revision = self.revision.max(revision);
        if let Some(previous) = self.shelves[kind.id].remove(name) {
            self.forget(kind, &previous);
        }
    }

    /// Writes further changes into this journal.
    pub(crate) fn keep(&mut self, journal: Journal) {
        self.journal = Some(journal);
    }

    /// Every object of every kind.
    pub(crate) fn everything(&self) -> impl Iterator<Item = (&'static Kind, &Arc<Stored>)> {
        kinds()
            .iter()
            .flat_map(|kind| self.shelves[kind.id].values().map(move |stored| (kind, stored)))
    }

    /// The oldest revision from which changes can still be told.
    pub(crate) fn oldest(&self) -> u64 {
        self.history
            .front()
            .map_or(self.revision, |change| change.revision - 1)
    }

    /// The changes after a revision; `None` when they are no longer all known.
    pub(crate) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &Change>> {
        if revision < self.oldest() {
            return None;
        }
        let start = usize::try_from(revision - self.oldest()).unwrap_or(usize::MAX);
        Some(self.history.iter().skip(start.min(self.history.len())))
    }

    fn place(&mut self, kind: &'static Kind, stored: Arc<Stored>) -> Option<Arc<Stored>> {
        let previous = self.shelves[kind.id].insert(stored.name.clone(), stored.clone());
        if let Some(previous) = &previous {
            self.forget(kind, previous);
        }
        for owner in &stored.owners {
            self.dependents
                .entry(owner.clone())
                .or_default()
                .insert((kind.id, stored.name.clone()));
        }
        self.uids
            .insert(stored.uid.clone(), (kind.id, stored.name.clone()));
        previous
    }

    fn forget(&mut self, kind: &Kind, stored: &Stored) {
        for owner in &stored.owners {
            if let Some(set) = self.dependents.get_mut(owner) {
                set.remove(&(kind.id, stored.name.clone()));
                if set.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        self.uids.remove(&stored.uid);
    }

    fn record(&mut self, change: Change) {
        let (revision, kind) = (change.revision, change.kind.id);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(change);
        self.changed_kind[kind].send_replace(revision);
        self.changed.send_replace(revision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::kinds;
    use serde_json::json;

    fn config_map(name: &str) -> Value {
        json!({"metadata": {"namespace": "default", "name": name, "uid": name}})
    }

    #[test]
    fn changes_older_than_the_history_are_told_as_gone() {
        let mut store = Store::new(None);
        let start = store.revision();
        for _ in 0..=HISTORY {
            store.put(kinds::config_map(), &mut config_map("a"));
        }
        assert!(store.since(start).is_none());
        assert_eq!(store.since(store.oldest()).map(Iterator::count), Some(HISTORY));
        assert_eq!(store.since(store.revision()).map(Iterator::count), Some(0));
    }

    #[test]
    fn a_removal_has_a_revision_of_its_own() {
        let mut store = Store::new(None);
        let put = store.put(kinds::config_map(), &mut config_map("a")).revision;
        let removed = store
            .remove(kinds::config_map(), &Name::new("default", "a"))
            .expect("it was there");
        assert_eq!(removed["metadata"]["resourceVersion"], (put + 1).to_string());
        assert!(!store.exists("a"));
    }
}
