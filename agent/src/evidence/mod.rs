//! Evidence of isolation: when each tenant's walls are probed, by whose key that is signed, and where the latest lies until the
//! hub has it.
//!
//! [`schedule`] decides when, the engine probes, [`desk`] holds the latest of each tenant; here they are put together. Applying
//! never waits for any of it.

mod desk;
mod follow;
mod schedule;

use std::{sync::Arc, time::Duration};

use berth_apply::{Engine, NotProbed, ProbedBy};
use berth_identity::seal;
use berth_model::{Evidence, TenantId, TenantReport, report::ApplyState};
use berth_runtime::{clock::Clock, entropy};
use berth_wire::evidence::{self, EvidenceError, Sealed};
use tokio::sync::watch;

pub(crate) use desk::{Desk, Fresh};
pub(crate) use follow::follow_the_cluster;
use schedule::{Schedule, Seen};

use crate::identity::Identity;

/// Evidence of a pass, without the words about what held: for tenants of which there is more to say than one record holds.
fn briefly(mut evidence: Evidence) -> Evidence {
    for probe in &mut evidence.probes {
        if probe.outcome == berth_model::ProbeOutcome::Passed {
            probe.what.clear();
            probe.expected.clear();
            probe.seen.clear();
        }
    }
    evidence
}

/// Probes tenants whenever it is their turn, and lays what came of it on the desk. Ends only when the engine does.
pub(crate) struct Prober {
    pub(crate) engine: Engine,
    pub(crate) desk: Desk,
    pub(crate) identity: watch::Receiver<Arc<Identity>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
}

impl Prober {
    /// Probes for ever.
    pub(crate) async fn run(self) {
        let (changed, policies) = watch::channel(0);
        tokio::select! {
            biased;
            () = self.engine.watch_policies(changed) => {}
            () = self.probe_in_turn(policies) => {}
        }
    }

    async fn probe_in_turn(&self, mut policies: watch::Receiver<u64>) {
        let mut schedule = Schedule::new(self.interval);
        let mut reports = self.engine.reports();
        self.desk.open();
        loop {
            let now = self.clock.monotonic();
            if policies.has_changed().unwrap_or(false) {
                policies.borrow_and_update();
                schedule.everyone(now);
            }
            if self.desk.take_everyone() {
                schedule.everyone(now);
            }
            for tenant in self.desk.take_asked() {
                schedule.ask(&tenant, now);
            }
            if let Some(tenant) = schedule.next(now) {
                // What happens meanwhile is taken in afterwards: a pass takes a moment, and only its own tenant waits for it.
                let outcome = self.probe(&tenant).await;
                let jitter = entropy::up_to(self.interval / 5);
                schedule.done(&tenant, outcome, self.clock.monotonic(), jitter);
                note(&mut schedule, &self.desk, reports.take(), self.clock.monotonic());
                continue;
            }
            let wait = schedule
                .wake_at()
                .map_or(self.interval, |at| at.saturating_sub(now));
            tokio::select! {
                biased;
                news = reports.changed() => match news {
                    Some(news) => note(&mut schedule, &self.desk, news, self.clock.monotonic()),
                    None => return,
                },
                Ok(()) = policies.changed() => policies.mark_changed(),
                () = self.desk.asked() => {}
                () = self.clock.sleep(wait) => {}
            }
        }
    }

    async fn probe(&self, tenant: &TenantId) -> Result<(), ()> {
        let by = ProbedBy {
            agent_version: crate::VERSION.to_owned(),
            interval: self.interval,
        };
        let began = self.clock.monotonic();
        let evidence = match self.engine.probe(tenant, &by).await {
            Ok(evidence) => evidence,
            Err(error @ NotProbed::NotApplied(_)) => {
                tracing::debug!(%error, "not probed");
                return Err(());
            }
            Err(error) => {
                tracing::warn!(%tenant, error = &error as &dyn std::error::Error, "cannot probe the tenant's walls; trying again");
                return Err(());
            }
        };
        let findings = evidence.findings();
        let took = self.clock.monotonic().saturating_sub(began);
        if findings.failed > 0 {
            tracing::error!(%tenant, told = %findings.told, ?took, "a wall of the tenant does not hold");
        } else {
            tracing::debug!(%tenant, told = %findings.told, ?took, "probed");
        }
        match self
            .seal(evidence.clone())
            .or_else(|_| self.seal(briefly(evidence)))
        {
            Ok(sealed) => {
                self.desk.put(tenant.clone(), sealed, began);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%tenant, %error, "evidence cannot be signed");
                Err(())
            }
        }
    }

    fn seal(&self, evidence: Evidence) -> Result<Sealed, SealError> {
        let statement = evidence::statement(&evidence)?;
        let statement_zstd = evidence::pack(&statement)?;
        let identity = self.identity.borrow().clone();
        let signature = seal::sign(&identity.credential.key_pem, &statement)?;
        Ok(Sealed {
            statement_zstd,
            signature,
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error(transparent)]
    Key(#[from] berth_identity::key::KeyError),
}

fn note(schedule: &mut Schedule, desk: &Desk, news: Vec<TenantReport>, now: Duration) {
    for report in news {
        let seen = match report.apply {
            ApplyState::Applied => Seen::Applied(report.uid, report.generation),
            ApplyState::Applying { .. } => Seen::Applying,
            ApplyState::Failed { .. } => Seen::Stuck,
            ApplyState::Withdrawing { .. } | ApplyState::WithdrawFailed { .. } | ApplyState::Withdrawn => {
                desk.forget(&report.tenant);
                Seen::Leaving
            }
        };
        schedule.see(&report.tenant, seen, now);
    }
}
