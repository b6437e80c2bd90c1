//! What is told of a tenant that is to go and does not.

use std::time::Duration;

use berth_model::{ConditionKind, Health, report::ApplyState};

use crate::{
    Scope,
    testing::{cluster_name, connect, empty, shared, tenant, tenant_id, world::World},
};

fn leaving() -> World {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 16));
    view.set_tenant(tenant("acme", "standard"));
    let mut world = World::new(view);
    world.settle();
    world.delete(&tenant_id("acme"));
    world.turn_of(&Scope::All);
    world
}

/// Its agent says `apply` of the assignment it holds.
fn says(world: &mut World, apply: ApplyState) {
    let acme = tenant_id("acme");
    let now = world.view.now;
    world.agent_acts(&acme, ApplyState::Applied, Health::healthy());
    let known = world.view.tenants.get_mut(&acme).unwrap();
    let evidence = known.report.as_mut().unwrap();
    assert_ne!(evidence.report.generation.0, 0);
    evidence.report.apply = apply;
    evidence.at = now;
    world.turn_of(&Scope::All);
}

fn stalled(world: &World) -> Option<(String, String)> {
    let conditions = &world.view.tenants[&tenant_id("acme")].conditions;
    let stalled = conditions.get(ConditionKind::Stalled)?;
    Some((stalled.reason.clone(), stalled.message.clone()))
}

#[test]
fn a_withdrawal_that_fails_shows_its_reason_whatever_generation_its_report_speaks_of() {
    let mut world = leaving();
    assert_eq!(stalled(&world), None);
    let failed = |reason: &str| ApplyState::WithdrawFailed {
        reason: reason.into(),
        message: "delete Namespace t-acme: no".into(),
    };
    says(&mut world, failed("Forbidden"));
    let why = "delete Namespace t-acme: no".to_owned();
    assert_eq!(stalled(&world), Some(("Forbidden".into(), why)));
    let conditions = &world.view.tenants[&tenant_id("acme")].conditions;
    let deleting = conditions.get(ConditionKind::Deleting).unwrap();
    assert!(deleting.message.contains("no"), "{}", deleting.message);

    // A failure from before the withdrawal is not one of it.
    says(
        &mut world,
        ApplyState::Failed {
            reason: "Fight".into(),
            message: "x".into(),
        },
    );
    assert_eq!(stalled(&world), None);
}

#[test]
fn an_agent_whose_own_breaker_stopped_it_is_told_again_once_an_operator_has_confirmed() {
    let mut world = leaving();
    let open = ApplyState::WithdrawFailed {
        reason: "BreakerOpen".into(),
        message: "an operator has to confirm it".into(),
    };
    says(&mut world, open.clone());
    assert_eq!(stalled(&world).unwrap().0, "BreakerOpen");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.turn_of(&Scope::All).steps, [], "it would be stopped again");
    world.release(&cluster_name("eu-1"));
    let steps = world.turn_of(&Scope::All).steps;
    assert!(
        matches!(&steps[..], [crate::Step::Withdraw { confirmed: true, .. }]),
        "{steps:?}"
    );
    assert_eq!(world.findings, []);
}
