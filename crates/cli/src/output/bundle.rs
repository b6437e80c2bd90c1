//! Bundle versions.

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::{
    api,
    file::{API_VERSION, Tree, bundle_spec_tree},
};

use super::{
    Describe, Shown, age,
    describe::Description,
    short,
    table::{Cell, Column},
    time,
};
use crate::{
    exit::{Exit, Failure},
    kinds::Kind,
    terminal::Terminal,
};

/// Name and version of `bundles/{name}/versions/{version}`.
fn parts(bundle: &v1::Bundle) -> (&str, &str) {
    let name = short(&bundle.name);
    name.split_once("/versions/").unwrap_or((name, ""))
}

impl Shown for v1::Bundle {
    const KIND: Kind = Kind::Bundle;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("VERSION"),
        Column::new("TENANTS"),
        Column::new("AGE"),
        Column::wide("PARAMETERS"),
        Column::wide("DESCRIPTION"),
    ];

    fn name(&self) -> String {
        let (name, version) = parts(self);
        format!("{name}@{version}")
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let (name, version) = parts(self);
        let spec = self.spec.clone().unwrap_or_default();
        let parameters: Vec<String> = spec
            .parameters
            .iter()
            .map(|parameter| format!("{}:{}", parameter.name, parameter.r#type))
            .collect();
        vec![
            Cell::new(name),
            Cell::new(version),
            Cell::new(self.tenants.to_string()),
            Cell::new(age::since(self.create_time.as_ref(), now)),
            Cell::new(parameters.join(",")),
            Cell::new(spec.description),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let (name, version) = parts(self);
        let metadata = Tree::map()
            .text("name", name)
            .text("version", version)
            .some_text("uid", &self.uid)
            .some_text("etag", &self.etag)
            .with_some("createTime", time(self.create_time.as_ref()));
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Bundle")
            .with("metadata", metadata)
            .with("spec", spec(self)?))
    }
}

impl Describe for v1::Bundle {
    fn describe(&self, _terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        let (name, version) = parts(self);
        Ok(Description::default()
            .field("Name", name)
            .field("Version", version)
            .field("UID", &self.uid)
            .field("Age", age::since(self.create_time.as_ref(), now))
            .field("Tenants", self.tenants.to_string())
            .yaml("Spec", &spec(self)?)?
            .finish())
    }
}

fn spec(bundle: &v1::Bundle) -> Result<Tree, Failure> {
    let spec = bundle.spec.clone().unwrap_or_default();
    api::bundle_spec_from_proto(&spec)
        .map(|spec| bundle_spec_tree(&spec))
        .map_err(|violations| Failure {
            exit: Exit::Failure,
            lines: violations
                .iter()
                .map(|violation| {
                    format!(
                        "{}: the hub is newer than this command line: {violation}",
                        bundle.name
                    )
                })
                .collect(),
        })
}
