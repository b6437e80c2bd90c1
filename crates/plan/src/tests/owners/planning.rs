//! What the planner holds back, and what it leaves alone.

use std::sync::Arc;

use berth_model::{ConditionKind, Revision, Truth};

use super::{acme, member};
use crate::{
    Rule, Scope, explain, explain_spec, lint,
    owners::usage,
    plan,
    plan::Step,
    testing::{connect, empty, quota, shared, tenant_id, world::World},
};

fn world() -> World {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 1000));
    let mut world = World::new(view);
    world.organise(acme());
    world
}

#[test]
fn of_two_that_were_accepted_at_once_the_later_waits_and_is_told_why() {
    let mut world = world();
    world.view.set_tenant(member("a", "acme/data", "40"));
    let mut later = member("b", "acme/data", "40");
    Arc::make_mut(&mut later.tenant).revision = Revision(2);
    world.view.set_tenant(later);
    world.settle();
    let (a, b) = (
        &world.view.tenants[&tenant_id("a")],
        &world.view.tenants[&tenant_id("b")],
    );
    assert!(a.conditions.is_true(ConditionKind::Ready));
    let placed = b.conditions.get(ConditionKind::Placed).unwrap();
    assert_eq!(
        (placed.status, &*placed.reason),
        (Truth::False, "OwnerQuotaExceeded")
    );
    assert_eq!(
        placed.message,
        "organisation acme: requests.cpu 100 is 20 over: 120 of 100 used by teams data (80), ml-platform (40)"
    );
    assert!(b.conditions.is_true(ConditionKind::Stalled));
    let told = explain(&world.view, &tenant_id("b")).unwrap();
    assert!(told.summary.contains("OwnerQuotaExceeded"), "{}", told.summary);
    // It comes in as soon as there is room.
    world.change(&tenant_id("a"), |tenant| {
        tenant.spec.quota.extend(quota(&[("requests.cpu", "20")]));
    });
    world.turn();
    assert!(world.view.tenants[&tenant_id("b")].placed.is_some());
}

#[test]
fn who_has_a_place_keeps_it_when_the_quota_is_lowered_or_an_organisation_appears() {
    let mut world = world();
    world.view.set_tenant(member("a", "acme/data", "60"));
    world.settle();
    let mut small = acme();
    small.spec.quota = quota(&[("requests.cpu", "1")]);
    world.organise(small);
    world.turn();
    world.change(&tenant_id("a"), |tenant| tenant.spec.domain = "a.example".into());
    world.settle();
    let a = &world.view.tenants[&tenant_id("a")];
    assert!(a.conditions.is_true(ConditionKind::Ready), "{:?}", a.conditions);
    assert_eq!(world.findings, vec![]);
}

#[test]
fn explaining_a_tenant_before_it_is_made_counts_those_that_wait() {
    let mut world = world();
    world.view.set_tenant(member("a", "acme/data", "40"));
    let asked = member("b", "acme/data", "21");
    let told = explain_spec(&world.view, &asked.tenant.id, &asked.tenant.spec);
    assert!(told.summary.contains("OwnerQuotaExceeded"), "{}", told.summary);
    let asked = member("b", "acme/data", "20");
    let told = explain_spec(&world.view, &asked.tenant.id, &asked.tenant.spec);
    assert!(told.summary.contains("it would be placed"), "{}", told.summary);
}

#[test]
fn the_lint_recounts_what_owners_may_hold() {
    let mut world = world();
    world.view.set_tenant(member("a", "acme/data", "40"));
    let mut made = plan(&world.view, &Scope::All);
    assert_eq!(lint(&world.view, &made), vec![]);
    world.view.set_tenant(member("b", "acme/data", "70"));
    let Some(Step::SavePlacement { placement, .. }) = made.steps.first().cloned() else {
        panic!("{made:?}");
    };
    made.steps.push(Step::SavePlacement {
        tenant: tenant_id("b"),
        uid: world.view.tenants[&tenant_id("b")].tenant.uid.clone(),
        placement,
        reserved: berth_model::Capacity::default(),
        namespaces: 1,
        generation: berth_model::Generation(1),
        reason: String::new(),
        region: String::new(),
        accepted_gaps: berth_model::AcceptedGaps::new(),
    });
    let rules: Vec<Rule> = lint(&world.view, &made).iter().map(|f| f.rule).collect();
    assert_eq!(rules, [Rule::OwnerQuota]);
}

#[test]
fn usage_is_what_tenants_hold_at_each_level() {
    let tenants = [
        member("a", "acme/ml-platform/inference", "1500m"),
        member("b", "acme/ml-platform", "500m"),
        member("c", "acme", "1"),
    ];
    let tiers = empty().tiers;
    let acme = acme();
    let used = usage(
        &acme.spec,
        tenants.iter().map(|known| {
            let tenant = &known.tenant;
            let tier = tiers.get(&tenant.spec.tier).map(|tier| &tier.spec);
            (tenant.id.as_str(), &tenant.spec, tier)
        }),
    );
    let shown: Vec<String> = used
        .iter()
        .map(|usage| {
            let used: Vec<String> = usage.used.iter().map(|(name, q)| format!("{name} {q}")).collect();
            format!("{}/{}: {}", usage.team, usage.project, used.join(", "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "/: requests.cpu 3, requests.memory 3Gi",
            "ml-platform/: requests.cpu 2, requests.memory 2Gi",
            "ml-platform/inference: requests.cpu 1500m, requests.memory 1Gi, requests.nvidia.com/gpu 0",
            "data/: "
        ]
    );
}
