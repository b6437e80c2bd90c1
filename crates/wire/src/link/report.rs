//! Reports of tenants, and heartbeats.
//!
//! The two sides do not compare clocks: evidence travels as its age, and each side counts back from its own now.

use std::time::Duration;

use berth_model::{
    Generation, Health, Revision, StorePoint, TenantReport, Term, Timestamp, condition::clipped,
    report::ApplyState,
};
use berth_proto::agent;

use super::{LinkError, digest, name};
use crate::{time, words};

/// A report, sent at `now` by the clock that `observed_at` was read from, after what the hub numbered `answers` was heard.
#[must_use]
pub fn report_to_proto(report: &TenantReport, now: Timestamp, answers: u64) -> agent::Report {
    let (state, reason, message) = match &report.apply {
        ApplyState::Applying { waiting_for } => ("applying", String::new(), waiting_for.clone()),
        ApplyState::Applied => ("applied", String::new(), String::new()),
        ApplyState::Failed { reason, message } => ("failed", reason.clone(), message.clone()),
        ApplyState::Withdrawing { waiting_for } => ("withdrawing", String::new(), waiting_for.clone()),
        // The same word as above, which an older hub knows too.
        ApplyState::WithdrawFailed { reason, message } => ("withdrawing", reason.clone(), message.clone()),
        ApplyState::Withdrawn => ("withdrawn", String::new(), String::new()),
    };
    agent::Report {
        tenant: report.tenant.to_string(),
        tenant_uid: report.uid.to_string(),
        generation: report.generation.0,
        digest: report.digest.to_string(),
        apply_state: state.into(),
        apply_reason: reason,
        apply_message: message,
        health: report.health.state.as_str().into(),
        health_message: report.health.message.clone(),
        evidence_age: Some(time::span_to_proto(age(report.observed_at, now))),
        answers,
    }
}

/// Reads a report that came at `now`; `observed_at` is by the same clock as `now`. Without an age the evidence is as old as
/// time, so that nothing reads fresher than it is. A health that is not known here is `Unknown`.
///
/// # Errors
/// [`LinkError::Name`], and [`LinkError::Word`] for a state of applying that is not known here.
pub fn report_from_proto(report: &agent::Report, now: Timestamp) -> Result<TenantReport, LinkError> {
    let message = clipped(report.apply_message.clone());
    let apply = match report.apply_state.as_str() {
        "applying" => ApplyState::Applying { waiting_for: message },
        "applied" => ApplyState::Applied,
        "failed" => ApplyState::Failed {
            reason: clipped(report.apply_reason.clone()),
            message,
        },
        "withdrawing" if report.apply_reason.is_empty() => ApplyState::Withdrawing { waiting_for: message },
        "withdrawing" => ApplyState::WithdrawFailed {
            reason: clipped(report.apply_reason.clone()),
            message,
        },
        "withdrawn" => ApplyState::Withdrawn,
        word => {
            return Err(LinkError::Word {
                message: "Report",
                field: "apply_state",
                word: word.to_owned(),
            });
        }
    };
    let observed_at = report.evidence_age.as_ref().map_or(Timestamp::UNIX_EPOCH, |age| {
        before(now, time::span_from_proto(age))
    });
    Ok(TenantReport {
        tenant: name("Report", &report.tenant)?,
        uid: name("Report", &report.tenant_uid)?,
        generation: Generation(report.generation),
        digest: digest("Report", &report.digest)?,
        apply,
        health: Health::new(
            words::find(&words::HEALTH_STATES, &report.health).unwrap_or_default(),
            clipped(report.health_message.clone()),
        ),
        observed_at,
    })
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The agent's clock, for people who wonder about it.
    pub now: Option<Timestamp>,
    /// How long ago the API server last answered; none when the agent did not say, which counts as never.
    pub api_age: Option<Duration>,
    /// Why it does not answer; empty when it does.
    pub api_error: String,
    /// The number of what the hub said last before it; 0 when the agent does not say.
    pub answers: u64,
}

/// A heartbeat.
#[must_use]
pub fn heartbeat_to_proto(heartbeat: &Heartbeat) -> agent::Heartbeat {
    agent::Heartbeat {
        now: heartbeat.now.map(time::to_proto),
        api_age: heartbeat.api_age.map(time::span_to_proto),
        api_error: heartbeat.api_error.clone(),
        answers: heartbeat.answers,
    }
}

/// How far a store had come.
#[must_use]
pub const fn store_point_to_proto(point: StorePoint) -> agent::StorePoint {
    agent::StorePoint {
        term: point.term.0,
        revision: point.revision.0,
        incarnation: point.incarnation,
        command_term: point.command_term.0,
        writes: point.writes,
    }
}

/// Reads how far a store had come.
#[must_use]
pub const fn store_point_from_proto(point: &agent::StorePoint) -> StorePoint {
    StorePoint {
        term: Term(point.term),
        revision: Revision(point.revision),
        incarnation: point.incarnation,
        command_term: Term(point.command_term),
        writes: point.writes,
    }
}

/// Reads a heartbeat.
#[must_use]
pub fn heartbeat_from_proto(heartbeat: &agent::Heartbeat) -> Heartbeat {
    Heartbeat {
        now: heartbeat.now.as_ref().and_then(time::from_proto),
        api_age: heartbeat.api_age.as_ref().map(time::span_from_proto),
        api_error: clipped(heartbeat.api_error.clone()),
        answers: heartbeat.answers,
    }
}

fn age(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO)
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    proptest! {
        #[test]
        fn a_report_survives(report in testing::report(), age in 0_i64..10_000) {
            let sent = report.observed_at.checked_add(Duration::from_secs(age.unsigned_abs())).unwrap();
            let back = report_from_proto(&report_to_proto(&report, sent, 0), sent);
            prop_assert_eq!(back, Ok(report));
        }
    }

    #[test]
    fn evidence_is_as_old_as_it_was_whatever_the_clocks_say() {
        let report = testing::a_report(at(1_000));
        let sent = report_to_proto(&report, at(1_005), 0);
        assert_eq!(
            report_from_proto(&sent, at(900_000)).unwrap().observed_at,
            at(899_995)
        );
    }

    #[test]
    fn evidence_without_an_age_is_never_fresh() {
        let sent = agent::Report {
            evidence_age: None,
            ..report_to_proto(&testing::a_report(at(1_000)), at(1_000), 0)
        };
        assert_eq!(
            report_from_proto(&sent, at(1_000)).unwrap().observed_at,
            Timestamp::UNIX_EPOCH
        );
    }

    #[test]
    fn a_state_that_is_not_known_is_refused_and_a_health_that_is_not_known_is_unknown() {
        let fine = report_to_proto(&testing::a_report(at(1_000)), at(1_000), 0);
        let health = agent::Report {
            health: "Splendid".into(),
            ..fine.clone()
        };
        assert_eq!(
            report_from_proto(&health, at(1)).unwrap().health.state,
            berth_model::HealthState::Unknown
        );
        let state = agent::Report {
            apply_state: "dancing".into(),
            ..fine
        };
        assert!(matches!(
            report_from_proto(&state, at(1)),
            Err(LinkError::Word {
                field: "apply_state",
                ..
            })
        ));
    }

    #[test]
    fn a_heartbeat_survives() {
        let heartbeat = Heartbeat {
            now: Some(at(5)),
            api_age: Some(Duration::from_millis(1500)),
            api_error: "refused".into(),
            answers: 7,
        };
        assert_eq!(heartbeat_from_proto(&heartbeat_to_proto(&heartbeat)), heartbeat);
    }
}
