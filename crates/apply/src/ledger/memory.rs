//! A ledger in memory, for tests of what uses one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use berth_model::{TenantId, Term};

use super::{Head, Ledger, LedgerError, Memory, Record};
use crate::breaker::BreakerMemory;

/// Remembers until the last copy is dropped. Copies share what they remember.
#[derive(Clone, Debug, Default)]
pub struct MemoryLedger(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    term: Term,
    records: BTreeMap<TenantId, Record>,
    breaker: BreakerMemory,
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn load(&self) -> Result<Memory, LedgerError> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let term = held
            .records
            .values()
            .map(|record| record.head.term)
            .fold(held.term, Term::max);
        Ok(Memory {
            term,
            records: held.records.values().cloned().collect(),
            breaker: held.breaker.clone(),
            damaged: Vec::new(),
        })
    }

    async fn remember(&self, record: &Record) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.records.insert(record.head.tenant.clone(), record.clone());
        Ok(())
    }

    async fn settle(&self, head: &Head) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = held.records.get_mut(&head.tenant) {
            record.head = head.clone();
        }
        Ok(())
    }

    async fn forget(&self, tenant: &TenantId, term: Term) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.term = held.term.max(term);
        held.records.remove(tenant);
        Ok(())
    }

    async fn keep_breaker(&self, breaker: &BreakerMemory) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.breaker = breaker.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn it_keeps_every_promise_of_a_ledger() {
        let ledger = super::MemoryLedger::default();
        super::super::conformance::run(|| ledger.clone()).await;
    }
}
