//! Evidence of isolation on its way to the hub, and the question for it.
//!
//! As with reports, the two sides do not compare clocks: evidence travels with its age.

use std::time::Duration;

use berth_model::{TenantId, Uid};
use berth_proto::agent;

use super::{LinkError, name};
use crate::{evidence::Sealed, time};

/// Evidence that is `age` old.
#[must_use]
pub fn evidence_to_proto(sealed: &Sealed, age: Option<Duration>) -> agent::EvidenceReport {
    agent::EvidenceReport {
        statement_zstd: sealed.statement_zstd.clone(),
        signature: sealed.signature.clone(),
        evidence_age: age.map(time::span_to_proto),
    }
}

/// Reads evidence and its age; none when the agent did not say, which counts as too old to be believed.
#[must_use]
pub fn evidence_from_proto(report: &agent::EvidenceReport) -> (Sealed, Option<Duration>) {
    let sealed = Sealed {
        statement_zstd: report.statement_zstd.clone(),
        signature: report.signature.clone(),
    };
    (sealed, report.evidence_age.as_ref().map(time::span_from_proto))
}

/// The question to probe a tenant now.
#[must_use]
pub fn probe_to_proto(tenant: &TenantId, uid: &Uid) -> agent::ProbeTenant {
    agent::ProbeTenant {
        tenant: tenant.to_string(),
        tenant_uid: uid.to_string(),
    }
}

/// Reads the question.
///
/// # Errors
/// [`LinkError::Name`].
pub fn probe_from_proto(probe: &agent::ProbeTenant) -> Result<(TenantId, Uid), LinkError> {
    Ok((
        name("ProbeTenant", &probe.tenant)?,
        name("ProbeTenant", &probe.tenant_uid)?,
    ))
}
