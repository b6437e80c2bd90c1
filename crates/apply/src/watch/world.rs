//! The memory of what the watches showed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use berth_model::{TenantId, label};

use crate::{
    health::Verdict,
    object::{Kind, ObjectRef, tenant_of_namespace},
    plan::Sight,
    request::Metadata,
};

/// Deleted objects that are remembered as such in one namespace, at most.
const MOST_GONE: usize = 512;

/// One object as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its version, or that of its end.
    pub(crate) version: u64,
    pub(crate) fingerprint: u64,
    pub(crate) uid: Box<str>,
    /// It carries a tenant's labels.
    pub(crate) labelled: bool,
    pub(crate) deleting: bool,
    pub(crate) gone: bool,
    pub(crate) verdict: Option<Box<Verdict>>,
}

impl Seen {
    pub(crate) fn new(metadata: &Metadata, verdict: Verdict) -> Self {
        Self {
            version: metadata.version(),
            fingerprint: metadata.fingerprint(),
            uid: metadata.uid.as_str().into(),
            labelled: metadata.label(label::TENANT).is_some(),
            deleting: metadata.deletion_timestamp.is_some(),
            gone: false,
            verdict: (verdict != Verdict::default()).then(|| Box::new(verdict)),
        }
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// By namespace.
    homes: BTreeMap<Box<str>, BTreeMap<ObjectRef, Seen>>,
    /// How far the watch of each kind has come; none before its first complete look.
    reached: BTreeMap<Kind, u64>,
    /// Kinds that can no longer be looked at: what was seen of them is old.
    lost: BTreeSet<Kind>,
}

/// What is there, as far as it was looked at.
#[derive(Debug, Default)]
pub(crate) struct World(Mutex<Inner>);

impl World {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one sight in. `false` when it is older than what is known, or nothing new.
    pub(crate) fn put(&self, object: &ObjectRef, seen: Seen) -> bool {
        let mut inner = self.inner();
        if let Some(reached) = inner.reached.get_mut(&object.kind()) {
            *reached = (*reached).max(seen.version);
        }
        let home = inner.homes.entry(object.home().into()).or_default();
        if home
            .get(object)
            .is_some_and(|known| known.version > seen.version || *known == seen)
        {
            return false;
        }
        home.insert(object.clone(), seen);
        true
    }

    /// An object ended with `version`. Its end is remembered where it was ours, so that it can be told from "not yet seen".
    pub(crate) fn end(&self, object: &ObjectRef, version: u64) -> bool {
        let mut inner = self.inner();
        if let Some(reached) = inner.reached.get_mut(&object.kind()) {
            *reached = (*reached).max(version);
        }
        inner.end(object, version)
    }

    /// The watch has come to `version` with nothing to tell.
    pub(crate) fn advance(&self, kind: Kind, version: u64) {
        if let Some(reached) = self.inner().reached.get_mut(&kind) {
            *reached = (*reached).max(version);
        }
    }

    /// A complete look at a kind, as of `version`: what was known of it and is not in `present` has ended. Returns that.
    pub(crate) fn complete(&self, kind: Kind, version: u64, present: &BTreeSet<ObjectRef>) -> Vec<ObjectRef> {
        let mut inner = self.inner();
        let missing: Vec<ObjectRef> = inner
            .homes
            .values()
            .flatten()
            .filter(|(object, seen)| object.kind() == kind && !seen.gone && !present.contains(*object))
            .map(|(object, _)| object.clone())
            .collect();
        let missing = missing
            .into_iter()
            .filter(|object| inner.end(object, version))
            .collect();
        let reached = inner.reached.entry(kind).or_default();
        *reached = (*reached).max(version);
        inner.lost.remove(&kind);
        missing
    }

    /// A kind can no longer be looked at. `false` when that is known.
    pub(crate) fn lose(&self, kind: Kind) -> bool {
        self.inner().lost.insert(kind)
    }

    /// The first of these kinds that can no longer be looked at.
    pub(crate) fn lost(&self, kinds: &BTreeSet<Kind>) -> Option<Kind> {
        self.inner().lost.intersection(kinds).next().copied()
    }

    /// One object as last seen; what has ended is not there.
    pub(crate) fn get(&self, object: &ObjectRef) -> Option<Seen> {
        self.inner()
            .homes
            .get(object.home())?
            .get(object)
            .filter(|seen| !seen.gone)
            .cloned()
    }

    /// How an object looks, for comparing.
    pub(crate) fn sight(&self, object: &ObjectRef) -> Sight {
        let inner = self.inner();
        match inner.homes.get(object.home()).and_then(|home| home.get(object)) {
            None => Sight::Unseen(inner.reached.get(&object.kind()).copied()),
            Some(seen) if seen.gone => Sight::Gone(seen.version),
            Some(seen) => Sight::There {
                version: seen.version,
                fingerprint: seen.fingerprint,
            },
        }
    }

    /// Whether every one of these kinds was looked at completely.
    pub(crate) fn has_looked_at(&self, kinds: impl IntoIterator<Item = Kind>) -> bool {
        let inner = self.inner();
        kinds.into_iter().all(|kind| inner.reached.contains_key(&kind))
    }

    /// What is in these namespaces, with a verdict.
    pub(crate) fn judged<T>(
        &self,
        homes: &BTreeSet<&str>,
        mut each: impl FnMut(&ObjectRef, &Seen) -> Option<T>,
    ) -> Vec<T> {
        let inner = self.inner();
        let homes = homes.iter().filter_map(|home| inner.homes.get(*home));
        homes
            .flatten()
            .filter(|(_, seen)| !seen.gone)
            .filter_map(|(object, seen)| each(object, seen))
            .collect()
    }

    /// Forgets namespaces that no tenant has any more.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        self.inner()
            .homes
            .retain(|home, _| tenant_of_namespace(home).as_ref() != Some(tenant));
    }
}

impl Inner {
    fn end(&mut self, object: &ObjectRef, version: u64) -> bool {
        let Some(home) = self.homes.get_mut(object.home()) else {
            return false;
        };
        let Some(seen) = home.get_mut(object) else {
            return false;
        };
        if seen.gone || seen.version > version {
            return false;
        }
        if !seen.labelled {
            home.remove(object);
            return true;
        }
        seen.gone = true;
        seen.version = version;
        seen.verdict = None;
        let gone = home.values().filter(|seen| seen.gone).count();
        if gone > MOST_GONE {
            let oldest = home
                .iter()
                .filter(|(_, seen)| seen.gone)
                .min_by_key(|(_, seen)| seen.version);
            if let Some(oldest) = oldest.map(|(object, _)| object.clone()) {
                home.remove(&oldest);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> ObjectRef {
        ObjectRef::new(Kind::NetworkPolicy, Some("t-a"), name).unwrap()
    }

    fn seen(version: u64) -> Seen {
        let metadata = Metadata {
            resource_version: version.to_string(),
            labels: [(label::TENANT.to_owned(), "a".to_owned())].into(),
            ..Metadata::default()
        };
        Seen::new(&metadata, Verdict::default())
    }

    #[test]
    fn an_older_sight_never_replaces_a_newer_one() {
        let world = World::default();
        assert!(world.put(&object("x"), seen(5)));
        assert!(!world.put(&object("x"), seen(4)));
        assert!(!world.end(&object("x"), 4));
        assert!(world.end(&object("x"), 6));
        assert_eq!(world.sight(&object("x")), Sight::Gone(6));
        assert!(world.put(&object("x"), seen(7)));
        assert!(world.get(&object("x")).is_some());
    }

    #[test]
    fn a_complete_look_ends_what_it_does_not_show() {
        let world = World::default();
        assert_eq!(world.sight(&object("z")), Sight::Unseen(None));
        world.put(&object("x"), seen(1));
        world.put(&object("y"), seen(9));
        let missing = world.complete(Kind::NetworkPolicy, 5, &BTreeSet::new());
        assert_eq!(missing, [object("x")], "y was seen after that look");
        assert_eq!(world.sight(&object("z")), Sight::Unseen(Some(5)));
    }

    #[test]
    fn ends_are_remembered_in_bounds() {
        let world = World::default();
        for at in 0..2_000 {
            let object = object(&format!("x{at}"));
            world.put(&object, seen(at));
            world.end(&object, at + 1);
        }
        assert_eq!(world.inner().homes["t-a"].len(), MOST_GONE);
    }
}
