//! Tiers.

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::{
    api,
    file::{API_VERSION, Tree, tier_spec_tree},
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

impl Shown for v1::Tier {
    const KIND: Kind = Kind::Tier;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("ISOLATION"),
        Column::new("SIZE"),
        Column::new("PRICE"),
        Column::new("TENANTS"),
        Column::wide("PRIORITY"),
        Column::wide("POD-SECURITY"),
        Column::wide("UPTIME"),
        Column::wide("SUPPORT"),
        Column::wide("DESCRIPTION"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.clone().unwrap_or_default();
        let sla = spec.sla.unwrap_or_default();
        let price = match spec.price_usd_cents {
            0 => "<by size>".to_owned(),
            cents => format!("{}.{:02}", cents / 100, cents % 100),
        };
        vec![
            Cell::new(self.name()),
            Cell::new(spec.isolation),
            Cell::new(spec.default_size),
            Cell::new(price),
            Cell::new(self.tenants.to_string()),
            Cell::new(spec.priority),
            Cell::new(spec.pod_security),
            Cell::new(sla.uptime_percent),
            Cell::new(sla.support_hours),
            Cell::new(spec.display_name),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let metadata = Tree::map()
            .text("name", &self.name())
            .some_text("uid", &self.uid)
            .number("generation", self.generation)
            .some_text("etag", &self.etag)
            .number("tenants", self.tenants);
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Tier")
            .with("metadata", metadata)
            .with("spec", spec(self)?))
    }
}

impl Describe for v1::Tier {
    fn describe(&self, _terminal: &Terminal, _now: Timestamp) -> Result<String, Failure> {
        Ok(Description::default()
            .field("Name", self.name())
            .field("UID", &self.uid)
            .field("Generation", self.generation.to_string())
            .field("Tenants", self.tenants.to_string())
            .yaml("Spec", &spec(self)?)?
            .finish())
    }
}

fn spec(tier: &v1::Tier) -> Result<Tree, Failure> {
    let spec = tier.spec.clone().unwrap_or_default();
    api::tier_spec_from_proto(&spec)
        .map(|spec| tier_spec_tree(&spec))
        .map_err(|violations| Failure {
            exit: Exit::Failure,
            lines: violations
                .iter()
                .map(|violation| {
                    format!(
                        "{}: the hub is newer than this command line: {violation}",
                        tier.name
                    )
                })
                .collect(),
        })
}
