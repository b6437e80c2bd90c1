//! Calls about tenants, their evidence and their operations.

use berth_model::{Traits, tenant::Owner};
use berth_proto::v1;

use super::{Call, Target, all, change, of, one, read, tenant};

fn evidence(name: &str) -> Target {
    let target = tenant(name.strip_suffix("/evidence").unwrap_or(name));
    Target {
        kind: "evidence",
        ..target
    }
}

/// Operations are named after their tenants: `operations/{tenant}.{verb}.{generation}`.
fn operation(name: &str) -> Target {
    let target = one("operation", "operations", name);
    let tenant = target.name.rsplitn(3, '.').nth(2).unwrap_or_default().to_owned();
    Target { tenant, ..target }
}

fn credential(request: &v1::IssueTenantCredentialRequest) -> Target {
    Target {
        kind: "credential",
        permission: match request.role.as_str() {
            "user" => Some("tenants.credentials.user"),
            "viewer" => Some("tenants.credentials.viewer"),
            // Whatever else is written there, nobody gets by it what an admin could not.
            _ => None,
        },
        ..tenant(&request.name)
    }
}

/// What selectors would go by.
fn offered(tenant: Option<&v1::Tenant>) -> Option<Traits> {
    let spec = tenant?.spec.as_ref()?;
    let owner = spec.owner.clone().unwrap_or_default();
    Some(Traits {
        owner: Owner {
            organisation: owner.organisation,
            team: owner.team,
            project: owner.project,
        },
        labels: spec.labels.clone(),
    })
}

fn explained(request: &v1::ExplainTenantRequest) -> Target {
    match &request.tenant {
        Some(given) => Target {
            offered: offered(Some(given)),
            ..tenant(&given.name)
        },
        None => tenant(&request.name),
    }
}

fn updated(request: &v1::UpdateTenantRequest) -> Target {
    let name = request.tenant.as_ref().map_or("", |given| given.name.as_str());
    Target {
        may_create: request.allow_missing,
        offered: offered(request.tenant.as_ref()),
        ..tenant(name)
    }
}

pub(super) const CALLS: &[Call] = &[
    change("/berth.v1.TenantService/CreateTenant", "tenants.create", |m| {
        of(m, |r: v1::CreateTenantRequest| Target {
            may_create: true,
            offered: offered(r.tenant.as_ref()),
            ..tenant(&r.tenant_id)
        })
    }),
    read("/berth.v1.TenantService/GetTenant", "tenants.get", |m| {
        of(m, |r: v1::GetTenantRequest| tenant(&r.name))
    }),
    read("/berth.v1.TenantService/ListTenants", "tenants.list", |m| {
        of(m, |_: v1::ListTenantsRequest| all("tenant"))
    }),
    change("/berth.v1.TenantService/UpdateTenant", "tenants.update", |m| {
        of(m, |r: v1::UpdateTenantRequest| updated(&r))
    }),
    change("/berth.v1.TenantService/DeleteTenant", "tenants.delete", |m| {
        of(m, |r: v1::DeleteTenantRequest| tenant(&r.name))
    }),
    read("/berth.v1.TenantService/ExplainTenant", "tenants.explain", |m| {
        of(m, |r: v1::ExplainTenantRequest| explained(&r))
    }),
    change(
        "/berth.v1.TenantService/IssueTenantCredential",
        "tenants.credentials.admin",
        |m| of(m, |r: v1::IssueTenantCredentialRequest| credential(&r)),
    ),
    read("/berth.v1.TenantService/WatchTenants", "tenants.watch", |m| {
        of(m, |r: v1::WatchTenantsRequest| {
            if r.name.is_empty() {
                all("tenant")
            } else {
                tenant(&r.name)
            }
        })
    }),
    read("/berth.v1.EvidenceService/GetEvidence", "evidence.get", |m| {
        of(m, |r: v1::GetEvidenceRequest| evidence(&r.name))
    }),
    read("/berth.v1.EvidenceService/ListEvidence", "evidence.list", |m| {
        of(m, |_: v1::ListEvidenceRequest| all("evidence"))
    }),
    change("/berth.v1.EvidenceService/ProbeTenant", "evidence.probe", |m| {
        of(m, |r: v1::ProbeTenantRequest| tenant(&r.name))
    }),
    read("/berth.v1.OperationService/GetOperation", "operations.get", |m| {
        of(m, |r: v1::GetOperationRequest| operation(&r.name))
    }),
    read(
        "/berth.v1.OperationService/ListOperations",
        "operations.list",
        |m| of(m, |_: v1::ListOperationsRequest| all("operation")),
    ),
    read(
        "/berth.v1.OperationService/WaitOperation",
        "operations.get",
        |m| of(m, |r: v1::WaitOperationRequest| operation(&r.name)),
    ),
];
