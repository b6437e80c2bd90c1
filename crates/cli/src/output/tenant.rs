//! Tenants.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::{
    api,
    file::{API_VERSION, Tree, tenant_spec_tree},
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
    terminal::{Terminal, Tone},
};

/// The condition of a type.
pub(crate) fn condition<'a>(tenant: &'a v1::Tenant, kind: &str) -> Option<&'a v1::Condition> {
    tenant
        .status
        .as_ref()?
        .conditions
        .iter()
        .find(|condition| condition.r#type.eq_ignore_ascii_case(kind))
}

impl Shown for v1::Tenant {
    const KIND: Kind = Kind::Tenant;
    const COLUMNS: &'static [Column] = &[
        Column::new("NAME"),
        Column::new("TIER"),
        Column::new("ISOLATION"),
        Column::new("CLUSTER"),
        Column::new("READY"),
        Column::new("HEALTH"),
        Column::new("AGE"),
        Column::wide("NAMESPACES"),
        Column::wide("SIZE"),
        Column::wide("REASON"),
        Column::wide("EVIDENCE"),
    ];

    fn name(&self) -> String {
        short(&self.name).to_owned()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = self.spec.clone().unwrap_or_default();
        let status = self.status.clone().unwrap_or_default();
        let placement = status.placement.clone().unwrap_or_default();
        let ready = condition(self, "Ready");
        let health = match (&self.delete_time, status.health.as_str()) {
            (Some(_), _) => Cell::toned("Deleting", Tone::Unsure),
            (None, "") => Cell::toned("Unknown", Tone::Unsure),
            (None, health) => Cell::toned(health, tone(health)),
        };
        let evidence = match &status.evidence_time {
            Some(at) => age::since(Some(at), now),
            None => String::new(),
        };
        vec![
            Cell::new(self.name()),
            Cell::new(spec.tier),
            Cell::new(isolation(&placement.isolation, &status.accepted_gaps)),
            Cell::new(placement.cluster),
            Cell::truth(ready.map_or("Unknown", |ready| ready.status.as_str())),
            health,
            Cell::new(age::since(self.create_time.as_ref(), now)),
            Cell::new(status.namespaces.join(",")),
            Cell::new(if spec.size.is_empty() {
                "<default>".to_owned()
            } else {
                spec.size
            }),
            Cell::new(ready.map_or("", |ready| ready.reason.as_str())),
            Cell::new(evidence),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let metadata = Tree::map()
            .text("name", &self.name())
            .some_text("uid", &self.uid)
            .number("generation", self.generation)
            .some_text("etag", &self.etag)
            .with_some("createTime", time(self.create_time.as_ref()))
            .with_some("deleteTime", time(self.delete_time.as_ref()));
        let status = self.status.clone().unwrap_or_default();
        let placement = status.placement.unwrap_or_default();
        let status = Tree::map()
            .number("observedGeneration", status.observed_generation)
            .with_some(
                "conditions",
                Tree::List(status.conditions.iter().map(condition_tree).collect()),
            )
            .with_some(
                "placement",
                Tree::map()
                    .some_text("isolation", &placement.isolation)
                    .some_text("cluster", &placement.cluster)
                    .some_text("pool", &placement.pool),
            )
            .with_some("namespaces", Tree::texts(&status.namespaces))
            .some_text("health", &status.health)
            .some_text("healthMessage", &status.health_message)
            .with_some("acceptedGaps", status.accepted_gaps.iter().collect())
            .with_some("evidenceTime", time(status.evidence_time.as_ref()))
            .with_some("warnings", Tree::texts(&status.warnings));
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Tenant")
            .with("metadata", metadata)
            .with("spec", spec(self)?)
            .with("status", status))
    }
}

impl Describe for v1::Tenant {
    fn describe(&self, terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        let status = self.status.clone().unwrap_or_default();
        let placement = status.placement.clone().unwrap_or_default();
        let deleting = self
            .delete_time
            .as_ref()
            .map(|at| format!("{} ago", age::since(Some(at), now)));
        let evidence = status
            .evidence_time
            .as_ref()
            .map(|at| format!("{} old", age::since(Some(at), now)));
        let health = match status.health_message.as_str() {
            "" => status.health.clone(),
            message => format!("{}: {message}", status.health),
        };
        let stale = if status.observed_generation < self.generation {
            " (not looked at yet)"
        } else {
            ""
        };
        Ok(Description::default()
            .field("Name", self.name())
            .field("UID", &self.uid)
            .field("Generation", format!("{}{stale}", self.generation))
            .field("Age", age::since(self.create_time.as_ref(), now))
            .field("Deletion asked for", deleting.unwrap_or_default())
            .field("Isolation", &placement.isolation)
            .field("Cluster", &placement.cluster)
            .field("Node pool", &placement.pool)
            .field("Namespaces", status.namespaces.join(", "))
            .field("Health", health)
            .field("Evidence", evidence.unwrap_or_default())
            .conditions(terminal, &status.conditions, now)
            .lines("Accepted gaps", &gaps(&status.accepted_gaps))
            .lines("Warnings", &status.warnings)
            .yaml("Spec", &spec(self)?)?
            .finish())
    }
}

/// The level, and for which reason one of its walls need not hold.
fn isolation(level: &str, accepted: &BTreeMap<String, String>) -> String {
    let reasons: BTreeSet<&str> = accepted.values().map(String::as_str).collect();
    if reasons.is_empty() {
        return level.to_owned();
    }
    let reasons: Vec<&str> = reasons.into_iter().collect();
    format!("{level} ({})", reasons.join(", "))
}

fn gaps(accepted: &BTreeMap<String, String>) -> Vec<String> {
    accepted
        .iter()
        .map(|(gap, reason)| format!("{gap}: {reason}"))
        .collect()
}

fn spec(tenant: &v1::Tenant) -> Result<Tree, Failure> {
    let spec = tenant.spec.clone().unwrap_or_default();
    api::tenant_spec_from_proto(&spec)
        .map(|spec| tenant_spec_tree(&spec))
        .map_err(|violations| Failure {
            exit: Exit::Failure,
            lines: violations
                .iter()
                .map(|violation| {
                    format!(
                        "{}: the hub is newer than this command line: {violation}",
                        tenant.name
                    )
                })
                .collect(),
        })
}

/// A condition as `metav1.Condition` writes it.
pub(super) fn condition_tree(condition: &v1::Condition) -> Tree {
    let tree = Tree::map()
        .text("type", &condition.r#type)
        .text("status", &condition.status)
        .text("reason", &condition.reason)
        .text("message", &condition.message)
        .with_some(
            "lastTransitionTime",
            time(condition.last_transition_time.as_ref()),
        );
    if condition.observed_generation > 0 {
        tree.number("observedGeneration", condition.observed_generation)
    } else {
        tree
    }
}

fn tone(health: &str) -> Tone {
    match health {
        "Healthy" => Tone::Good,
        "Degraded" | "Unhealthy" => Tone::Bad,
        _ => Tone::Unsure,
    }
}
