//! Rules for members. Nobody is let in here whom Kubernetes itself treats as somebody special.

use std::collections::BTreeSet;

use berth_model::{
    AccessRole, TenantId, TenantSpec, id::is_dns_subdomain, label::DEPLOYER_ACCOUNT,
    placement::namespace_name, tenant::Subject,
};

use super::faults::Faults;

pub(super) fn check(faults: &mut Faults, id: Option<&TenantId>, spec: &TenantSpec) {
    let members = &spec.members;
    for (role, subjects) in [
        ("admins", &members.admins),
        ("users", &members.users),
        ("viewers", &members.viewers),
    ] {
        let mut seen = BTreeSet::new();
        for (at, subject) in subjects.iter().enumerate() {
            let path = format!("spec.members.{role}[{at}]");
            match subject {
                Subject::User { name } | Subject::Group { name } => person(faults, &path, name),
                Subject::ServiceAccount { namespace, name } => {
                    account(faults, &path, id, spec, namespace, name)
                }
            }
            if !seen.insert(subject) {
                faults.add(&path, "is there twice", "");
            }
        }
    }
}

fn person(faults: &mut Faults, path: &str, name: &str) {
    let path = format!("{path}.name");
    if name.is_empty()
        || name.chars().count() > 253
        || name.chars().any(char::is_control)
        || name.trim() != name
    {
        faults.add(
            &path,
            format!("{name:?} must be 1 to 253 characters without control characters or spaces around"),
            "",
        );
    } else if name.starts_with("system:") {
        faults.add(
            &path,
            format!("{name:?} is one of Kubernetes' own users or groups"),
            "name a user or group of your identity provider",
        );
    }
}

fn account(
    faults: &mut Faults,
    path: &str,
    id: Option<&TenantId>,
    spec: &TenantSpec,
    namespace: &str,
    name: &str,
) {
    if !is_dns_subdomain(name) {
        faults.add(
            format!("{path}.name"),
            format!("{name:?} is no name of a service account"),
            "",
        );
    } else if name == DEPLOYER_ACCOUNT {
        faults.add(
            format!("{path}.name"),
            format!("{name:?} is Berth's own account"),
            "it has the tenant's admin role already",
        );
    } else if AccessRole::owns_account(name) {
        faults.add(
            format!("{path}.name"),
            format!("{name:?} is Berth's own account"),
            "it has the role of its name already; berth kubeconfig hands out its tokens",
        );
    }
    let ours = namespace.is_empty()
        || spec.namespaces.iter().any(|extra| extra == namespace)
        || id.is_some_and(|id| {
            namespace == namespace_name(id, None)
                || spec
                    .namespaces
                    .iter()
                    .any(|extra| namespace == namespace_name(id, Some(extra)))
        });
    if !ours {
        faults.add(
            format!("{path}.namespace"),
            format!("{namespace:?} is no namespace of this tenant"),
            "leave it out for the main one, or name one of spec.namespaces",
        );
    }
}
