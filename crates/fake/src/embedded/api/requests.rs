//! Counting requests by verb, so that tests and benches can say "this wrote nothing".

use std::sync::atomic::{AtomicU64, Ordering};

use super::request::Verb;

/// How many requests of each verb were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Single objects read.
    pub get: u64,
    /// Lists read.
    pub list: u64,
    /// Watches opened.
    pub watch: u64,
    /// Objects created by POST.
    pub create: u64,
    /// Objects replaced by PUT.
    pub update: u64,
    /// JSON, merge and strategic merge patches.
    pub patch: u64,
    /// Server-side applies.
    pub apply: u64,
    /// Objects deleted.
    pub delete: u64,
    /// Collections deleted.
    pub delete_collection: u64,
    /// Discovery, health, versions and reviews.
    pub other: u64,
}

impl RequestCounts {
    /// Requests that ask for a change of an object, whether or not anything changed.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.create + self.update + self.patch + self.apply + self.delete + self.delete_collection
    }

    /// Requests that read objects.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.get + self.list + self.watch
    }
}

/// The live counters.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; 10]);

impl Counters {
    pub(crate) fn count(&self, verb: Verb) {
        self.0[verb as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> RequestCounts {
        let of = |verb: Verb| self.0[verb as usize].load(Ordering::Relaxed);
        RequestCounts {
            get: of(Verb::Get),
            list: of(Verb::List),
            watch: of(Verb::Watch),
            create: of(Verb::Create),
            update: of(Verb::Update),
            patch: of(Verb::Patch),
            apply: of(Verb::Apply),
            delete: of(Verb::Delete),
            delete_collection: of(Verb::DeleteCollection),
            other: of(Verb::Other),
        }
    }
}
