//! What is told of tenants: the latest report of each, never a queue that could grow.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use berth_model::{TenantId, TenantReport, report::ApplyState};
use tokio::sync::watch;

/// Final reports of withdrawn tenants that are kept, at most.
const WITHDRAWN_KEPT: usize = 1_000;

#[derive(Debug, Default)]
struct Latest {
    sequence: u64,
    by_tenant: HashMap<TenantId, (u64, TenantReport)>,
    in_order: BTreeMap<u64, TenantId>,
}

/// The writing side.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    latest: Arc<Mutex<Latest>>,
    sequence: watch::Sender<u64>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            latest: Arc::default(),
            sequence: watch::Sender::new(0),
        }
    }

    /// Tells `report` unless the same was told before. Says whether it was news.
    pub(crate) fn tell(&self, report: TenantReport) -> bool {
        let sequence = {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, before)) = latest.by_tenant.get(&report.tenant) {
                if same(before, &report) {
                    return false;
                }
                let at = *at;
                latest.in_order.remove(&at);
            }
            latest.sequence += 1;
            let sequence = latest.sequence;
            latest.in_order.insert(sequence, report.tenant.clone());
            latest.by_tenant.insert(report.tenant.clone(), (sequence, report));
            latest.forget_long_withdrawn();
            sequence
        };
        self.sequence.send_replace(sequence);
        true
    }

    /// The latest of one tenant.
    pub(crate) fn latest(&self, tenant: &TenantId) -> Option<TenantReport> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.by_tenant.get(tenant).map(|(_, report)| report.clone())
    }

    pub(crate) fn reports(&self) -> Reports {
        Reports {
            latest: self.latest.clone(),
            news: self.sequence.subscribe(),
            seen: 0,
        }
    }
}

impl Latest {
    fn forget_long_withdrawn(&mut self) {
        let withdrawn = |latest: &Self, tenant: &TenantId| {
            latest
                .by_tenant
                .get(tenant)
                .is_some_and(|(_, report)| report.apply == ApplyState::Withdrawn)
        };
        if self.by_tenant.len() <= WITHDRAWN_KEPT {
            return;
        }
        let all: Vec<u64> = self
            .in_order
            .iter()
            .filter(|(_, t)| withdrawn(self, t))
            .map(|(at, _)| *at)
            .collect();
        for at in all.iter().take(all.len().saturating_sub(WITHDRAWN_KEPT)) {
            if let Some(tenant) = self.in_order.remove(at) {
                self.by_tenant.remove(&tenant);
            }
        }
    }
}

/// Whether two reports say the same, whenever they were made.
fn same(a: &TenantReport, b: &TenantReport) -> bool {
    a.uid == b.uid
        && a.generation == b.generation
        && a.digest == b.digest
        && a.apply == b.apply
        && a.health == b.health
}

/// The reading side: the latest report of each tenant that changed since the last look. A new one starts with all of them.
#[derive(Debug)]
pub struct Reports {
    latest: Arc<Mutex<Latest>>,
    news: watch::Receiver<u64>,
    seen: u64,
}

impl Reports {
    /// Waits until a tenant's report changed, and takes the latest of every tenant that changed since the last call.
    /// `None` when the engine is gone. Cancel-safe.
    pub async fn changed(&mut self) -> Option<Vec<TenantReport>> {
        loop {
            let news = self.take();
            if !news.is_empty() {
                return Some(news);
            }
            self.news.changed().await.ok()?;
        }
    }

    /// The same without waiting; empty when nothing changed.
    pub fn take(&mut self) -> Vec<TenantReport> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let news = latest
            .in_order
            .range(self.seen + 1..)
            .filter_map(|(_, tenant)| latest.by_tenant.get(tenant));
        let news = news.map(|(_, report)| report.clone()).collect();
        self.seen = latest.sequence;
        news
    }

    /// Starts over: the next look gives all tenants again.
    pub fn rewind(&mut self) {
        self.seen = 0;
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{Digest, Generation, Health, Timestamp, Uid};

    use super::*;

    fn report(tenant: &str, generation: u64) -> TenantReport {
        TenantReport {
            tenant: TenantId::new(tenant).unwrap(),
            uid: Uid::new("u1").unwrap(),
            generation: Generation(generation),
            digest: Digest::new("0".repeat(64)).unwrap(),
            apply: ApplyState::Applied,
            health: Health::healthy(),
            observed_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_the_latest_report_of_a_tenant_is_given() {
        let desk = Desk::new();
        let mut reports = desk.reports();
        for generation in 1..=5 {
            desk.tell(report("a", generation));
            desk.tell(report("b", generation));
        }
        let news = reports.take();
        assert_eq!(
            news.iter()
                .map(|r| (r.tenant.as_str(), r.generation.0))
                .collect::<Vec<_>>(),
            [("a", 5), ("b", 5)]
        );
        assert!(reports.take().is_empty());
        reports.rewind();
        assert_eq!(reports.take().len(), 2);
    }

    #[test]
    fn what_was_told_before_is_no_news() {
        let desk = Desk::new();
        assert!(desk.tell(report("a", 1)));
        assert!(!desk.tell(TenantReport {
            observed_at: Timestamp::MAX,
            ..report("a", 1)
        }));
    }

    #[tokio::test]
    async fn a_reader_wakes_for_news_and_ends_with_the_desk() {
        let desk = Desk::new();
        let mut reports = desk.reports();
        let reader = tokio::spawn(async move {
            (
                reports.changed().await.map(|news| news.len()),
                reports.changed().await,
            )
        });
        desk.tell(report("a", 1));
        drop(desk);
        assert!(matches!(reader.await.unwrap(), (Some(1), None)));
    }
}
