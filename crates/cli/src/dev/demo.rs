//! The tenants of the demo: real ones, from `deploy/examples`, one or more of each isolation level.

use std::path::Path;

use berth_proto::v1;
use berth_wire::{
    api,
    file::{self, Document},
    names,
};

use crate::{
    client::Hub,
    exit::{Exit, Failure},
};

/// The files, in the order in which they are applied: bundles before the tenants that name them.
const FILES: [(&str, &str); 7] = [
    ("web.yaml", include_str!("../../../../deploy/examples/web.yaml")),
    (
        "dev-sandbox.yaml",
        include_str!("../../../../deploy/examples/dev-sandbox.yaml"),
    ),
    (
        "vision-team.yaml",
        include_str!("../../../../deploy/examples/vision-team.yaml"),
    ),
    (
        "tenant-a.yaml",
        include_str!("../../../../deploy/examples/tenant-a.yaml"),
    ),
    (
        "example-isp-001.yaml",
        include_str!("../../../../deploy/examples/example-isp-001.yaml"),
    ),
    (
        "abc-123.yaml",
        include_str!("../../../../deploy/examples/abc-123.yaml"),
    ),
    (
        "acme-corp.yaml",
        include_str!("../../../../deploy/examples/acme-corp.yaml"),
    ),
];
/// Written when the demo was applied: a second run continues with what is there and brings nothing back that was deleted.
const APPLIED: &str = "demo-applied";

/// Applies the demo on the first run, and gives the tenants that are to be Ready.
pub(super) async fn apply(hub: &Hub, dir: &Path) -> Result<Vec<String>, Failure> {
    let marker = dir.join(APPLIED);
    if !marker.exists() {
        for (name, text) in FILES {
            let documents = file::parse(text).map_err(|faults| Failure {
                exit: Exit::Invalid,
                lines: faults.iter().map(|fault| format!("{name}: {fault}")).collect(),
            })?;
            for document in &documents {
                one(hub, document).await?;
            }
        }
        std::fs::write(&marker, "")
            .map_err(|error| super::failed("note that the demo was applied", &error))?;
    }
    let tenants = hub.list_tenants("").await?;
    let staying = tenants.iter().filter(|tenant| tenant.delete_time.is_none());
    Ok(staying
        .map(|tenant| tenant.name.trim_start_matches("tenants/").to_owned())
        .collect())
}

async fn one(hub: &Hub, document: &Document) -> Result<(), Failure> {
    match document {
        Document::Bundle { name, version, spec } => {
            let bundle = v1::Bundle {
                spec: Some(api::bundle_spec_to_proto(spec)),
                ..v1::Bundle::default()
            };
            let request = v1::CreateBundleRequest {
                bundle_id: name.to_string(),
                version: version.to_string(),
                bundle: Some(bundle),
                validate_only: false,
            };
            hub.ask(&format!("bundle {name}"), hub.bundles().create_bundle(request))
                .await?;
        }
        Document::Tier { name, spec } => {
            let tier = v1::Tier {
                name: names::tier(name),
                spec: Some(api::tier_spec_to_proto(spec)),
                ..v1::Tier::default()
            };
            let request = v1::UpdateTierRequest {
                tier: Some(tier),
                validate_only: false,
                allow_missing: true,
            };
            hub.ask(&format!("tier {name}"), hub.tiers().update_tier(request))
                .await?;
        }
        Document::Organisation { name, spec } => {
            let organisation = v1::Organisation {
                name: names::organisation(name),
                spec: Some(api::organisation_spec_to_proto(spec)),
                ..v1::Organisation::default()
            };
            let request = v1::UpdateOrganisationRequest {
                organisation: Some(organisation),
                validate_only: false,
                allow_missing: true,
            };
            hub.ask(
                &format!("organisation {name}"),
                hub.organisations().update_organisation(request),
            )
            .await?;
        }
        Document::RoleBinding { name, spec } => {
            let binding = v1::RoleBinding {
                name: names::role_binding(name),
                spec: Some(api::role_binding_spec_to_proto(spec)),
                ..v1::RoleBinding::default()
            };
            let request = v1::UpdateRoleBindingRequest {
                role_binding: Some(binding),
                validate_only: false,
                allow_missing: true,
            };
            hub.ask(
                &format!("role binding {name}"),
                hub.access().update_role_binding(request),
            )
            .await?;
        }
        Document::Tenant { id, spec } => {
            let tenant = v1::Tenant {
                name: names::tenant(id),
                spec: Some(api::tenant_spec_to_proto(spec)),
                ..v1::Tenant::default()
            };
            let request = v1::UpdateTenantRequest {
                tenant: Some(tenant),
                allow_missing: true,
                ..v1::UpdateTenantRequest::default()
            };
            hub.ask(&format!("tenant {id}"), hub.tenants().update_tenant(request))
                .await?;
        }
    }
    Ok(())
}
