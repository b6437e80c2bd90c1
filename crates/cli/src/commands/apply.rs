//! `berth apply`: tiers first, then bundles, then organisations, then role bindings, then tenants, each to what its file says.

use std::time::Duration;

use berth_model::{
    BundleName, BundleVersion, OrganisationName, OrganisationSpec, RoleBindingName, RoleBindingSpec,
    TenantId, TenantSpec, TierName, TierSpec, Violation, bundle::BundleSpec,
};
use berth_proto::v1;
use berth_wire::{api, file::Document};

use super::{Session, wait};
use crate::{
    args::Apply,
    client::Hub,
    exit::{Exit, Failure, Outcome},
    files,
};

/// What applying one document came to.
enum Done {
    Created,
    Configured,
    Unchanged,
}

pub(super) async fn run(session: &Session<'_>, args: Apply) -> Result<(), Failure> {
    let Apply {
        files,
        dry_run,
        wait,
        timeout,
    } = args;
    let mut documents = files::read(&files.filename)?;
    // Tenants need their tiers, bundles and teams; the order within a kind is the files'.
    documents.sort_by_key(|document| match document {
        Document::Tier { .. } => 0,
        Document::Bundle { .. } => 1,
        Document::Organisation { .. } => 2,
        Document::RoleBinding { .. } => 3,
        Document::Tenant { .. } => 4,
    });
    let mut outcome = Outcome::default();
    let mut tenants = Vec::new();
    for document in documents {
        let subject = format!("{}/{}", document.kind().to_lowercase(), document.name());
        let done = match document {
            Document::Tier { name, spec } => tier(session, &subject, &name, &spec, dry_run).await,
            Document::Organisation { name, spec } => {
                organisation(session, &subject, &name, &spec, dry_run).await
            }
            Document::RoleBinding { name, spec } => {
                role_binding(session, &subject, &name, &spec, dry_run).await
            }
            Document::Bundle { name, version, spec } => {
                bundle(session, &subject, &name, &version, &spec, dry_run).await
            }
            Document::Tenant { id, spec } => {
                let done = tenant(session, &subject, &id, &spec, dry_run).await;
                if done.is_ok() {
                    tenants.push(id.to_string());
                }
                done
            }
        };
        if let Some(done) = outcome.take(done) {
            let word = match done {
                Done::Created => "created",
                Done::Configured => "configured",
                Done::Unchanged => "unchanged",
            };
            let dry = if dry_run { " (dry run)" } else { "" };
            session.terminal.print(&format!("{subject} {word}{dry}\n"))?;
        }
    }
    if wait && !dry_run && !tenants.is_empty() {
        outcome.take(ready(session, tenants, timeout).await);
    }
    outcome.finish()
}

async fn ready(session: &Session<'_>, tenants: Vec<String>, timeout: Duration) -> Result<(), Failure> {
    wait::until(session, tenants, &wait::Goal::ready(), timeout).await
}

async fn tenant(
    session: &Session<'_>,
    subject: &str,
    id: &TenantId,
    spec: &TenantSpec,
    dry_run: bool,
) -> Result<Done, Failure> {
    let hub = &session.hub;
    let wanted = api::tenant_spec_to_proto(spec);
    let (done, warnings) = match hub.tenant(id.as_str()).await {
        Ok(current)
            if current.delete_time.is_none()
                && same(current.spec.as_ref(), api::tenant_spec_from_proto, spec) =>
        {
            return Ok(Done::Unchanged);
        }
        Ok(current) => {
            // With the etag: what was compared with is what is replaced.
            let request = v1::UpdateTenantRequest {
                tenant: Some(v1::Tenant {
                    name: current.name,
                    etag: current.etag,
                    spec: Some(wanted),
                    ..Default::default()
                }),
                validate_only: dry_run,
                ..Default::default()
            };
            let answer = hub.ask(subject, hub.tenants().update_tenant(request)).await?;
            (Done::Configured, answer.warnings)
        }
        // Who may see only some tenants is not told which there are; whether this one may be made, the hub says.
        Err(failure) if matches!(failure.exit, Exit::NotFound | Exit::Denied) => {
            let request = v1::CreateTenantRequest {
                tenant_id: id.to_string(),
                tenant: Some(v1::Tenant {
                    spec: Some(wanted),
                    ..Default::default()
                }),
                validate_only: dry_run,
                ..Default::default()
            };
            let answer = hub.ask(subject, hub.tenants().create_tenant(request)).await?;
            (Done::Created, answer.warnings)
        }
        Err(failure) => return Err(failure),
    };
    for warning in warnings {
        session.terminal.note(&format!("warning: {subject}: {warning}"));
    }
    Ok(done)
}

async fn tier(
    session: &Session<'_>,
    subject: &str,
    name: &TierName,
    spec: &TierSpec,
    dry_run: bool,
) -> Result<Done, Failure> {
    let hub = &session.hub;
    let wanted = api::tier_spec_to_proto(spec);
    match hub.tier(name.as_str()).await {
        Ok(current) if same(current.spec.as_ref(), api::tier_spec_from_proto, spec) => Ok(Done::Unchanged),
        Ok(current) => {
            let tier = v1::Tier {
                name: current.name,
                etag: current.etag,
                spec: Some(wanted),
                ..Default::default()
            };
            let request = v1::UpdateTierRequest {
                tier: Some(tier),
                validate_only: dry_run,
                ..Default::default()
            };
            hub.ask(subject, hub.tiers().update_tier(request)).await?;
            Ok(Done::Configured)
        }
        Err(failure) if failure.exit == Exit::NotFound => {
            let request = v1::CreateTierRequest {
                tier_id: name.to_string(),
                tier: Some(v1::Tier {
                    spec: Some(wanted),
                    ..Default::default()
                }),
                validate_only: dry_run,
            };
            hub.ask(subject, hub.tiers().create_tier(request)).await?;
            Ok(Done::Created)
        }
        Err(failure) => Err(failure),
    }
}

async fn organisation(
    session: &Session<'_>,
    subject: &str,
    name: &OrganisationName,
    spec: &OrganisationSpec,
    dry_run: bool,
) -> Result<Done, Failure> {
    let hub = &session.hub;
    let wanted = api::organisation_spec_to_proto(spec);
    match hub.organisation(name.as_str()).await {
        Ok(current) if same(current.spec.as_ref(), api::organisation_spec_from_proto, spec) => {
            Ok(Done::Unchanged)
        }
        Ok(current) => {
            let organisation = v1::Organisation {
                name: current.name,
                etag: current.etag,
                spec: Some(wanted),
                ..Default::default()
            };
            let request = v1::UpdateOrganisationRequest {
                organisation: Some(organisation),
                validate_only: dry_run,
                ..Default::default()
            };
            hub.ask(subject, hub.organisations().update_organisation(request))
                .await?;
            Ok(Done::Configured)
        }
        Err(failure) if failure.exit == Exit::NotFound => {
            let request = v1::CreateOrganisationRequest {
                organisation_id: name.to_string(),
                organisation: Some(v1::Organisation {
                    spec: Some(wanted),
                    ..Default::default()
                }),
                validate_only: dry_run,
            };
            hub.ask(subject, hub.organisations().create_organisation(request))
                .await?;
            Ok(Done::Created)
        }
        Err(failure) => Err(failure),
    }
}

/// The role binding of that name, if it is within reach.
pub(super) async fn present_binding(hub: &Hub, name: &str) -> Result<Option<v1::RoleBinding>, Failure> {
    match hub.role_binding(name).await {
        Ok(found) => Ok(Some(found)),
        Err(failure) if matches!(failure.exit, Exit::NotFound | Exit::Denied) => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn role_binding(
    session: &Session<'_>,
    subject: &str,
    name: &RoleBindingName,
    spec: &RoleBindingSpec,
    dry_run: bool,
) -> Result<Done, Failure> {
    let hub = &session.hub;
    let wanted = api::role_binding_spec_to_proto(spec);
    match present_binding(hub, name.as_str()).await? {
        Some(current) if same(current.spec.as_ref(), api::role_binding_spec_from_proto, spec) => {
            Ok(Done::Unchanged)
        }
        Some(current) => {
            let binding = v1::RoleBinding {
                name: current.name,
                etag: current.etag,
                spec: Some(wanted),
                ..Default::default()
            };
            let request = v1::UpdateRoleBindingRequest {
                role_binding: Some(binding),
                validate_only: dry_run,
                ..Default::default()
            };
            hub.ask(subject, hub.access().update_role_binding(request))
                .await?;
            Ok(Done::Configured)
        }
        None => {
            let request = v1::CreateRoleBindingRequest {
                role_binding_id: name.to_string(),
                role_binding: Some(v1::RoleBinding {
                    spec: Some(wanted),
                    ..Default::default()
                }),
                validate_only: dry_run,
            };
            hub.ask(subject, hub.access().create_role_binding(request))
                .await?;
            Ok(Done::Created)
        }
    }
}

async fn bundle(
    session: &Session<'_>,
    subject: &str,
    name: &BundleName,
    version: &BundleVersion,
    spec: &BundleSpec,
    dry_run: bool,
) -> Result<Done, Failure> {
    let hub = &session.hub;
    let wanted = api::bundle_spec_to_proto(spec);
    match hub.bundle(name.as_str(), version.as_str()).await {
        Ok(current) if same(current.spec.as_ref(), api::bundle_spec_from_proto, spec) => Ok(Done::Unchanged),
        Ok(_) => Err(Failure::new(
            Exit::Conflict,
            format!(
                "{subject}: this version exists with other content, and a version never changes (give the new content another version)"
            ),
        )),
        Err(failure) if failure.exit == Exit::NotFound => {
            let request = v1::CreateBundleRequest {
                bundle_id: name.to_string(),
                version: version.to_string(),
                bundle: Some(v1::Bundle {
                    spec: Some(wanted),
                    ..Default::default()
                }),
                validate_only: dry_run,
            };
            hub.ask(subject, hub.bundles().create_bundle(request)).await?;
            Ok(Done::Created)
        }
        Err(failure) => Err(failure),
    }
}

/// Whether the hub has what is wanted already. Compared as what it means: the wire has several ways to say nothing.
fn same<P, M: PartialEq>(
    current: Option<&P>,
    read: impl Fn(&P) -> Result<M, Vec<Violation>>,
    wanted: &M,
) -> bool {
    current.is_some_and(|current| read(current).is_ok_and(|current| current == *wanted))
}
