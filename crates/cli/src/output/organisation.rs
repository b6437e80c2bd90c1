//! Organisations.

use std::collections::BTreeMap;

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::{
    api,
    file::{API_VERSION, Tree, organisation_spec_tree},
};

use super::{
    Describe, Shown,
    describe::Description,
    short,
    table::{Cell, Column, Table},
};
use crate::{
    exit::{Exit, Failure},
    kinds::Kind,
    terminal::Terminal,
};

/// The amounts that have a column, in order.
const AMOUNTS: [&str; 6] = [
    "requests.cpu",
    "requests.memory",
    "requests.nvidia.com/gpu",
    "limits.cpu",
    "limits.memory",
    "pods",
];

impl Shown for v1::Organisation {
    const KIND: Kind = Kind::Organisation;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("TEAMS"),
        Column::new("TENANTS"),
        Column::new("REQUESTS.CPU"),
        Column::new("REQUESTS.MEMORY"),
        Column::new("GPU"),
        Column::wide("LIMITS.CPU"),
        Column::wide("LIMITS.MEMORY"),
        Column::wide("PODS"),
        Column::wide("DESCRIPTION"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.clone().unwrap_or_default();
        let amounts = AMOUNTS
            .iter()
            .map(|name| Cell::new(of(self, "", "", &spec.quota, name)));
        let mut row = vec![
            Cell::new(self.name()),
            Cell::new(spec.teams.len().to_string()),
            Cell::new(self.tenants.to_string()),
        ];
        row.extend(amounts);
        row.push(Cell::new(spec.display_name));
        row
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let metadata = Tree::map()
            .text("name", &self.name())
            .some_text("uid", &self.uid)
            .number("generation", self.generation)
            .some_text("etag", &self.etag)
            .number("tenants", self.tenants);
        let usage = |usage: &v1::OwnerUsage| {
            Tree::map()
                .some_text("team", &usage.team)
                .some_text("project", &usage.project)
                .with("used", usage.used.iter().collect())
        };
        let status = Tree::map().with_some("usage", Tree::List(self.usage.iter().map(usage).collect()));
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Organisation")
            .with("metadata", metadata)
            .with("spec", spec(self)?)
            .with_some("status", status))
    }
}

impl Describe for v1::Organisation {
    fn describe(&self, terminal: &Terminal, _now: Timestamp) -> Result<String, Failure> {
        const COLUMNS: &[Column] = &[
            Column::new("TEAM"),
            Column::new("PROJECT"),
            Column::new("AMOUNT"),
            Column::new("USED/LIMIT"),
        ];
        let spec = self.spec.clone().unwrap_or_default();
        let mut levels = vec![("", "", &spec.quota)];
        for team in &spec.teams {
            levels.push((&team.name, "", &team.quota));
            let projects = team.projects.iter();
            levels.extend(projects.map(|project| (&*team.name, &*project.name, &project.quota)));
        }
        let mut table = Table::new(COLUMNS, false);
        let mut rows = 0;
        for (team, project, quota) in levels {
            for name in quota.keys() {
                table.push(vec![
                    Cell::new(if team.is_empty() { "<all>" } else { team }),
                    Cell::new(if project.is_empty() { "<all>" } else { project }),
                    Cell::new(name),
                    Cell::new(of(self, team, project, quota, name)),
                ]);
                rows += 1;
            }
        }
        let usage: Vec<String> = if rows == 0 {
            Vec::new()
        } else {
            table.render(terminal, true).lines().map(str::to_owned).collect()
        };
        Ok(Description::default()
            .field("Name", self.name())
            .field("Display name", spec.display_name)
            .field("UID", &self.uid)
            .field("Generation", self.generation.to_string())
            .field("Teams", spec.teams.len().to_string())
            .field("Tenants", self.tenants.to_string())
            .lines("Usage", &usage)
            .finish())
    }
}

/// `used/limit` at a level.
fn of(
    organisation: &v1::Organisation,
    team: &str,
    project: &str,
    quota: &BTreeMap<String, String>,
    name: &str,
) -> String {
    let Some(limit) = quota.get(name) else {
        return "<unbounded>".into();
    };
    let used = organisation
        .usage
        .iter()
        .find(|usage| usage.team == team && usage.project == project)
        .and_then(|usage| usage.used.get(name))
        .map_or("?", String::as_str);
    format!("{used}/{limit}")
}

fn spec(organisation: &v1::Organisation) -> Result<Tree, Failure> {
    let spec = organisation.spec.clone().unwrap_or_default();
    api::organisation_spec_from_proto(&spec)
        .map(|spec| organisation_spec_tree(&spec))
        .map_err(|violations| Failure {
            exit: Exit::Failure,
            lines: violations
                .iter()
                .map(|violation| {
                    format!(
                        "{}: the hub is newer than this command line: {violation}",
                        organisation.name
                    )
                })
                .collect(),
        })
}
