//! Roles and role bindings.

use std::collections::BTreeSet;

use berth_model::{
    Reach, Role, RoleBinding, RoleBindingSpec, Scope, Subject, TenantId, TenantSelector, Violation,
};
use berth_proto::v1::{self, role_scope::Scope as In};

use crate::{api::tenant::signed, faults::Faults, names, words};

/// The role binding as the API shows it.
#[must_use]
pub fn role_binding_to_proto(binding: &RoleBinding) -> v1::RoleBinding {
    v1::RoleBinding {
        name: names::role_binding(&binding.name),
        uid: binding.uid.to_string(),
        spec: Some(role_binding_spec_to_proto(&binding.spec)),
        generation: signed(binding.generation),
        etag: names::etag(binding.revision),
    }
}

/// The spec as the API writes it.
#[must_use]
pub fn role_binding_spec_to_proto(spec: &RoleBindingSpec) -> v1::RoleBindingSpec {
    let scope = match &spec.scope {
        Scope::Fleet => In::Fleet(v1::WholeFleet {}),
        Scope::Tenants(ids) => In::Tenants(v1::TenantIds {
            ids: ids.iter().map(TenantId::to_string).collect(),
        }),
        Scope::Selector(selector) => In::Selector(v1::TenantSelector {
            organisation: selector.organisation.clone(),
            team: selector.team.clone(),
            project: selector.project.clone(),
            labels: selector.labels.clone(),
        }),
    };
    v1::RoleBindingSpec {
        role: spec.role.to_string(),
        subjects: spec.subjects.iter().map(Subject::to_string).collect(),
        scope: Some(v1::RoleScope { scope: Some(scope) }),
    }
}

/// Reads a spec.
///
/// # Errors
/// Every fault of form, with paths as in files.
pub fn role_binding_spec_from_proto(spec: &v1::RoleBindingSpec) -> Result<RoleBindingSpec, Vec<Violation>> {
    let mut faults = Faults::default();
    let role = faults.choice("spec.role", &spec.role, &words::ROLES);
    let subjects = names(&mut faults, "spec.subjects", &spec.subjects);
    let (mut fleet, mut tenants, mut selector) = (false, None, None);
    match spec.scope.as_ref().and_then(|scope| scope.scope.as_ref()) {
        Some(In::Fleet(_)) => fleet = true,
        Some(In::Tenants(given)) => {
            tenants = Some(names(&mut faults, "spec.scope.tenants", &given.ids));
        }
        Some(In::Selector(given)) => {
            selector = Some(TenantSelector {
                organisation: given.organisation.clone(),
                team: given.team.clone(),
                project: given.project.clone(),
                labels: given.labels.clone(),
            });
        }
        None => {}
    }
    let scope = one_scope(&mut faults, fleet, tenants, selector);
    let read = match (role, scope) {
        (Some(role), Some(scope)) => Some(RoleBindingSpec {
            role,
            subjects,
            scope,
        }),
        _ => None,
    };
    faults.finish(read)
}

/// The one scope that is given.
pub(crate) fn one_scope(
    faults: &mut Faults,
    fleet: bool,
    tenants: Option<BTreeSet<TenantId>>,
    selector: Option<TenantSelector>,
) -> Option<Scope> {
    match (fleet, tenants, selector) {
        (true, None, None) => Some(Scope::Fleet),
        (false, Some(ids), None) => Some(Scope::Tenants(ids)),
        (false, None, Some(selector)) => Some(Scope::Selector(selector)),
        (given, tenants, selector) => {
            let problem = if given || tenants.is_some() || selector.is_some() {
                "has more than one of fleet, tenants and selector"
            } else {
                "is required"
            };
            let hint = "write one of fleet: true, tenants: [ID, ...], selector: {organisation: NAME}";
            faults.add("spec.scope", problem, hint);
            None
        }
    }
}

fn names<T: std::str::FromStr<Err = berth_model::InvalidId> + Ord>(
    faults: &mut Faults,
    path: &str,
    texts: &[String],
) -> BTreeSet<T> {
    let each = texts.iter().enumerate();
    each.filter_map(|(at, text)| faults.name(&format!("{path}[{at}]"), text))
        .collect()
}

/// A role with its permissions.
#[must_use]
pub fn role_to_proto(role: Role) -> v1::Role {
    let permission = |rule: &berth_model::Rule| v1::Permission {
        name: rule.permission.to_owned(),
        reach: match rule.reach {
            Reach::Everybody => "everybody",
            Reach::Anywhere => "anywhere",
            Reach::Tenant => "tenant",
            Reach::Fleet => "fleet",
        }
        .to_owned(),
    };
    v1::Role {
        name: format!("roles/{role}"),
        description: role.description().to_owned(),
        permissions: role.permissions().map(permission).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_spec_survives(spec in testing::role_binding_spec()) {
            prop_assert_eq!(role_binding_spec_from_proto(&role_binding_spec_to_proto(&spec)), Ok(spec));
        }
    }

    #[test]
    fn every_fault_is_reported_at_once_and_a_scope_is_required() {
        let paths = |spec: &v1::RoleBindingSpec| -> Vec<String> {
            let faults = role_binding_spec_from_proto(spec).unwrap_err();
            faults.into_iter().map(|fault| fault.path).collect()
        };
        let spec = v1::RoleBindingSpec {
            role: "root".into(),
            subjects: vec!["alice".into(), "user:a".into()],
            scope: Some(v1::RoleScope {
                scope: Some(In::Tenants(v1::TenantIds {
                    ids: vec!["A".into()],
                })),
            }),
        };
        assert_eq!(
            paths(&spec),
            ["spec.role", "spec.subjects[0]", "spec.scope.tenants[0]"]
        );
        let none = v1::RoleBindingSpec {
            role: "viewer".into(),
            ..Default::default()
        };
        assert_eq!(paths(&none), ["spec.scope"]);
    }
}
