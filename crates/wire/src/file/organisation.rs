//! `kind: Organisation`.

use std::collections::BTreeMap;

use berth_model::{
    OrganisationSpec, Quantity,
    organisation::{Project, Team},
};

use super::{reader::Reader, tree::Tree};

pub(super) fn read(spec: &mut Reader<'_>) -> Option<OrganisationSpec> {
    Some(OrganisationSpec {
        display_name: spec.text_or_empty("displayName"),
        quota: spec.quantities("quota"),
        teams: spec.objects("teams", team),
    })
}

fn team(team: &mut Reader<'_>) -> Option<Team> {
    let name = required(team);
    let display_name = team.text_or_empty("displayName");
    let quota = team.quantities("quota");
    let projects = team.objects("projects", project);
    Some(Team {
        name: name?,
        display_name,
        quota,
        projects,
    })
}

fn project(project: &mut Reader<'_>) -> Option<Project> {
    let name = required(project);
    let quota = project.quantities("quota");
    Some(Project { name: name?, quota })
}

/// Whether it is a good name is decided where all rules for organisations are.
fn required(reader: &mut Reader<'_>) -> Option<String> {
    let name = reader.text("name");
    if name.is_none() {
        let path = reader.path_of("name");
        reader.faults.add(&path, "is required", "");
    }
    name
}

/// The spec as it is written.
#[must_use]
pub fn organisation_spec_tree(spec: &OrganisationSpec) -> Tree {
    let OrganisationSpec {
        display_name,
        quota,
        teams,
    } = spec;
    let project = |project: &Project| {
        Tree::map()
            .text("name", &project.name)
            .with_some("quota", amounts(&project.quota))
    };
    let team = |team: &Team| {
        Tree::map()
            .text("name", &team.name)
            .some_text("displayName", &team.display_name)
            .with_some("quota", amounts(&team.quota))
            .with_some(
                "projects",
                Tree::List(team.projects.iter().map(project).collect()),
            )
    };
    Tree::map()
        .some_text("displayName", display_name)
        .with_some("quota", amounts(quota))
        .with_some("teams", Tree::List(teams.iter().map(team).collect()))
}

fn amounts(quota: &BTreeMap<String, Quantity>) -> Tree {
    quota
        .iter()
        .map(|(name, amount)| (name, Tree::Text(amount.to_string())))
        .collect()
}
