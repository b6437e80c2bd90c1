//! Rules for role bindings.

use berth_model::{RoleBindingName, RoleBindingSpec, Scope};

use super::{Verdict, faults::Faults};

/// Most subjects of one binding, and most tenants of its scope.
const MOST: usize = 500;

/// Whether a role binding may be made of `spec`. Whether its writer may give what it gives is another question
/// ([`crate::authorize::Grants::may_bind`]).
///
/// # Errors
/// Every fault, with its path.
pub fn role_binding(name: &str, spec: &RoleBindingSpec) -> Verdict {
    let mut faults = Faults::default();
    if let Err(error) = RoleBindingName::new(name) {
        faults.add(
            "metadata.name",
            error.problem,
            "a DNS label of at most 63 characters",
        );
    }
    if spec.subjects.is_empty() {
        faults.add(
            "spec.subjects",
            "is empty",
            "say who gets the role, such as user:alice@example.com or group:platform",
        );
    }
    too_many(&mut faults, "spec.subjects", spec.subjects.len());
    match &spec.scope {
        Scope::Fleet => {}
        Scope::Tenants(ids) => {
            if ids.is_empty() {
                faults.add("spec.scope.tenants", "is empty", "name tenants by their ids");
            }
            too_many(&mut faults, "spec.scope.tenants", ids.len());
        }
        Scope::Selector(selector) => {
            if selector.is_empty() {
                faults.add(
                    "spec.scope.selector",
                    "is empty and would match every tenant",
                    "write scope: {fleet: true} if that is meant",
                );
            }
            for (path, name, of) in [
                ("team", &selector.team, &selector.organisation),
                ("project", &selector.project, &selector.team),
            ] {
                if !name.is_empty() && of.is_empty() {
                    let above = if path == "team" { "organisation" } else { "team" };
                    faults.add(
                        format!("spec.scope.selector.{path}"),
                        format!("{name:?} is in no {above}, and others have one of that name"),
                        format!("say which in spec.scope.selector.{above}"),
                    );
                }
            }
        }
    }
    faults.verdict()
}

fn too_many(faults: &mut Faults, path: &str, entries: usize) {
    if entries > MOST {
        let problem = format!("has {entries} entries, at most {MOST} are possible");
        faults.add(
            path,
            problem,
            "divide it into several bindings, or use a group or a selector",
        );
    }
}

#[cfg(test)]
mod tests {
    use berth_model::{Role, TenantSelector};

    use super::*;

    fn faults(subjects: &[&str], scope: Scope) -> Vec<String> {
        let spec = RoleBindingSpec {
            role: Role::Viewer,
            subjects: subjects.iter().map(|subject| subject.parse().unwrap()).collect(),
            scope,
        };
        let verdict = role_binding("ops", &spec);
        let faults = verdict.err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn a_binding_names_somebody_and_somewhere() {
        let select = |organisation: &str, team: &str, project: &str| {
            Scope::Selector(TenantSelector {
                organisation: organisation.into(),
                team: team.into(),
                project: project.into(),
                ..TenantSelector::default()
            })
        };
        let alice = ["user:alice"];
        assert!(faults(&alice, Scope::Fleet).is_empty());
        assert!(faults(&alice, select("acme", "web", "shop")).is_empty());
        assert_eq!(faults(&[], Scope::Fleet), ["spec.subjects"]);
        assert_eq!(faults(&alice, Scope::Tenants([].into())), ["spec.scope.tenants"]);
        assert_eq!(faults(&alice, select("", "", "")), ["spec.scope.selector"]);
        assert_eq!(
            faults(&alice, select("", "web", "")),
            ["spec.scope.selector.team"]
        );
        assert_eq!(
            faults(&alice, select("acme", "", "shop")),
            ["spec.scope.selector.project"]
        );
        let spec = RoleBindingSpec {
            role: Role::Viewer,
            subjects: ["user:a".parse().unwrap()].into(),
            scope: Scope::Fleet,
        };
        assert_eq!(role_binding("Ops", &spec).unwrap_err()[0].path, "metadata.name");
    }
}
