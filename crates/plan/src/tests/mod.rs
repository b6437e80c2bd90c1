//! Rules of the planner as a whole.

mod admission;
mod breaker;
mod leaving;
mod life;
mod linting;
mod network;
mod nonsense;
mod owners;
mod placement;
mod properties;
mod secrets;
mod walls;

use berth_model::{ConditionKind, TenantId};

use crate::{Scope, plan, testing::world::World, view::View};

/// The tenant's conditions now, one a line.
fn conditions(view: &View, id: &TenantId) -> String {
    let plan = plan(view, &Scope::Tenants([id.clone()].into()));
    let Some(status) = plan.status.get(id) else {
        return "no such tenant".into();
    };
    let lines: Vec<String> = ConditionKind::ALL
        .iter()
        .filter_map(|kind| status.conditions.get(*kind))
        .map(|c| {
            format!(
                "{} {} {}: {}",
                c.kind.as_str(),
                c.status.as_str(),
                c.reason,
                c.message
            )
        })
        .collect();
    lines.join("\n")
}

/// Names of the steps of one turn about everybody.
fn turn(world: &mut World) -> Vec<String> {
    world
        .turn_of(&Scope::All)
        .steps
        .iter()
        .map(|step| {
            format!("{step:?}")
                .split(|c: char| !c.is_alphanumeric())
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}
