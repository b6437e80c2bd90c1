//! API keys, without their secrets.

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

impl Shown for v1::ApiKey {
    const KIND: Kind = Kind::ApiKey;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("EXPIRES-IN"),
        Column::new("LAST-USED"),
        Column::new("AGE"),
        Column::wide("CREATOR"),
        Column::wide("DESCRIPTION"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::new(self.name()),
            Cell::new(age::until(self.expire_time.as_ref(), now)),
            Cell::new(last_used(self, now)),
            Cell::new(age::since(self.create_time.as_ref(), now)),
            Cell::new(&self.creator),
            Cell::new(&self.description),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "ApiKey")
            .with(
                "metadata",
                Tree::map().text("name", &self.name()).text("uid", &self.uid),
            )
            .with(
                "spec",
                Tree::map()
                    .text("description", &self.description)
                    .with_some("expireTime", time(self.expire_time.as_ref())),
            )
            .with(
                "status",
                Tree::map()
                    .text("creator", &self.creator)
                    .with_some("createTime", time(self.create_time.as_ref()))
                    .with_some("lastUseTime", time(self.last_use_time.as_ref())),
            ))
    }
}

impl Describe for v1::ApiKey {
    fn describe(&self, _terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        Ok(Description::default()
            .field("Name", self.name())
            .field("Subject", format!("apikey:{}", self.name()))
            .field("Description", &self.description)
            .field("Creator", &self.creator)
            .field("Expires in", age::until(self.expire_time.as_ref(), now))
            .field("Last used", last_used(self, now))
            .finish())
    }
}

/// Kept to the hour.
fn last_used(key: &v1::ApiKey, now: Timestamp) -> String {
    match &key.last_use_time {
        Some(at) => format!("{} ago", age::since(Some(at), now)),
        None => "never".into(),
    }
}
