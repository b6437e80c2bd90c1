//! Who tenants belong to, and how much each level may hold: an organisation of teams, a team of projects.
//!
//! A tenant names its place by [`Owner`]. Where no organisation of that name exists, the name is a free text and bounds nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    id::{Generation, OrganisationName, Revision, Uid},
    quantity::Quantity,
    tenant::Owner,
};

/// An organisation as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organisation {
    /// Its name.
    pub name: OrganisationName,
    /// What tells it from an earlier organisation of that name.
    pub uid: Uid,
    /// Raised by every change of the spec.
    pub generation: Generation,
    /// The store's version of it; the `etag` of the API.
    pub revision: Revision,
    /// What was asked for.
    pub spec: OrganisationSpec,
}

/// Limits of an organisation, and what it is divided into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrganisationSpec {
    /// Name for people; empty means the name.
    pub display_name: String,
    /// Most that its tenants may hold together, by quota name; a name that is not here is unbounded.
    pub quota: BTreeMap<String, Quantity>,
    /// Its teams.
    pub teams: Vec<Team>,
}

/// A part of an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Team {
    /// A DNS label, one of a kind in the organisation.
    pub name: String,
    /// Name for people; empty means the name.
    pub display_name: String,
    /// Its part of the organisation's quota.
    pub quota: BTreeMap<String, Quantity>,
    /// Its projects.
    pub projects: Vec<Project>,
}

/// A part of a team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// A DNS label, one of a kind in the team.
    pub name: String,
    /// Its part of the team's quota.
    pub quota: BTreeMap<String, Quantity>,
}

impl OrganisationSpec {
    /// The team of that name.
    #[must_use]
    pub fn team(&self, name: &str) -> Option<&Team> {
        self.teams.iter().find(|team| team.name == name)
    }
}

impl Team {
    /// The project of that name.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.name == name)
    }
}

/// A place in an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// The organisation as a whole.
    Organisation(&'a OrganisationSpec),
    /// One team.
    Team(&'a Team),
    /// One project of a team.
    Project(&'a Team, &'a Project),
}

impl<'a> Node<'a> {
    /// The places that an owner is in, from the innermost outwards. What is not divided further is the end of it.
    #[must_use]
    pub fn path(spec: &'a OrganisationSpec, owner: &Owner) -> Vec<Self> {
        let mut path = vec![Self::Organisation(spec)];
        if let Some(team) = spec.team(&owner.team) {
            path.push(Self::Team(team));
            if let Some(project) = team.project(&owner.project) {
                path.push(Self::Project(team, project));
            }
        }
        path.reverse();
        path
    }

    /// Every place, a parent before its children.
    #[must_use]
    pub fn all(spec: &'a OrganisationSpec) -> Vec<Self> {
        let mut all = vec![Self::Organisation(spec)];
        for team in &spec.teams {
            all.push(Self::Team(team));
            all.extend(team.projects.iter().map(|project| Self::Project(team, project)));
        }
        all
    }

    /// The most that is held there, by quota name.
    #[must_use]
    pub const fn quota(self) -> &'a BTreeMap<String, Quantity> {
        match self {
            Self::Organisation(spec) => &spec.quota,
            Self::Team(team) => &team.quota,
            Self::Project(_, project) => &project.quota,
        }
    }

    /// The name of its team; empty for the organisation.
    #[must_use]
    pub fn team(self) -> &'a str {
        match self {
            Self::Organisation(_) => "",
            Self::Team(team) | Self::Project(team, _) => &team.name,
        }
    }

    /// The name of its project; empty for the others.
    #[must_use]
    pub fn project(self) -> &'a str {
        match self {
            Self::Organisation(_) | Self::Team(_) => "",
            Self::Project(_, project) => &project.name,
        }
    }
}
