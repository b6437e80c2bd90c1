//! The lint finds what a broken planner would do.

use berth_model::{Capacity, ClusterPurpose, Generation, MilliCpu, Placement, Uid};

use crate::{
    Plan, Rule, Scope, lint, plan,
    plan::Step,
    testing::{cluster_name, connect, empty, shared, tenant, tenant_id, world::World},
    view::View,
};

fn world() -> World {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 16));
    for id in ["a", "b", "c", "d", "e", "f"] {
        view.set_tenant(tenant(id, "standard"));
    }
    let mut world = World::new(view);
    world.settle();
    world
}

fn rules(view: &View, steps: Vec<Step>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = lint(
        view,
        &Plan {
            steps,
            ..Plan::default()
        },
    )
    .into_iter()
    .map(|finding| finding.rule)
    .collect();
    rules.dedup();
    rules
}

fn withdraw(id: &str) -> Step {
    Step::Withdraw {
        tenant: tenant_id(id),
        uid: Uid::new(format!("uid-{id}")).unwrap(),
        cluster: cluster_name("eu-1"),
        confirmed: false,
    }
}

fn place(id: &str, cluster: &str, cpu: u64) -> Step {
    Step::SavePlacement {
        tenant: tenant_id(id),
        uid: Uid::new(format!("uid-{id}")).unwrap(),
        placement: Placement::Namespace {
            cluster: cluster_name(cluster),
        },
        reserved: Capacity {
            cpu: MilliCpu(cpu),
            ..Capacity::default()
        },
        namespaces: 1,
        generation: Generation(1),
        reason: String::new(),
        region: String::new(),
        accepted_gaps: berth_model::AcceptedGaps::new(),
    }
}

#[test]
fn taking_away_what_nobody_deleted_is_found_and_many_at_once_stop_everything() {
    let world = world();
    assert_eq!(rules(&world.view, vec![withdraw("a")]), [Rule::DeletingOnly]);
    let all = ["a", "b", "c", "d"].map(withdraw).to_vec();
    let findings = lint(
        &world.view,
        &Plan {
            steps: all,
            ..Plan::default()
        },
    );
    let fleet: Vec<Rule> = findings
        .iter()
        .filter(|finding| finding.tenant.is_none())
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(fleet, [Rule::MassDelete]);
}

#[test]
fn a_person_may_delete_many_at_once() {
    let mut world = world();
    for id in ["a", "b", "c", "d", "e", "f"] {
        world.delete(&tenant_id(id));
    }
    assert_eq!(lint(&world.view, &plan(&world.view, &Scope::All)), []);
}

#[test]
fn a_step_about_nobody_or_about_an_earlier_tenant_of_the_name_is_found() {
    let world = world();
    assert_eq!(rules(&world.view, vec![withdraw("nobody")]), [Rule::KnownTenant]);
    let earlier = Step::Withdraw {
        tenant: tenant_id("a"),
        uid: Uid::new("earlier").unwrap(),
        cluster: cluster_name("eu-1"),
        confirmed: false,
    };
    assert_eq!(rules(&world.view, vec![earlier]), [Rule::KnownTenant]);
}

#[test]
fn a_second_place_and_another_tenants_cluster_are_found() {
    let mut world = world();
    connect(&mut world.view, shared("eu-2", 16));
    assert_eq!(rules(&world.view, vec![place("a", "eu-2", 1)]), [Rule::OnePlace]);
    let mut own = shared("c-b", 16);
    own.purpose = ClusterPurpose::Dedicated {
        tenant: tenant_id("b"),
        uid: Uid::new("uid-b").unwrap(),
    };
    connect(&mut world.view, own);
    world.view.set_tenant(tenant("new", "standard"));
    assert_eq!(
        rules(&world.view, vec![place("new", "c-b", 1)]),
        [Rule::RightCluster]
    );
}

#[test]
fn promising_more_than_there_is_is_found() {
    let mut world = world();
    world.view.set_tenant(tenant("new", "standard"));
    assert_eq!(rules(&world.view, vec![place("new", "eu-1", 8_400)]), []);
    assert_eq!(
        rules(&world.view, vec![place("new", "eu-1", 8_401)]),
        [Rule::Overcommit]
    );
}

#[test]
fn objects_sent_elsewhere_and_forgetting_too_early_are_found() {
    let mut world = world();
    connect(&mut world.view, shared("eu-2", 16));
    let (tenant, uid) = (tenant_id("a"), Uid::new("uid-a").unwrap());
    let assign = Step::Assign {
        tenant: tenant.clone(),
        uid: uid.clone(),
        cluster: cluster_name("eu-2"),
        tenant_generation: Generation(1),
    };
    assert_eq!(rules(&world.view, vec![assign]), [Rule::AssignWherePlaced]);
    world.delete(&tenant);
    let forget = Step::Forget {
        tenant,
        uid,
        cluster: None,
    };
    assert_eq!(rules(&world.view, vec![forget]), [Rule::ForgetLast]);
}
