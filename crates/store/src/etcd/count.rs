//! How many transactions of Berth's an etcd has taken. It tells an etcd that was put back to an earlier state, whatever its revisions say:
//! a restore may raise them (`--bump-revision`), and what others write to the same etcd raises them too.
//!
//! A key is written by every transaction, and etcd counts how often. Transactions that only delete are not counted, as one that finds
//! nothing to delete changes nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use etcd_client::{GetOptions, KeyValue};

use super::{election::Office, keys::Keys, link::Link};
use crate::error::StoreError;

/// As many transactions as this process knows of.
pub(super) struct Count {
    known: AtomicU64,
    office: Arc<Office>,
}

impl Count {
    /// Who finds out that etcd was put back leads no more.
    pub(super) fn new(office: Arc<Office>) -> Self {
        Self {
            known: AtomicU64::new(0),
            office,
        }
    }

    /// 0 before it knows of any. Whoever writes asks this before whether it leads: the lead goes before the count does.
    pub(super) fn known(&self) -> u64 {
        self.known.load(Ordering::Acquire)
    }

    /// etcd has taken another one, and that many in all.
    pub(super) fn taken(&self, all: u64) {
        self.known.fetch_max(all, Ordering::AcqRel);
    }

    /// etcd has taken fewer than were known: it was put back. From here on this process counts as it does.
    pub(super) fn put_back(&self, known: u64, found: u64) {
        tracing::error!(
            known,
            found,
            "etcd has taken fewer transactions than this hub knows of, so it was put back to an earlier state; this hub leads no more"
        );
        self.office.give_up();
        self.known.fetch_min(found, Ordering::AcqRel);
    }

    /// Asks etcd whether it has everything that this process knows of, and has ever had `at_least`; how many it knows of.
    ///
    /// # Errors
    /// [`StoreError::NotLeader`] when it has not: whoever goes on has to begin anew. And when it does not answer.
    pub(super) async fn check(&self, link: &Link, keys: &Keys, at_least: u64) -> Result<u64, StoreError> {
        let known = self.known().max(at_least);
        if known == 0 {
            return Ok(known);
        }
        let key = keys.writes();
        let get = |client: etcd_client::Client| async move {
            let only_key = GetOptions::new().with_keys_only();
            client.kv_client().get(key, Some(only_key)).await
        };
        let found = link.ask("count the transactions", get).await?;
        let found = counted(found.kvs().first());
        if found < known {
            self.put_back(known, found);
            return Err(StoreError::NotLeader);
        }
        Ok(known)
    }
}

/// How many transactions the key stands for.
pub(super) fn counted(found: Option<&KeyValue>) -> u64 {
    found.map_or(0, |kv| u64::try_from(kv.version()).unwrap_or_default())
}
