//! `berth auth`: who the caller is, and what it may do.

use berth_proto::v1;
use berth_wire::file::Tree;
use clap::{Args, Subcommand};

use super::Session;
use crate::{
    args::{Format, Output},
    exit::{Exit, Failure},
    kinds::Kind,
    output::{self, Shown, unwritable},
};

/// Who you are to the hub, and what you may do.
#[derive(Subcommand, Debug)]
pub(crate) enum Auth {
    /// Say whether something is allowed; exit code 1 when it is not
    ///
    /// For example: berth auth can-i update tenant acme; berth auth can-i list clusters; berth auth can-i credentials.admin
    /// tenant/acme --as user:alice@example.com. The verbs of each kind are in berth describe roles.
    CanI(CanI),
    /// Show who you are, and the role bindings that name you
    Whoami(Whoami),
}

/// Whether something is allowed.
#[derive(Args, Debug)]
pub(crate) struct CanI {
    /// Such as get, list, update or credentials.user
    #[arg(value_name = "VERB")]
    pub verb: String,
    /// Such as tenants or fleet, or KIND/NAME
    #[arg(value_name = "KIND")]
    pub kind: String,
    /// Which one; without it, the fleet as a whole
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// For somebody else, such as user:alice@example.com (platform admins only)
    #[arg(long = "as", value_name = "SUBJECT")]
    pub subject: Option<String>,
    /// A group that the other one is in; repeatable
    #[arg(long = "as-group", value_name = "GROUP", requires = "subject")]
    pub groups: Vec<String>,
}

/// Who you are.
#[derive(Args, Debug)]
pub(crate) struct Whoami {
    /// How to show it.
    #[command(flatten)]
    pub output: Output,
}

pub(super) async fn run(session: &Session<'_>, args: Auth) -> Result<(), Failure> {
    match args {
        Auth::CanI(args) => can_i(session, args).await,
        Auth::Whoami(args) => whoami(session, &args.output).await,
    }
}

async fn can_i(session: &Session<'_>, args: CanI) -> Result<(), Failure> {
    let CanI {
        verb,
        kind,
        name,
        subject,
        groups,
    } = args;
    let request = v1::CheckAccessRequest {
        subject: subject.unwrap_or_default(),
        groups,
        ..question(&verb, &kind, name.as_deref())?
    };
    let asked = request.permission.clone();
    let mut access = session.hub.access();
    let answer = session.hub.ask(&asked, access.check_access(request)).await?;
    session.terminal.note(&answer.reason);
    session
        .terminal
        .print(if answer.allowed { "yes\n" } else { "no\n" })?;
    if answer.allowed {
        Ok(())
    } else {
        Err(Failure::told(Exit::Failure))
    }
}

/// The permission that is meant, and what for.
fn question(verb: &str, kind: &str, name: Option<&str>) -> Result<v1::CheckAccessRequest, Failure> {
    let (kind, name) = match (kind.split_once('/'), name) {
        (Some((kind, name)), None) => (kind, Some(name)),
        (Some(_), Some(name)) => {
            return Err(Failure::usage(format!(
                "{kind:?} names one already; leave out {name:?}"
            )));
        }
        (None, name) => (kind, name),
    };
    // The fleet and what else is asked about but not shown has no kind.
    let known = match kind {
        "fleet" | "access" => None,
        kind => Some(kind.parse::<Kind>().map_err(Failure::usage)?),
    };
    let collection = known.map_or(kind, |known| known.in_permissions());
    let resource = match (known, name) {
        (Some(Kind::Operation), Some(name)) => {
            let tenant = name.rsplitn(3, '.').nth(2).unwrap_or(name);
            format!("tenants/{tenant}")
        }
        (Some(Kind::Evidence), Some(name)) => format!("tenants/{name}"),
        (_, Some(name)) => format!("{collection}/{name}"),
        (_, None) => String::new(),
    };
    Ok(v1::CheckAccessRequest {
        permission: format!("{collection}.{verb}"),
        resource,
        ..Default::default()
    })
}

async fn whoami(session: &Session<'_>, output: &Output) -> Result<(), Failure> {
    let mut access = session.hub.access();
    let asked = access.get_caller(v1::GetCallerRequest {});
    let caller = session.hub.ask("whoami", asked).await?;
    let text = match output.output {
        Format::Json => tree(&caller)?.to_json().map_err(unwritable)?,
        Format::Yaml => tree(&caller)?.to_yaml().map_err(unwritable)?,
        Format::Name => format!("{}\n", caller.subject),
        Format::Table | Format::Wide => {
            session.terminal.print(&people(&caller))?;
            if caller.break_glass {
                return Ok(());
            }
            return output::show(
                session.terminal,
                &caller.role_bindings,
                output,
                false,
                session.now(),
            );
        }
    };
    session.terminal.print(&text)
}

fn people(caller: &v1::GetCallerResponse) -> String {
    let mut text = format!("You are {}\n", caller.subject);
    if !caller.groups.is_empty() {
        text += &format!("in {}\n", caller.groups.join(", "));
    }
    text += &format!("by {}\n", caller.credential);
    if caller.break_glass {
        text += "This is the hub's own admin credential: it may everything, whatever role bindings say.\n";
    }
    text
}

fn tree(caller: &v1::GetCallerResponse) -> Result<Tree, Failure> {
    let bindings = caller.role_bindings.iter().map(Shown::tree);
    Ok(Tree::map()
        .text("subject", &caller.subject)
        .with_some("groups", Tree::texts(&caller.groups))
        .text("credential", &caller.credential)
        .with("breakGlass", Tree::Bool(caller.break_glass))
        .with(
            "roleBindings",
            Tree::List(bindings.collect::<Result<Vec<_>, _>>()?),
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_and_a_kind_make_the_permission_and_a_name_what_it_is_for() {
        for (words, permission, resource) in [
            (
                ("update", "tenant", Some("acme")),
                "tenants.update",
                "tenants/acme",
            ),
            (("get", "tn/acme", None), "tenants.get", "tenants/acme"),
            (("list", "clusters", None), "clusters.list", ""),
            (
                ("credentials.admin", "tenants", Some("acme")),
                "tenants.credentials.admin",
                "tenants/acme",
            ),
            (
                ("get", "operation", Some("acme.delete.3")),
                "operations.get",
                "tenants/acme",
            ),
            (("get", "evidence", Some("acme")), "evidence.get", "tenants/acme"),
            (("create", "token", None), "joinTokens.create", ""),
            (("create", "rolebinding", None), "roleBindings.create", ""),
            (("takeCommand", "fleet", None), "fleet.takeCommand", ""),
        ] {
            let asked = question(words.0, words.1, words.2).unwrap();
            assert_eq!(
                (asked.permission.as_str(), asked.resource.as_str()),
                (permission, resource)
            );
        }
        assert_eq!(
            question("get", "tenant/a", Some("b")).unwrap_err().exit,
            Exit::Usage
        );
        assert_eq!(question("get", "tennant", None).unwrap_err().exit, Exit::Usage);
    }
}
