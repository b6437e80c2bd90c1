//! Organisations.

use std::collections::BTreeMap;

use berth_model::{
    Organisation, OrganisationSpec, Quantity, Violation,
    organisation::{Project, Team},
};
use berth_proto::v1;

use crate::{
    api::tenant::signed,
    faults::{Faults, quoted},
    names,
};

/// The organisation as the API shows it; `tenants` is how many belong to it, `usage` what they hold.
#[must_use]
pub fn organisation_to_proto(
    organisation: &Organisation,
    tenants: usize,
    usage: Vec<v1::OwnerUsage>,
) -> v1::Organisation {
    v1::Organisation {
        name: names::organisation(&organisation.name),
        uid: organisation.uid.to_string(),
        spec: Some(organisation_spec_to_proto(&organisation.spec)),
        generation: signed(organisation.generation),
        etag: names::etag(organisation.revision),
        tenants: i32::try_from(tenants).unwrap_or(i32::MAX),
        usage,
    }
}

/// The spec as the API writes it.
#[must_use]
pub fn organisation_spec_to_proto(spec: &OrganisationSpec) -> v1::OrganisationSpec {
    let project = |project: &Project| v1::Project {
        name: project.name.clone(),
        quota: amounts_to_proto(&project.quota),
    };
    let team = |team: &Team| v1::Team {
        name: team.name.clone(),
        display_name: team.display_name.clone(),
        quota: amounts_to_proto(&team.quota),
        projects: team.projects.iter().map(project).collect(),
    };
    v1::OrganisationSpec {
        display_name: spec.display_name.clone(),
        quota: amounts_to_proto(&spec.quota),
        teams: spec.teams.iter().map(team).collect(),
    }
}

/// Reads a spec.
///
/// # Errors
/// Every fault of form, with paths as in files.
pub fn organisation_spec_from_proto(spec: &v1::OrganisationSpec) -> Result<OrganisationSpec, Vec<Violation>> {
    let mut faults = Faults::default();
    let quota = amounts(&mut faults, "spec", &spec.quota);
    let teams = spec
        .teams
        .iter()
        .enumerate()
        .map(|(at, team)| {
            let path = format!("spec.teams[{at}]");
            Team {
                name: team.name.clone(),
                display_name: team.display_name.clone(),
                quota: amounts(&mut faults, &path, &team.quota),
                projects: team
                    .projects
                    .iter()
                    .enumerate()
                    .map(|(at, project)| Project {
                        name: project.name.clone(),
                        quota: amounts(&mut faults, &format!("{path}.projects[{at}]"), &project.quota),
                    })
                    .collect(),
            }
        })
        .collect();
    faults.finish(Some(OrganisationSpec {
        display_name: spec.display_name.clone(),
        quota,
        teams,
    }))
}

/// Amounts by quota name as the API writes them.
#[must_use]
pub fn amounts_to_proto(amounts: &BTreeMap<String, Quantity>) -> BTreeMap<String, String> {
    amounts
        .iter()
        .map(|(name, amount)| (name.clone(), amount.to_string()))
        .collect()
}

fn amounts(faults: &mut Faults, path: &str, given: &BTreeMap<String, String>) -> BTreeMap<String, Quantity> {
    given
        .iter()
        .filter_map(|(name, amount)| {
            let path = quoted(&format!("{path}.quota"), name);
            Some((name.clone(), faults.quantity(&path, amount)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_spec_survives(spec in testing::organisation_spec()) {
            prop_assert_eq!(organisation_spec_from_proto(&organisation_spec_to_proto(&spec)), Ok(spec));
        }
    }

    #[test]
    fn every_fault_is_reported_at_once() {
        let wrong = || [("pods".to_owned(), "many".to_owned())].into();
        let spec = v1::OrganisationSpec {
            quota: wrong(),
            teams: vec![v1::Team {
                quota: wrong(),
                projects: vec![v1::Project {
                    quota: wrong(),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let paths: Vec<String> = organisation_spec_from_proto(&spec)
            .unwrap_err()
            .into_iter()
            .map(|violation| violation.path)
            .collect();
        assert_eq!(
            paths,
            [
                "spec.quota[\"pods\"]",
                "spec.teams[0].quota[\"pods\"]",
                "spec.teams[0].projects[0].quota[\"pods\"]"
            ]
        );
    }
}
