//! How many tenants of a cluster may go at once.

use std::{sync::Arc, time::Duration};

use berth_model::{ConditionKind, Revision, TenantId};
use proptest::prelude::*;

use crate::{
    Plan, Rule, Scope, lint,
    plan::Step,
    testing::{cluster_name, connect, empty, shared, tenant, tenant_id, world::World},
};

fn name(n: usize) -> TenantId {
    tenant_id(&format!("t{n:03}"))
}

/// A cluster with so many tenants, all of them applied.
fn world(tenants: usize) -> World {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 2_000));
    for n in 0..tenants {
        view.set_tenant(tenant(name(n).as_str(), "free"));
    }
    let mut world = World::new(view);
    world.settle();
    world
}

fn begun(world: &World) -> usize {
    let assigned = world
        .view
        .tenants
        .values()
        .filter_map(|known| known.assigned.as_ref());
    assigned.filter(|assigned| assigned.withdrawing).count()
}

/// Turns until nothing is done any more, whatever the agents do.
fn turns(world: &mut World) {
    while !world.turn_of(&Scope::All).steps.is_empty() {
        world.agents_act();
    }
}

fn why(world: &World, id: &TenantId) -> (String, String) {
    let condition = world.view.tenants[id]
        .conditions
        .get(ConditionKind::Stalled)
        .unwrap();
    (condition.reason.clone(), condition.message.clone())
}

#[test]
fn three_may_go_within_the_window_and_the_fourth_waits_for_an_operator() {
    let mut world = world(8);
    for n in 0..6 {
        world.delete(&name(n));
    }
    turns(&mut world);
    assert_eq!(world.view.tenants.len(), 5, "three are gone");
    for n in 3..6 {
        let (reason, message) = why(&world, &name(n));
        assert_eq!(reason, "BreakerOpen");
        assert!(message.contains("berth release-breaker eu-1"), "{message}");
        assert!(message.contains("3 of 8 tenants"), "{message}");
    }
    assert_eq!(world.findings, []);
}

#[test]
fn a_tenth_of_many_may_go() {
    let mut world = world(50);
    for n in 0..20 {
        world.delete(&name(n));
    }
    world.turn_of(&Scope::All);
    assert_eq!(begun(&world), 5);
}

#[test]
fn time_alone_never_closes_a_tripped_breaker() {
    let mut world = world(8);
    for n in 0..6 {
        world.delete(&name(n));
    }
    turns(&mut world);
    world.pass(Duration::from_secs(7 * 86_400));
    turns(&mut world);
    assert_eq!(world.view.tenants.len(), 5);
}

#[test]
fn what_went_before_the_window_does_not_count() {
    let mut world = world(12);
    for n in 0..6 {
        world.delete(&name(n));
        turns(&mut world);
        world.pass(Duration::from_secs(201));
    }
    assert_eq!(
        world.view.tenants.len(),
        6,
        "never more than three within ten minutes"
    );
}

#[test]
fn a_release_lets_go_what_was_asked_for_by_then_and_counts_anew_what_comes_later() {
    let mut world = world(20);
    for n in 0..10 {
        world.delete(&name(n));
    }
    turns(&mut world);
    world.release(&cluster_name("eu-1"));
    turns(&mut world);
    assert_eq!(world.view.tenants.len(), 10, "all ten are gone");
    world.pass(Duration::from_secs(1));
    for n in 10..18 {
        world.delete(&name(n));
    }
    turns(&mut world);
    assert_eq!(world.view.tenants.len(), 7, "three more, and then it stops again");
    assert_eq!(world.findings, []);
}

#[test]
fn a_clock_that_was_set_back_opens_nothing() {
    let mut world = world(20);
    let before = world.view.now;
    world.pass(Duration::from_secs(86_400));
    for n in 0..3 {
        world.delete(&name(n));
    }
    turns(&mut world);
    // What went is a day ahead now: it counts.
    world.view.now = before;
    world.delete(&name(3));
    turns(&mut world);
    assert_eq!(world.view.tenants.len(), 17);
    assert_eq!(why(&world, &name(3)).0, "BreakerOpen");
    // Nor does a release of a day ahead confirm what is asked for after it.
    world.view.now = before.checked_add(Duration::from_secs(86_400)).unwrap();
    world.release(&cluster_name("eu-1"));
    turns(&mut world);
    world.view.now = before;
    for n in 4..12 {
        // The store's revisions go on whatever the clock does.
        world.change(&name(n), |tenant| tenant.revision = Revision(1_000));
        world.delete(&name(n));
    }
    turns(&mut world);
    assert_eq!(world.view.tenants.len(), 13);
}

#[test]
fn one_clusters_breaker_does_not_stop_another_cluster() {
    let mut world = world(8);
    let mut other = shared("us-1", 100);
    other.labels.insert("which".into(), "other".into());
    connect(&mut world.view, other);
    let mut elsewhere = tenant("elsewhere", "free");
    Arc::make_mut(&mut elsewhere.tenant)
        .spec
        .placement
        .cluster_labels
        .insert("which".into(), "other".into());
    world.view.set_tenant(elsewhere);
    world.settle();
    for n in 0..8 {
        world.delete(&name(n));
    }
    world.delete(&tenant_id("elsewhere"));
    turns(&mut world);
    assert!(!world.view.tenants.contains_key(&tenant_id("elsewhere")));
    assert_eq!(world.view.tenants.len(), 5);
}

#[test]
fn the_lint_counts_for_itself_and_finds_one_too_many() {
    let mut world = world(8);
    for n in 0..6 {
        world.delete(&name(n));
    }
    let withdraw = |n: usize| Step::Withdraw {
        tenant: name(n),
        uid: world.view.tenants[&name(n)].tenant.uid.clone(),
        cluster: cluster_name("eu-1"),
        // What a wrong planner claims is not believed.
        confirmed: true,
    };
    let all = Plan {
        steps: (0..5).map(withdraw).collect(),
        ..Plan::default()
    };
    let found: Vec<_> = lint(&world.view, &all)
        .into_iter()
        .map(|finding| (finding.rule, finding.tenant))
        .collect();
    assert_eq!(
        found,
        [(Rule::Breaker, Some(name(3))), (Rule::Breaker, Some(name(4)))]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_may_go_within_one_window_in_whatever_order_it_is_asked_for(
        tenants in 5_usize..40,
        deletions in prop::collection::vec((0_usize..40, 0_u64..120), 1..40),
    ) {
        let mut world = world(tenants);
        let mut begun_at = Vec::new();
        for (n, pause) in deletions {
            if world.view.tenants.get(&name(n)).is_some_and(|known| known.tenant.deleting_since.is_none()) {
                world.delete(&name(n));
            }
            let before = begun(&world);
            world.turn_of(&Scope::All);
            begun_at.extend(std::iter::repeat_n(world.view.now, begun(&world) - before));
            world.pass(Duration::from_secs(pause));
        }
        prop_assert_eq!(&world.findings, &vec![]);
        let most = 3.max(tenants / 10);
        for at in &begun_at {
            let window = begun_at.iter().filter(|other| **other >= *at && other.as_second() - at.as_second() < 600).count();
            prop_assert!(window <= most, "{} within ten minutes", window);
        }
    }
}
