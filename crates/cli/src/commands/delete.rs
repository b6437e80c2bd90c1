//! `berth delete`.

use berth_proto::v1;
use berth_wire::file::Document;

use super::{Session, wait};
use crate::{
    args::Delete,
    exit::{Exit, Failure, Outcome},
    files,
    kinds::{self, Kind},
};

pub(super) async fn run(session: &Session<'_>, args: Delete) -> Result<(), Failure> {
    let Delete {
        targets,
        filename,
        ignore_not_found,
        wait,
        timeout,
    } = args;
    let targets = if filename.is_empty() {
        let targets = kinds::targets(&targets)?;
        if targets.names.is_empty() {
            return Err(Failure::usage(format!(
                "say which {}s to delete; there is no way to delete all",
                targets.kind
            )));
        }
        targets
            .names
            .into_iter()
            .map(|name| (targets.kind, name))
            .collect()
    } else {
        written(&filename)?
    };
    let mut outcome = Outcome::default();
    let mut tenants = Vec::new();
    for (kind, name) in targets {
        let subject = format!("{kind}/{name}");
        match delete(session, kind, &name, &subject).await {
            Ok(()) if kind == Kind::Tenant => {
                session.terminal.print(&format!("{subject} is being deleted\n"))?;
                tenants.push(name);
            }
            Ok(()) => session.terminal.print(&format!("{subject} deleted\n"))?,
            Err(failure) if ignore_not_found && failure.exit == Exit::NotFound => {}
            Err(failure) => outcome.add(failure),
        }
    }
    if wait && !tenants.is_empty() {
        outcome.take(wait::until(session, tenants, &wait::Goal::Deleted, timeout).await);
    }
    outcome.finish()
}

/// What files name, tenants first: what they use goes last.
fn written(filename: &[std::path::PathBuf]) -> Result<Vec<(Kind, String)>, Failure> {
    let mut targets: Vec<(u8, Kind, String)> = files::read(filename)?
        .iter()
        .map(|document| match document {
            Document::Tenant { .. } => (0, Kind::Tenant, document.name()),
            Document::Bundle { .. } => (1, Kind::Bundle, document.name()),
            Document::Tier { .. } => (2, Kind::Tier, document.name()),
            Document::Organisation { .. } => (3, Kind::Organisation, document.name()),
            // Last of all, so that whoever deletes may do so to the end.
            Document::RoleBinding { .. } => (4, Kind::RoleBinding, document.name()),
        })
        .collect();
    targets.sort_by_key(|(order, ..)| *order);
    Ok(targets.into_iter().map(|(_, kind, name)| (kind, name)).collect())
}

async fn delete(session: &Session<'_>, kind: Kind, name: &str, subject: &str) -> Result<(), Failure> {
    let hub = &session.hub;
    match kind {
        Kind::Tenant => {
            let request = v1::DeleteTenantRequest {
                name: format!("tenants/{name}"),
                ..Default::default()
            };
            hub.ask(subject, hub.tenants().delete_tenant(request)).await?;
        }
        Kind::Tier => {
            let request = v1::DeleteTierRequest {
                name: format!("tiers/{name}"),
                ..Default::default()
            };
            hub.ask(subject, hub.tiers().delete_tier(request)).await?;
        }
        Kind::Organisation => {
            let request = v1::DeleteOrganisationRequest {
                name: format!("organisations/{name}"),
                ..Default::default()
            };
            hub.ask(subject, hub.organisations().delete_organisation(request))
                .await?;
        }
        Kind::Bundle => {
            let (name, version) = name
                .split_once('@')
                .ok_or_else(|| Failure::usage(format!("say which version: bundle/{name}@VERSION")))?;
            let name = format!("bundles/{name}/versions/{version}");
            let request = v1::DeleteBundleRequest {
                name,
                ..Default::default()
            };
            hub.ask(subject, hub.bundles().delete_bundle(request)).await?;
        }
        Kind::Cluster => {
            let request = v1::DeleteClusterRequest {
                name: format!("clusters/{name}"),
                ..Default::default()
            };
            hub.ask(subject, hub.clusters().delete_cluster(request)).await?;
        }
        Kind::Token => {
            let request = v1::DeleteJoinTokenRequest {
                name: format!("joinTokens/{name}"),
            };
            hub.ask(subject, hub.tokens().delete_join_token(request)).await?;
        }
        Kind::RoleBinding => {
            let request = v1::DeleteRoleBindingRequest {
                name: format!("roleBindings/{name}"),
                ..Default::default()
            };
            hub.ask(subject, hub.access().delete_role_binding(request))
                .await?;
        }
        Kind::Role => {
            return Err(Failure::usage(
                "roles are fixed and cannot be deleted; delete the rolebinding that gives one",
            ));
        }
        Kind::Evidence => {
            return Err(Failure::usage(
                "evidence goes with its tenant and cannot be deleted",
            ));
        }
        Kind::Operation => {
            return Err(Failure::usage(
                "operations end by themselves and cannot be deleted",
            ));
        }
    }
    Ok(())
}
