//! A tenant with its status, as the API shows it.

use berth_model::{AcceptedGaps, Conditions, Generation, Health, Placement, Tenant, Timestamp};
use berth_proto::v1;

use super::{conditions_to_proto, gaps_to_proto, placement_to_proto, tenant_spec_to_proto};
use crate::{names, time};

/// What is known of a tenant besides its record.
#[derive(Clone, Debug)]
pub struct TenantStatusView<'a> {
    /// The generation the rest speaks of.
    pub observed_generation: Generation,
    /// The conditions.
    pub conditions: &'a Conditions,
    /// Where it is; none while it is nowhere.
    pub placement: Option<&'a Placement>,
    /// Its namespaces, the main one first.
    pub namespaces: Vec<String>,
    /// How its workloads are.
    pub health: Health,
    /// When the evidence was gathered.
    pub evidence: Option<Timestamp>,
    /// Walls that its cluster could not hold when it was placed there.
    pub accepted_gaps: &'a AcceptedGaps,
    /// Things to know that stop nothing.
    pub warnings: Vec<String>,
}

/// The tenant as the API shows it.
#[must_use]
pub fn tenant_to_proto(tenant: &Tenant, status: &TenantStatusView<'_>) -> v1::Tenant {
    v1::Tenant {
        status: Some(v1::TenantStatus {
            observed_generation: signed(status.observed_generation),
            conditions: conditions_to_proto(status.conditions),
            placement: status.placement.map(placement_to_proto),
            namespaces: status.namespaces.clone(),
            health: status.health.state.as_str().into(),
            health_message: status.health.message.clone(),
            evidence_time: status.evidence.map(time::to_proto),
            warnings: status.warnings.clone(),
            accepted_gaps: gaps_to_proto(status.accepted_gaps),
        }),
        ..record(tenant)
    }
}

/// The tenant without its status.
pub(crate) fn record(tenant: &Tenant) -> v1::Tenant {
    v1::Tenant {
        name: names::tenant(&tenant.id),
        uid: tenant.uid.to_string(),
        spec: Some(tenant_spec_to_proto(&tenant.spec)),
        status: None,
        generation: signed(tenant.generation),
        etag: names::etag(tenant.revision),
        create_time: Some(time::to_proto(tenant.created_at)),
        delete_time: tenant.deleting_since.map(time::to_proto),
    }
}

/// Generations are signed in the API, as Kubernetes has them.
pub(crate) fn signed(generation: Generation) -> i64 {
    i64::try_from(generation.0).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(generation: i64) -> Generation {
    Generation(u64::try_from(generation).unwrap_or(0))
}
