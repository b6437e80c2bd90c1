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
pub struct MemoryLedger(Arc<Mutex<(Term, BTreeMap<TenantId, Record>, BreakerMemory)>>);

#[async_trait]
impl Ledger for MemoryLedger {
    async fn load(&self) -> Result<Memory, LedgerError> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let term = held
            .1
            .values()
            .map(|record| record.head.term)
            .fold(held.0, Term::max);
        Ok(Memory {
            term,
            records: held.1.values().cloned().collect(),
            breaker: held.2.clone(),
            damaged: Vec::new(),
        })
    }

    async fn remember(&self, record: &Record) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.1.insert(record.head.tenant.clone(), record.clone());
        Ok(())
    }

    async fn settle(&self, head: &Head) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = held.1.get_mut(&head.tenant) {
            record.head = head.clone();
        }
        Ok(())
    }

    async fn forget(&self, tenant: &TenantId, term: Term) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.0 = held.0.max(term);
        held.1.remove(tenant);
        Ok(())
    }

    async fn keep_breaker(&self, breaker: &BreakerMemory) -> Result<(), LedgerError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.2 = breaker.clone();
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
