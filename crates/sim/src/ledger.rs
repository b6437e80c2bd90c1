//! An agent's ledger that outlives its process: what was acknowledged is kept, what was under way when the process died may be lost.

use async_trait::async_trait;
use berth_apply::{
    BreakerMemory,
    ledger::{Head, Ledger, LedgerError, Memory, MemoryLedger, Record},
};
use berth_model::{ClusterName, TenantId, Term};

use crate::{
    chance::Dice,
    gate::Gate,
    history::{Event, History},
};

/// The ledger of one cluster as one process of its agent reaches it.
#[derive(Clone)]
pub struct Reached {
    /// What is kept.
    pub kept: MemoryLedger,
    /// The process.
    pub gate: Gate,
    /// Its cluster.
    pub cluster: ClusterName,
    /// Chance.
    pub dice: Dice,
    /// What happened.
    pub history: History,
}

impl Reached {
    async fn there(&self) {
        self.gate.pass().await;
        tokio::time::sleep(self.dice.millis(0, 8)).await;
        if self.gate.dead() && self.dice.percent(50) {
            std::future::pending::<()>().await;
        }
    }

    async fn back(&self) {
        tokio::time::sleep(self.dice.millis(0, 8)).await;
        self.gate.pass().await;
    }

    fn note(&self, head: &Head) {
        self.history.note(Event::Remembered {
            cluster: self.cluster.clone(),
            tenant: head.tenant.clone(),
            uid: head.uid.clone(),
            generation: head.generation,
            digest: head.digest.clone(),
            term: head.term,
        });
    }
}

#[async_trait]
impl Ledger for Reached {
    async fn load(&self) -> Result<Memory, LedgerError> {
        self.there().await;
        let loaded = self.kept.load().await;
        self.back().await;
        loaded
    }

    async fn remember(&self, record: &Record) -> Result<(), LedgerError> {
        self.there().await;
        self.kept.remember(record).await?;
        self.note(&record.head);
        self.back().await;
        Ok(())
    }

    async fn settle(&self, head: &Head) -> Result<(), LedgerError> {
        self.there().await;
        self.kept.settle(head).await?;
        self.note(head);
        self.back().await;
        Ok(())
    }

    async fn forget(&self, tenant: &TenantId, term: Term) -> Result<(), LedgerError> {
        self.there().await;
        self.kept.forget(tenant, term).await?;
        self.back().await;
        Ok(())
    }

    async fn keep_breaker(&self, breaker: &BreakerMemory) -> Result<(), LedgerError> {
        self.there().await;
        self.kept.keep_breaker(breaker).await?;
        self.back().await;
        Ok(())
    }
}
