//! Operations.

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::file::{API_VERSION, Tree};

use super::{
    Describe, Shown, age,
    describe::Description,
    short,
    table::{Cell, Column},
    time,
};
use crate::{
    exit::Failure,
    kinds::Kind,
    terminal::{Terminal, Tone},
};

impl Shown for v1::Operation {
    const KIND: Kind = Kind::Operation;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("TARGET"),
        Column::new("VERB"),
        Column::new("STATE"),
        Column::new("REASON"),
        Column::new("AGE"),
        Column::wide("MESSAGE"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let error = self.error.clone().unwrap_or_default();
        vec![
            Cell::new(self.name()),
            Cell::new(self.target.replacen("tenants/", "tenant/", 1)),
            Cell::new(&self.verb),
            state(self),
            Cell::new(&error.reason),
            Cell::new(age::since(self.create_time.as_ref(), now)),
            Cell::new(if self.error.is_some() {
                &error.message
            } else {
                &self.waiting_for
            }),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let error = self.error.as_ref().map_or(Tree::Null, |error| {
            Tree::map()
                .text("reason", &error.reason)
                .text("message", &error.message)
        });
        let metadata = Tree::map()
            .text("name", &self.name())
            .with_some("createTime", time(self.create_time.as_ref()));
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Operation")
            .with("metadata", metadata)
            .with(
                "spec",
                Tree::map().text("target", &self.target).text("verb", &self.verb),
            )
            .with(
                "status",
                Tree::map()
                    .with("done", Tree::Bool(self.done))
                    .with_some("error", error)
                    .some_text("waitingFor", &self.waiting_for),
            ))
    }
}

impl Describe for v1::Operation {
    fn describe(&self, _terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        let error = self.error.clone().unwrap_or_default();
        let state = match (self.done, &self.error) {
            (false, _) => "going on",
            (true, None) => "done",
            (true, Some(_)) => "failed",
        };
        Ok(Description::default()
            .field("Name", self.name())
            .field("Target", &self.target)
            .field("Verb", &self.verb)
            .field("State", state)
            .field("Waiting for", &self.waiting_for)
            .field("Reason", error.reason)
            .field("Message", error.message)
            .field("Age", age::since(self.create_time.as_ref(), now))
            .finish())
    }
}

fn state(operation: &v1::Operation) -> Cell {
    match (operation.done, &operation.error) {
        (false, _) => Cell::toned("Running", Tone::Unsure),
        (true, None) => Cell::toned("Done", Tone::Good),
        (true, Some(_)) => Cell::toned("Failed", Tone::Bad),
    }
}
