//! The hub's own metrics, read when they are asked for.

use std::{collections::BTreeMap, sync::Arc};

use berth_control::{Board, Sessions};
use berth_model::{ConditionKind, Truth};
use berth_runtime::{Clock, Metrics};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};

use crate::{audit::Audit, backup::Backing, lead::Lead};

/// Adds the hub's metrics to what `/metrics` shows.
pub(crate) fn register(
    metrics: &Metrics,
    board: Board,
    sessions: Sessions,
    lead: Lead,
    backing: Option<Arc<Backing>>,
    audit: Audit,
    clock: Arc<dyn Clock>,
) {
    metrics.register(|registry| {
        registry.register_collector(Box::new(Fleet {
            board,
            sessions,
            lead,
            backing,
            audit,
            clock,
        }));
    });
}

struct Fleet {
    board: Board,
    sessions: Sessions,
    lead: Lead,
    backing: Option<Arc<Backing>>,
    audit: Audit,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl Collector for Fleet {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut ready: BTreeMap<&'static str, i64> = [Truth::True, Truth::False, Truth::Unknown]
            .into_iter()
            .map(|truth| (truth.as_str(), 0))
            .collect();
        for snapshot in self.board.snapshot().0 {
            let truth = snapshot
                .status
                .as_ref()
                .and_then(|status| status.conditions.get(ConditionKind::Ready))
                .map_or(Truth::Unknown, |condition| condition.status);
            *ready.entry(truth.as_str()).or_default() += 1;
        }
        let gauge = ConstGauge::new(0_i64);
        let mut family = encoder.encode_descriptor(
            "tenants",
            "Tenants by the status of their Ready condition",
            None,
            gauge.metric_type(),
        )?;
        for (truth, count) in ready {
            ConstGauge::new(count).encode(family.encode_family(&[("ready", truth)])?)?;
        }
        let connected = i64::try_from(self.sessions.connected()).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(connected);
        gauge.encode(encoder.encode_descriptor(
            "sessions",
            "Agents that are connected",
            None,
            gauge.metric_type(),
        )?)?;
        let leading = self.lead.leading();
        let standing = leading
            .as_ref()
            .map(|leading| leading.fleet.standing())
            .unwrap_or_default();
        for (name, help, value) in [
            ("leading", "Whether this hub leads", i64::from(leading.is_some())),
            (
                "term",
                "Term in which this hub leads, 0 while it follows",
                leading
                    .as_ref()
                    .map_or(0, |leading| i64::try_from(leading.term.0).unwrap_or(i64::MAX)),
            ),
            (
                "observing",
                "Whether this hub leads and does not act, because its store was restored or set back, or an agent knows a higher term",
                i64::from(standing.observing || standing.fence.is_some()),
            ),
            (
                "store_trouble",
                "Whether the store does not do as asked at the moment",
                i64::from(standing.trouble.is_some()),
            ),
            (
                "unreadable_records",
                "Records that were overwritten with something that cannot be read since this hub leads; no hub can start with them",
                i64::try_from(standing.unreadable.len()).unwrap_or(i64::MAX),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let gauge = ConstGauge::new(1_i64);
        let mut family = encoder.encode_descriptor(
            "breaker_tripped",
            "Clusters whose mass-delete breaker is open: no more tenants are taken away until an operator releases it",
            None,
            gauge.metric_type(),
        )?;
        for cluster in self.board.tripped() {
            gauge.encode(family.encode_family(&[("cluster", cluster.as_str())])?)?;
        }
        if let Some(status) = self.backing.as_ref().and_then(|backing| backing.status()) {
            let age = status.age(self.clock.now());
            let age = age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            for (name, help, value) in [
                (
                    "backup_age_seconds",
                    "Time since the backup last held everything that was acknowledged, -1 before it first did",
                    age,
                ),
                (
                    "backup_failures",
                    "How often writing the backup has failed since this hub leads",
                    i64::try_from(status.failures).unwrap_or(i64::MAX),
                ),
            ] {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
            }
        }
        let log = self.audit.state();
        for (name, help, value) in [
            (
                "audit_trouble",
                "Whether the audit log cannot be written at the moment, so that nothing is changed",
                i64::from(log.trouble.is_some()),
            ),
            (
                "audit_lines",
                "Number of the audit log's last line",
                i64::try_from(log.last).unwrap_or(i64::MAX),
            ),
            (
                "audit_lost_events",
                "Events of what had happened already that the audit log does not have, because it could not be written for too long",
                i64::try_from(self.audit.lost()).unwrap_or(i64::MAX),
            ),
            (
                "audit_webhook_lines",
                "Number of the last line that the audit log's webhook has taken, 0 without one",
                i64::try_from(self.audit.sent()).unwrap_or(i64::MAX),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let memory =
            i64::try_from(berth_runtime::memory::resident().unwrap_or_default().0).unwrap_or(i64::MAX);
        let gauge = ConstGauge::new(memory);
        gauge.encode(encoder.encode_descriptor(
            "resident_memory_bytes",
            "Memory the hub has resident",
            None,
            gauge.metric_type(),
        )?)
    }
}
