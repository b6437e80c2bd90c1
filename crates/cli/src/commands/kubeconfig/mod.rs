//! `berth kubeconfig` and `berth kubeconfig credential`: plain kubectl for a tenant's people.

mod config;
mod file;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use berth_model::AccessRole;
use berth_proto::v1;
use berth_wire::{file::Tree, time};
use clap::{Args, Subcommand, ValueEnum};

use self::config::{Entry, Kubeconfig};
use super::{Session, speak_to};
use crate::{
    args::{Common, duration},
    exit::{Exit, Failure},
    kinds::{Kind, targets},
    output::unwritable,
    terminal::Terminal,
};

/// Write a kubeconfig with which plain kubectl works in a tenant's namespaces, and nowhere else
///
/// The credential is a token of one of the tenant's accounts berth-admin, berth-user and berth-viewer, issued by its cluster for
/// --lifetime. It cannot be called back one by one: it ends with its lifetime, with the tenant, or with the account (delete the
/// account to void all of its tokens; Berth puts the account back). The hub keeps no copy.
///
/// There is a context ROLE@NAMESPACE for each of the tenant's namespaces; the main one is current. With --exec no token is written:
/// kubectl asks `berth kubeconfig credential` for a fresh one whenever it needs it, with the context file of this call.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(crate) struct Access {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    write: Write,
}

const EXAMPLES: &str = "\
Examples:
  berth kubeconfig tenant acme --as user --file acme.kubeconfig
  kubectl --kubeconfig acme.kubeconfig get pods
  berth kubeconfig tenant acme --as viewer --exec --file acme.kubeconfig
  KUBECONFIG=~/.kube/config:acme.kubeconfig kubectl config get-contexts";

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print a fresh token as an ExecCredential (client.authentication.k8s.io/v1): what kubectl calls after --exec
    Credential(Whose),
}

/// Whose access, as whom, for how long.
#[derive(Args, Debug)]
struct Whose {
    /// tenant NAME or tenant/NAME
    #[arg(required = true, value_name = "tenant NAME")]
    targets: Vec<String>,
    /// What the holder may do in the tenant's namespaces
    #[arg(long = "as", default_value = "admin", value_name = "ROLE")]
    role: Role,
    /// How long the token works, from 10m to 12h; a cluster may allow less
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = duration)]
    lifetime: Duration,
}

#[derive(Args, Debug)]
struct Write {
    #[command(flatten)]
    whose: Whose,
    /// Have kubectl fetch tokens when it needs them, instead of writing one down
    #[arg(long)]
    exec: bool,
    /// Which of the tenant's namespaces is current: its name, or what the tenant's file calls it
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Where to: a file only its owner can read, or - for standard output
    #[arg(long, default_value = "-", value_name = "FILE|-")]
    file: PathBuf,
}

/// A role, as it is typed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Everything but quotas, limits, network policies and roles
    Admin,
    /// Work with workloads, without secrets
    User,
    /// Look, without secrets
    Viewer,
}

impl From<Role> for AccessRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::User => Self::User,
            Role::Viewer => Self::Viewer,
        }
    }
}

/// Does what was asked for.
pub(super) fn run(access: Access, common: Common, terminal: &Terminal) -> Result<(), Failure> {
    let context_file = common.context_file.clone();
    let Access { verb, write: args } = access;
    speak_to(common, terminal, async |session| match verb {
        Some(Verb::Credential(whose)) => credential(session, whose).await,
        None => write(session, args, context_file.as_deref()).await,
    })
}

/// What was issued, and for whom.
struct Issued {
    tenant: String,
    role: AccessRole,
    lifetime: Duration,
    credential: v1::IssueTenantCredentialResponse,
    /// To the second, as Kubernetes writes it.
    expires: String,
}

async fn issue(session: &Session<'_>, whose: Whose) -> Result<Issued, Failure> {
    let Whose {
        targets: given,
        role,
        lifetime,
    } = whose;
    let tenant = tenant_of(&given)?;
    let role = AccessRole::from(role);
    let subject = format!("tenant/{tenant}");
    let request = v1::IssueTenantCredentialRequest {
        name: format!("tenants/{tenant}"),
        role: role.as_str().to_owned(),
        lifetime: Some(time::span_to_proto(lifetime)),
    };
    let mut tenants = session.hub.tenants();
    let asked = tenants.issue_tenant_credential(request);
    let credential = session.hub.ask(&subject, asked).await?;
    let expires = credential
        .expire_time
        .map(|at| prost_types::Timestamp { nanos: 0, ..at })
        .as_ref()
        .and_then(time::from_proto)
        .filter(|_| !credential.token.is_empty())
        .ok_or_else(|| crate::client::empty(&subject))?
        .to_string();
    Ok(Issued {
        tenant,
        role,
        lifetime,
        credential,
        expires,
    })
}

/// The one tenant that is meant.
fn tenant_of(given: &[String]) -> Result<String, Failure> {
    let named = targets(given)?;
    match (named.kind, &named.names[..]) {
        (Kind::Tenant, [name]) => Ok(name.clone()),
        (Kind::Tenant, []) => Err(Failure::usage("name the tenant: tenant NAME or tenant/NAME")),
        (Kind::Tenant, _) => Err(Failure::usage(
            "a kubeconfig is for one tenant; write one file each and list them in KUBECONFIG",
        )),
        (other, _) => Err(Failure::usage(format!(
            "there are kubeconfigs of tenants, not of a {other}"
        ))),
    }
}

async fn credential(session: &Session<'_>, whose: Whose) -> Result<(), Failure> {
    let issued = issue(session, whose).await?;
    let status = Tree::map()
        .text("expirationTimestamp", &issued.expires)
        .text("token", &issued.credential.token);
    let answer = Tree::map()
        .text("apiVersion", config::EXEC_API)
        .text("kind", "ExecCredential")
        .with("status", status);
    session.terminal.print(&answer.to_json().map_err(unwritable)?)
}

async fn write(session: &Session<'_>, args: Write, context_file: Option<&Path>) -> Result<(), Failure> {
    let Write {
        whose,
        exec,
        namespace,
        file,
    } = args;
    let to_file = file.as_os_str() != "-";
    if to_file {
        file::check(&file)?;
    }
    let issued = issue(session, whose).await?;
    let entry = if exec {
        Entry::Exec {
            lifetime: issued.lifetime,
            context_file: context_file
                .map(std::path::absolute)
                .transpose()
                .map_err(|error| Failure::new(Exit::Failure, format!("find the context file: {error}")))?,
        }
    } else {
        Entry::Token {
            token: &issued.credential.token,
            expires: &issued.expires,
        }
    };
    let config = Kubeconfig {
        tenant: &issued.tenant,
        role: issued.role,
        cluster: &issued.credential.cluster,
        api_url: &issued.credential.api_url,
        api_ca_pem: &issued.credential.api_ca_pem,
        namespaces: &issued.credential.namespaces,
        entry,
    };
    let text = config.text(namespace.as_deref())?;
    if !to_file {
        return session.terminal.print(&text);
    }
    file::write(&file, &text)?;
    let valid = if exec {
        String::new()
    } else {
        format!(", valid until {}", issued.expires)
    };
    let path = file.display();
    session.terminal.print(&format!(
        "kubeconfig of tenant/{} as {} written to {path}{valid}\n",
        issued.tenant, issued.role
    ))?;
    session
        .terminal
        .note(&format!("try it: kubectl --kubeconfig {path} get pods"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(arguments: &[&str]) -> Result<String, Failure> {
        tenant_of(
            &arguments
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_kubeconfig_is_of_exactly_one_tenant() {
        for right in [&["tenant", "acme"] as &[&str], &["tenant/acme"], &["tn/acme"]] {
            assert_eq!(named(right), Ok("acme".to_owned()), "{right:?}");
        }
        for wrong in [
            &["tenant"] as &[&str],
            &["tenants", "acme", "other"],
            &["cluster/eu-1"],
            &["acme"],
        ] {
            let failure = named(wrong).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{wrong:?}");
        }
    }
}
