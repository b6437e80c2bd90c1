//! What holds for random fleets and random histories.

use std::{sync::Arc, time::Duration};

use berth_model::{ClusterName, ConditionKind, Placement, TenantId, tier::SizeName};
use proptest::prelude::*;

use crate::{
    Plan, Scope, closure, lint, plan,
    testing::{connect, empty, organisation, shared, tenant, world::World},
    view::View,
};

/// Something that happens to a fleet.
#[derive(Clone, Debug)]
enum Event {
    Create(u8, u8),
    Resize(u8, u8),
    Retier(u8, u8),
    Constrain(u8, bool),
    Own(u8, u8),
    Organise(u64),
    Dissolve,
    Delete(u8),
    Join(u8, u64),
    Cordon(u8, bool),
    Leave(u8),
    Release(u8),
    Agents,
    Turn,
    Pass(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..12_u8, 0..4_u8).prop_map(|(id, tier)| Event::Create(id, tier)),
        2 => (0..12_u8, 0..5_u8).prop_map(|(id, size)| Event::Resize(id, size)),
        1 => (0..12_u8, 0..4_u8).prop_map(|(id, tier)| Event::Retier(id, tier)),
        1 => (0..12_u8, any::<bool>()).prop_map(|(id, on)| Event::Constrain(id, on)),
        3 => (0..12_u8, 0..3_u8).prop_map(|(id, team)| Event::Own(id, team)),
        1 => (0..24_u64).prop_map(Event::Organise),
        1 => Just(Event::Dissolve),
        2 => (0..12_u8).prop_map(Event::Delete),
        2 => (0..3_u8, 1..24_u64).prop_map(|(cluster, cpus)| Event::Join(cluster, cpus)),
        1 => (0..3_u8, any::<bool>()).prop_map(|(cluster, on)| Event::Cordon(cluster, on)),
        1 => (0..3_u8).prop_map(Event::Leave),
        1 => (0..3_u8).prop_map(Event::Release),
        3 => Just(Event::Agents),
        5 => Just(Event::Turn),
        1 => (1..30_u8).prop_map(Event::Pass),
    ]
}

const TIERS: [&str; 4] = ["free", "standard", "premium", "enterprise"];

fn id(n: u8) -> TenantId {
    TenantId::new(format!("t{n}")).unwrap()
}

fn cluster(n: u8) -> String {
    format!("shared-{n}")
}

fn happen(world: &mut World, event: &Event) {
    match event {
        Event::Create(n, tier) if !world.view.tenants.contains_key(&id(*n)) => {
            world
                .view
                .set_tenant(tenant(id(*n).as_str(), TIERS[usize::from(*tier)]));
            world.changes.tenants.insert(id(*n));
        }
        Event::Resize(n, size) => edit(world, *n, |t| {
            t.spec.size = Some(SizeName::ALL[usize::from(*size)])
        }),
        Event::Retier(n, tier) => edit(world, *n, |t| {
            t.spec.tier = berth_model::TierName::new(TIERS[usize::from(*tier)]).unwrap()
        }),
        Event::Constrain(n, on) => edit(world, *n, |t| t.spec.placement.require_network_policy = *on),
        Event::Own(n, team) => edit(world, *n, |t| {
            t.spec.owner.organisation = "acme".into();
            t.spec.owner.team = format!("team-{team}");
        }),
        Event::Organise(cpus) => world.organise(organisation(
            "acme",
            &[("requests.cpu", &cpus.to_string())],
            &[("team-0", &[("requests.cpu", &(cpus / 2).to_string())])],
        )),
        Event::Dissolve => world.dissolve("acme"),
        Event::Delete(n) => {
            let now = world.view.now;
            edit(world, *n, |t| t.deleting_since = Some(now));
        }
        Event::Join(n, cpus) => {
            let mut fresh = shared(&cluster(*n), *cpus);
            // Nodes come and go; pools that are there stay.
            if let Some(old) = world.view.clusters.get(&fresh.name) {
                fresh.facts.as_mut().unwrap().pools = old.cluster.facts.clone().unwrap_or_default().pools;
            }
            world.changes.clusters.insert(fresh.name.clone());
            connect(&mut world.view, fresh);
        }
        Event::Cordon(n, on) => {
            if let Some(known) = world
                .view
                .clusters
                .values()
                .find(|known| known.cluster.name.as_str() == cluster(*n))
            {
                let mut record = known.cluster.clone();
                Arc::make_mut(&mut record).cordoned = *on;
                world.changes.clusters.insert(record.name.clone());
                world.view.set_cluster(record);
            }
        }
        Event::Leave(n) => {
            if let Some(known) = world
                .view
                .clusters
                .values_mut()
                .find(|known| known.cluster.name.as_str() == cluster(*n))
            {
                known.session = None;
                world.changes.clusters.insert(known.cluster.name.clone());
            }
        }
        Event::Release(n) => world.release(&ClusterName::new(cluster(*n)).unwrap()),
        Event::Agents => world.agents_act(),
        Event::Turn => drop(world.turn()),
        Event::Pass(seconds) => {
            world.pass(Duration::from_secs(u64::from(*seconds)));
            // What time changes is looked at by the plans' own wake-ups.
            world.turn_of(&Scope::All);
        }
        Event::Create(..) => {}
    }
}

fn edit(world: &mut World, n: u8, change: impl FnOnce(&mut berth_model::Tenant)) {
    if world
        .view
        .tenants
        .get(&id(n))
        .is_some_and(|known| known.tenant.deleting_since.is_none())
    {
        world.change(&id(n), change);
    }
}

fn overcommitted(view: &View) -> Option<String> {
    view.clusters.values().find_map(|known| {
        let capacity = known.cluster.facts.as_ref()?.capacity;
        let over = known.reserved.capacity.cpu.0 * 100 > capacity.cpu.0 * 90
            || known.reserved.pools > view.settings.node_groups_per_cluster
            || known.reserved.namespaces > view.settings.namespaces_per_cluster;
        (over && known.cluster.name.as_str().starts_with("shared")).then(|| known.cluster.name.to_string())
    })
}

fn without_the_rest(all: &Plan, scope: &Scope) -> Plan {
    let Scope::Tenants(ids) = scope else {
        return all.clone();
    };
    let mut part = all.clone();
    part.steps.retain(|step| ids.contains(step.tenant()));
    part.status.retain(|id, _| ids.contains(id));
    part.wake.retain(|id, _| ids.contains(id));
    part.wake_at = part.wake.values().min().copied();
    part
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn planning_the_closure_equals_planning_everything(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new(empty());
        world.view.settings.node_groups_per_cluster = 2;
        world.view.settings.clusters_per_region = 2;
        world.turn_of(&Scope::All);
        for event in &events {
            happen(&mut world, event);
            let scope = closure(&world.view, &world.changes);
            let all = plan(&world.view, &Scope::All);
            let part = plan(&world.view, &scope);
            prop_assert_eq!(&part, &without_the_rest(&all, &scope));
            // Whoever is not in the closure has nothing new: no steps, and the status that was published.
            if let Scope::Tenants(ids) = &scope {
                for step in &all.steps {
                    prop_assert!(ids.contains(step.tenant()), "{:?} after {:?}", step, event);
                }
                for (id, status) in all.status.iter().filter(|(id, _)| !ids.contains(*id)) {
                    prop_assert_eq!(&status.conditions, &world.view.tenants[id].conditions, "{} after {:?}", id, event);
                }
            }
        }
    }

    #[test]
    fn a_view_updated_by_events_equals_one_counted_from_scratch(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new(empty());
        for event in &events {
            happen(&mut world, event);
        }
        let mut fresh = world.view.clone();
        fresh.rebuild();
        prop_assert_eq!(&fresh.index.reserved, &world.view.index.reserved);
        prop_assert_eq!(&fresh.index.by_cluster, &world.view.index.by_cluster);
        prop_assert_eq!(&fresh.index.contenders, &world.view.index.contenders);
        prop_assert_eq!(&fresh.index.made_by_region, &world.view.index.made_by_region);
        prop_assert_eq!(&fresh.index.by_organisation, &world.view.index.by_organisation);
        for (name, known) in &fresh.clusters {
            prop_assert_eq!(known.reserved, world.view.clusters[name].reserved);
        }
    }

    #[test]
    fn nothing_is_overcommitted_whatever_happens(events in prop::collection::vec(event(), 1..80)) {
        let mut world = World::new(empty());
        world.view.settings.node_groups_per_cluster = 2;
        for n in 0..3 {
            connect(&mut world.view, shared(&cluster(n), 6));
        }
        // Clusters that lose nodes are over for another reason.
        for event in events.iter().filter(|event| !matches!(event, Event::Join(..))) {
            happen(&mut world, event);
            prop_assert_eq!(overcommitted(&world.view), None, "after {:?}", event);
        }
    }

    #[test]
    fn plans_are_the_same_for_the_same_view_and_pass_the_lint(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new(empty());
        for event in &events {
            happen(&mut world, event);
            let once = plan(&world.view, &Scope::All);
            prop_assert_eq!(&once, &plan(&world.view.clone(), &Scope::All));
            prop_assert_eq!(lint(&world.view, &once), vec![]);
            prop_assert!(once.wake.values().all(|at| *at > world.view.now), "a wake that is due makes a loop");
        }
        prop_assert_eq!(&world.findings, &vec![]);
    }

    #[test]
    fn with_faults_stopped_everything_settles_and_then_nothing_is_done(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new(empty());
        // A tripped breaker waits for a person, which is no fault.
        world.view.settings.breaker.tenants = 1_000;
        for event in &events {
            happen(&mut world, event);
        }
        // So does a full organisation.
        world.dissolve("acme");
        for n in 0..3 {
            let name = shared(&cluster(n), 1000).name;
            let pools = world.view.clusters.get(&name).and_then(|k| k.cluster.facts.clone()).unwrap_or_default().pools;
            let mut big = shared(&cluster(n), 1000);
            big.facts.as_mut().unwrap().pools = pools;
            connect(&mut world.view, big);
        }
        prop_assert!(world.settle() < 60);
        world.pass(Duration::from_secs(5));
        prop_assert_eq!(world.turn_of(&Scope::All).steps, vec![]);
        for (id, known) in &world.view.tenants {
            let moved = known.conditions.get(ConditionKind::Stalled).is_some_and(|c| c.reason == "MoveNeeded");
            prop_assert!(moved || known.conditions.is_true(ConditionKind::Ready), "{} {:?}", id, known.conditions);
            let dedicated = matches!(known.placed.as_ref().map(|p| &p.placement), Some(Placement::Cluster { .. }));
            prop_assert!(known.tenant.deleting_since.is_none() && (moved || dedicated == (known.tenant.spec.tier.as_str() == "enterprise")));
        }
    }
}
