//! What holds for random organisations and tenants that come at once.

use std::{collections::BTreeMap, sync::Arc};

use berth_model::{
    ConditionKind, OrganisationSpec, Quantity,
    organisation::{Project, Team},
    quota::hard,
};
use proptest::prelude::*;

use super::{acme, member, record};
use crate::{
    admit::{self, Catalogue},
    testing::{connect, empty, quota, shared, tenant_id, world::World},
};

/// A level's quota of CPU: mostly bounded.
fn bound() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => (0..40_u64).prop_map(Some), 1 => Just(None)]
}

fn cpus(bound: Option<u64>) -> BTreeMap<String, Quantity> {
    bound.map_or_else(BTreeMap::new, |cpus| {
        quota(&[("requests.cpu", &cpus.to_string())])
    })
}

fn random_organisation() -> impl Strategy<Value = OrganisationSpec> {
    let team = (bound(), prop::collection::vec(bound(), 0..3));
    (bound(), prop::collection::vec(team, 0..3)).prop_map(|(own, teams)| OrganisationSpec {
        display_name: String::new(),
        quota: cpus(own),
        teams: teams
            .into_iter()
            .enumerate()
            .map(|(team, (own, projects))| Team {
                name: format!("t{team}"),
                display_name: String::new(),
                quota: cpus(own),
                projects: projects
                    .into_iter()
                    .enumerate()
                    .map(|(project, own)| Project {
                        name: format!("p{project}"),
                        quota: cpus(own),
                    })
                    .collect(),
            })
            .collect(),
    })
}

/// Levels whose placed tenants hold more than they may, counted here by hand.
fn exceeded(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for organisation in world.view.organisations.values() {
        let spec = &organisation.spec;
        let mut levels = vec![(String::new(), String::new(), spec.quota.clone())];
        for team in &spec.teams {
            levels.push((team.name.clone(), String::new(), team.quota.clone()));
            for project in &team.projects {
                levels.push((team.name.clone(), project.name.clone(), project.quota.clone()));
            }
        }
        for (team, project, quota) in levels {
            let Some(limit) = quota.get("requests.cpu") else {
                continue;
            };
            let sum: i128 = world
                .view
                .tenants
                .values()
                .filter(|known| known.placed.is_some())
                .filter(|known| {
                    let owner = &known.tenant.spec.owner;
                    (team.is_empty() || owner.team == team)
                        && (project.is_empty() || owner.project == project)
                })
                .map(|known| {
                    let tier = &world.view.tiers[&known.tenant.spec.tier].spec;
                    hard(&known.tenant.spec, tier)["requests.cpu"].nanos()
                })
                .sum();
            if sum > limit.nanos() {
                found.push(format!("{team}/{project}: {sum} of {limit}"));
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whoever_comes_at_once_no_level_ever_holds_more_than_it_may(
        spec in random_organisation(),
        crowd in prop::collection::vec((0..3_usize, 0..3_usize, 0..12_u64, any::<bool>()), 0..14),
        rounds in 1..4_usize,
    ) {
        let mut view = empty();
        connect(&mut view, shared("eu-1", 10_000));
        let mut world = World::new(view);
        let mut acme = acme();
        acme.spec = spec;
        world.organise(acme);
        // They come in rounds, each round past admission and unseen by each other, with and without a team and a project.
        for (at, (team, project, cpu, deep)) in crowd.iter().enumerate() {
            let place = if *deep { format!("acme/t{team}/p{project}") } else { format!("acme/t{team}") };
            let id = format!("m{at}");
            world.view.set_tenant(member(&id, &place, &cpu.to_string()));
            world.changes.tenants.insert(tenant_id(&id));
            if at % rounds == 0 {
                world.turn();
                prop_assert_eq!(exceeded(&world), Vec::<String>::new());
            }
        }
        world.settle();
        prop_assert_eq!(exceeded(&world), Vec::<String>::new());
        prop_assert_eq!(&world.findings, &vec![]);
        for known in world.view.tenants.values() {
            let held_back = known.conditions.get(ConditionKind::Placed).is_some_and(|c| c.reason == "OwnerQuotaExceeded");
            prop_assert_eq!(known.placed.is_none(), held_back, "{:?}", known.conditions);
        }
    }

    #[test]
    fn what_admission_lets_in_one_after_another_the_planner_never_holds_back(
        spec in random_organisation(),
        crowd in prop::collection::vec((0..3_usize, 0..3_usize, 0..12_u64), 0..14),
    ) {
        let mut acme = acme();
        acme.spec = spec;
        let tiers = empty().tiers;
        prop_assume!(admit::organisation("acme", &acme.spec, None, &[], &tiers).is_ok());
        let mut view = empty();
        connect(&mut view, shared("eu-1", 10_000));
        let mut world = World::new(view);
        world.organise(acme.clone());
        let mut catalogue = Catalogue {
            tiers,
            organisations: BTreeMap::from([(acme.name.clone(), Arc::new(acme))]),
            ..Catalogue::default()
        };
        for (at, (team, project, cpu)) in crowd.iter().enumerate() {
            let known = member(&format!("m{at}"), &format!("acme/t{team}/p{project}"), &cpu.to_string());
            let tenant = record(&known);
            if admit::tenant(&catalogue, tenant.id.as_str(), &tenant.spec, None).is_ok() {
                catalogue.neighbours.push(tenant);
                world.view.set_tenant(known);
            }
        }
        world.settle();
        for known in world.view.tenants.values() {
            prop_assert!(known.conditions.is_true(ConditionKind::Ready), "{:?}", known.conditions);
        }
        // And then the books are in order from the organisation's side too.
        let spec = &catalogue.organisations.values().next().unwrap().spec;
        prop_assert!(admit::organisation("acme", spec, None, &catalogue.neighbours, &catalogue.tiers).is_ok());
    }
}
