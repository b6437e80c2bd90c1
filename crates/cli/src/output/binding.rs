//! Role bindings.

use berth_model::Timestamp;
use berth_proto::v1::{self, role_scope::Scope};
use berth_wire::{
    api,
    file::{API_VERSION, Tree, role_binding_spec_tree},
};

use super::{
    Describe, Shown,
    describe::Description,
    short,
    table::{Cell, Column},
};
use crate::{
    exit::{Exit, Failure},
    kinds::Kind,
    terminal::Terminal,
};

impl Shown for v1::RoleBinding {
    const KIND: Kind = Kind::RoleBinding;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("ROLE"),
        Column::new("SCOPE"),
        Column::new("SUBJECTS"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.clone().unwrap_or_default();
        vec![
            Cell::new(self.name()),
            Cell::new(spec.role),
            Cell::new(scope(self)),
            Cell::new(spec.subjects.join(",")),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let metadata = Tree::map()
            .text("name", &self.name())
            .some_text("uid", &self.uid)
            .number("generation", self.generation)
            .some_text("etag", &self.etag);
        let spec = self.spec.clone().unwrap_or_default();
        let spec = api::role_binding_spec_from_proto(&spec).map_err(|violations| Failure {
            exit: Exit::Failure,
            lines: violations
                .iter()
                .map(|violation| {
                    format!(
                        "{}: the hub is newer than this command line: {violation}",
                        self.name
                    )
                })
                .collect(),
        })?;
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "RoleBinding")
            .with("metadata", metadata)
            .with("spec", role_binding_spec_tree(&spec)))
    }
}

impl Describe for v1::RoleBinding {
    fn describe(&self, _terminal: &Terminal, _now: Timestamp) -> Result<String, Failure> {
        let spec = self.spec.clone().unwrap_or_default();
        Ok(Description::default()
            .field("Name", self.name())
            .field("UID", &self.uid)
            .field("Generation", self.generation.to_string())
            .field("Role", spec.role)
            .field("Scope", scope(self))
            .lines("Subjects", &spec.subjects)
            .finish())
    }
}

/// Where it counts, on one line.
fn scope(binding: &v1::RoleBinding) -> String {
    let scope = binding.spec.as_ref().and_then(|spec| spec.scope.as_ref());
    match scope.and_then(|scope| scope.scope.as_ref()) {
        Some(Scope::Fleet(_)) => "fleet".into(),
        Some(Scope::Tenants(tenants)) => format!("tenants {}", tenants.ids.join(",")),
        Some(Scope::Selector(selector)) => {
            let owner = [
                ("organisation", &selector.organisation),
                ("team", &selector.team),
                ("project", &selector.project),
            ];
            let owner = owner
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(key, value)| format!("{key}={value}"));
            let labels = selector
                .labels
                .iter()
                .map(|(key, value)| format!("label.{key}={value}"));
            owner.chain(labels).collect::<Vec<_>>().join(",")
        }
        None => "?".into(),
    }
}
