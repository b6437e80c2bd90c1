//! Roles.

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::file::{API_VERSION, Tree};

use super::{
    Describe, Shown,
    describe::Description,
    short,
    table::{Cell, Column},
};
use crate::{exit::Failure, kinds::Kind, terminal::Terminal};

impl Shown for v1::Role {
    const KIND: Kind = Kind::Role;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("PERMISSIONS"),
        Column::new("DESCRIPTION"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::new(self.name()),
            Cell::new(self.permissions.len().to_string()),
            Cell::new(&self.description),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let permission = |permission: &v1::Permission| {
            Tree::map()
                .text("name", &permission.name)
                .text("reach", &permission.reach)
        };
        let permissions = Tree::List(self.permissions.iter().map(permission).collect());
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Role")
            .with("metadata", Tree::map().text("name", &self.name()))
            .with("description", Tree::Text(self.description.clone()))
            .with("permissions", permissions))
    }
}

impl Describe for v1::Role {
    fn describe(&self, _terminal: &Terminal, _now: Timestamp) -> Result<String, Failure> {
        let permissions: Vec<String> = self
            .permissions
            .iter()
            .map(|permission| format!("{} ({})", permission.name, permission.reach))
            .collect();
        Ok(Description::default()
            .field("Name", self.name())
            .field("Description", &self.description)
            .lines("Permissions (how far a binding must reach)", &permissions)
            .finish())
    }
}
