//! Join tokens, without their secrets.

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
use crate::{exit::Failure, kinds::Kind, terminal::Terminal};

impl Shown for v1::JoinToken {
    const KIND: Kind = Kind::Token;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("CLUSTER"),
        Column::new("EXPIRES-IN"),
        Column::new("FOR"),
        Column::wide("FROM"),
        Column::wide("LABELS"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::new(self.name()),
            Cell::new(&self.cluster),
            Cell::new(age::until(self.expire_time.as_ref(), now)),
            Cell::new(purpose(self)),
            Cell::new(self.source_cidrs.join(",")),
            Cell::new(labels(self)),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "JoinToken")
            .with("metadata", Tree::map().text("name", &self.name()))
            .with(
                "spec",
                Tree::map()
                    .text("cluster", &self.cluster)
                    .with_some("expireTime", time(self.expire_time.as_ref()))
                    .with_some("labels", self.labels.iter().collect())
                    .with_some("from", Tree::texts(&self.source_cidrs))
                    .with("rejoin", Tree::Bool(self.rejoin))
                    .with("acceptByAdmin", Tree::Bool(self.require_accept)),
            ))
    }
}

impl Describe for v1::JoinToken {
    fn describe(&self, _terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        Ok(Description::default()
            .field("Name", self.name())
            .field("Cluster", &self.cluster)
            .field("Expires in", age::until(self.expire_time.as_ref(), now))
            .field("For", purpose(self))
            .field("From", self.source_cidrs.join(", "))
            .field("Labels", labels(self))
            .finish())
    }
}

const fn purpose(token: &v1::JoinToken) -> &'static str {
    match (token.rejoin, token.require_accept) {
        (true, _) => "rejoin",
        (false, true) => "join, to be accepted",
        (false, false) => "join",
    }
}

fn labels(token: &v1::JoinToken) -> String {
    token
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
