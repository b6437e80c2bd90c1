//! Everything about one thing, for people: fields, then sections.

use berth_model::{Timestamp, visible};
use berth_proto::v1;
use berth_wire::file::Tree;

use super::{
    age,
    table::{Cell, Column, Table},
    unwritable,
};
use crate::{exit::Failure, terminal::Terminal};

/// Something that can be described.
pub(crate) trait Describe {
    /// All of it.
    fn describe(&self, terminal: &Terminal, now: Timestamp) -> Result<String, Failure>;
}

/// A description being written.
#[derive(Debug, Default)]
pub(super) struct Description {
    fields: Vec<(&'static str, String)>,
    sections: String,
}

impl Description {
    /// A field; left out when there is nothing to say.
    pub(super) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.fields.push((name, visible::line(&value).into_owned()));
        }
        self
    }

    /// A section in YAML; left out when there is nothing in it.
    pub(super) fn yaml(mut self, title: &str, tree: &Tree) -> Result<Self, Failure> {
        if !tree.is_empty() {
            self.section(title, &tree.to_yaml().map_err(unwritable)?);
        }
        Ok(self)
    }

    /// A section with one line each; left out when there are none.
    pub(super) fn lines(mut self, title: &str, lines: &[String]) -> Self {
        if !lines.is_empty() {
            let lines: Vec<_> = lines.iter().map(|line| visible::line(line)).collect();
            self.section(title, &lines.join("\n"));
        }
        self
    }

    /// The conditions as a table.
    pub(super) fn conditions(
        mut self,
        terminal: &Terminal,
        conditions: &[v1::Condition],
        now: Timestamp,
    ) -> Self {
        const COLUMNS: &[Column] = &[
            Column::new("TYPE"),
            Column::new("STATUS"),
            Column::new("REASON"),
            Column::new("SINCE"),
            Column::new("MESSAGE"),
        ];
        let mut table = Table::new(COLUMNS, false);
        for condition in conditions {
            table.push(vec![
                Cell::new(&condition.r#type),
                Cell::truth(&condition.status),
                Cell::new(&condition.reason),
                Cell::new(age::since(condition.last_transition_time.as_ref(), now)),
                Cell::new(&condition.message),
            ]);
        }
        if !conditions.is_empty() {
            self.section("Conditions", &table.render(terminal, true));
        }
        self
    }

    fn section(&mut self, title: &str, text: &str) {
        self.sections.push_str(title);
        self.sections.push_str(":\n");
        for line in text.lines() {
            if !line.is_empty() {
                self.sections.push_str("  ");
            }
            self.sections.push_str(line);
            self.sections.push('\n');
        }
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        let width = self
            .fields
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or_default()
            + 1;
        let mut text = String::new();
        for (name, value) in self.fields {
            text.push_str(&format!("{:width$}  {value}\n", format!("{name}:")));
        }
        text.push_str(&self.sections);
        text
    }
}
