//! Where tenants go, and what each cluster says that cannot take one.

use std::sync::Arc;

use berth_model::{
    Cluster, Gap, Generation, NetworkPolicyEnforcement, Placement, Provider, Revision,
    tenant::PlacementConstraints, tier::SizeName,
};

use crate::{
    Scope, closure, explain, explain_spec, plan,
    plan::Step,
    testing::{cluster_name, connect, empty, shared, tenant, tenant_id, world::World},
    view::{TenantView, View},
};

fn placed_on(view: &View, id: &str) -> Option<String> {
    plan(view, &Scope::All).steps.iter().find_map(|step| match step {
        Step::SavePlacement {
            tenant, placement, ..
        } if tenant.as_str() == id => Some(placement.cluster().to_string()),
        _ => None,
    })
}

fn with(mut known: TenantView, change: impl FnOnce(&mut berth_model::Tenant)) -> TenantView {
    change(Arc::make_mut(&mut known.tenant));
    known
}

#[test]
fn each_constraint_is_named_with_its_numbers() {
    type Change = fn(&mut View, &mut Cluster, &mut PlacementConstraints);
    let table: &[(&str, &str, &str, Change)] = &[
        (
            "standard",
            "NotJoined",
            "its agent has not joined yet",
            |_, c, _| c.facts = None,
        ),
        (
            "standard",
            "NotAccepted",
            "it waits to be accepted (berth accept cluster): no tenants before",
            |_, c, _| c.awaiting_acceptance = true,
        ),
        (
            "standard",
            "Revoked",
            "its identity was revoked: no new tenants",
            |v, c, _| {
                c.revoked = Some(berth_model::cluster::Revocation {
                    at: v.now,
                    reason: "stolen".into(),
                });
            },
        ),
        (
            "standard",
            "Cordoned",
            "it is cordoned: no new tenants",
            |_, c, _| c.cordoned = true,
        ),
        (
            "standard",
            "Region",
            "its region is eu-central-1, allowed are us-east-1, us-west-2",
            |_, _, p| {
                p.regions = vec!["us-east-1".into(), "us-west-2".into()];
            },
        ),
        (
            "standard",
            "ClusterLabel",
            "label ring must be \"1\" and is missing",
            |_, _, p| {
                p.cluster_labels.insert("ring".into(), "1".into());
            },
        ),
        (
            "standard",
            "ClusterLabel",
            "label ring must be \"1\" and is \"2\"",
            |_, c, p| {
                c.labels.insert("ring".into(), "2".into());
                p.cluster_labels.insert("ring".into(), "1".into());
            },
        ),
        (
            "standard",
            "KubernetesVersion",
            "Kubernetes must be at least 1.34 and is v1.33.4-eks-1234",
            |_, _, p| {
                p.min_kubernetes_version = "1.34".into();
            },
        ),
        (
            "standard",
            "NetworkPolicy",
            "network policies must be enforced and are unknown",
            |_, c, p| {
                c.facts.as_mut().unwrap().network_policy = NetworkPolicyEnforcement::Unknown;
                p.require_network_policy = true;
            },
        ),
        (
            "standard",
            "NotEnforced",
            "network policies are not known to be enforced; `berth accept-gap CLUSTER network-policy --reason TEXT` lets tenants in all the same",
            |_, c, _| {
                c.facts.as_mut().unwrap().network_policy = NetworkPolicyEnforcement::NotEnforced;
            },
        ),
        (
            "premium",
            "NotEnforced",
            "ValidatingAdmissionPolicy is not served, which takes Kubernetes 1.30; `berth accept-gap CLUSTER admission-policy --reason TEXT` lets tenants in all the same",
            |_, c, _| {
                c.facts.as_mut().unwrap().validating_admission_policy = false;
            },
        ),
        (
            "standard",
            "Namespaces",
            "needs 1 namespaces, 4 of 4 are used",
            |v, _, _| v.settings.namespaces_per_cluster = 4,
        ),
        (
            "standard",
            "Cpu",
            "needs 1 CPU, 900m of 900m are free",
            |_, c, _| {
                c.facts.as_mut().unwrap().capacity.cpu.0 = 1000;
            },
        ),
        (
            "standard",
            "Memory",
            "needs 2Gi memory, 921.5Mi of 921.5Mi are free",
            |_, c, _| {
                c.facts.as_mut().unwrap().capacity.memory.0 = 1 << 30;
            },
        ),
        ("standard", "Pods", "needs 20 pods, 9 of 9 are free", |_, c, _| {
            c.facts.as_mut().unwrap().capacity.pods = 10
        }),
        (
            "premium",
            "NoCloud",
            "this hub has no cloud account to make node pools with",
            |v, _, _| v.settings.cloud = false,
        ),
        (
            "premium",
            "NotEks",
            "node pools can be made in EKS clusters only and this one is generic",
            |_, c, _| {
                c.facts.as_mut().unwrap().provider = Provider::Generic;
            },
        ),
        (
            "premium",
            "NodeGroups",
            "0 of 0 node groups are used",
            |v, _, _| v.settings.node_groups_per_cluster = 0,
        ),
    ];
    for (tier, constraint, detail, change) in table {
        let mut view = empty();
        let mut cluster = shared("eu-1", 16);
        let mut known = tenant("acme", tier);
        change(
            &mut view,
            &mut cluster,
            &mut Arc::make_mut(&mut known.tenant).spec.placement,
        );
        connect(&mut view, cluster);
        view.clusters
            .values_mut()
            .for_each(|known| known.session = known.session.take().filter(|_| known.cluster.facts.is_some()));
        view.set_tenant(known);
        let explanation = explain(&view, &tenant_id("acme")).unwrap();
        let candidate = &explanation.candidates[0];
        assert_eq!(
            (candidate.constraint.as_str(), candidate.detail.as_str()),
            (*constraint, *detail)
        );
        assert!(!candidate.fits && !candidate.chosen);
        assert!(
            explanation.summary.starts_with("nowhere, not ready"),
            "{}",
            explanation.summary
        );
        assert_eq!(placed_on(&view, "acme"), None, "{constraint}");
    }
}

#[test]
fn a_cluster_whose_agent_is_away_takes_nobody_new() {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 16));
    view.set_tenant(tenant("acme", "standard"));
    let known = view.clusters.values_mut().next().unwrap();
    known.session = None;
    assert_eq!(
        placed_on(&view, "acme").as_deref(),
        Some("eu-1"),
        "heard just now"
    );
    view.now = view.now.checked_add(std::time::Duration::from_secs(13)).unwrap();
    assert_eq!(placed_on(&view, "acme"), None);
    let explanation = explain(&view, &tenant_id("acme")).unwrap();
    assert_eq!(explanation.candidates[0].constraint, "AgentAway");
    assert_eq!(
        explanation.candidates[0].detail,
        "its agent was last heard at 2026-01-01T00:00:00Z"
    );
}

#[test]
fn tenants_spread_over_the_clusters_with_most_room() {
    let mut view = empty();
    for (name, cpus) in [("a", 16), ("b", 32), ("c", 16)] {
        connect(&mut view, shared(name, cpus));
    }
    let mut world = World::new(view);
    for n in 0..12 {
        world.view.set_tenant(tenant(&format!("t{n}"), "standard"));
    }
    world.settle();
    let counts: Vec<u32> = world
        .view
        .clusters
        .values()
        .map(|known| known.reserved.tenants)
        .collect();
    assert_eq!(counts, [3, 6, 3]);
}

#[test]
fn the_first_claim_gets_the_last_room() {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 2));
    // One standard tenant fits (20 pods of 18 do not, so give pods).
    let known = view.clusters.values_mut().next().unwrap();
    Arc::make_mut(&mut known.cluster)
        .facts
        .as_mut()
        .unwrap()
        .capacity
        .pods = 30;
    let size = |tenant: &mut berth_model::Tenant| tenant.spec.size = Some(SizeName::Small);
    view.set_tenant(with(tenant("early-free", "free"), |t| {
        size(t);
        t.created_at = "2025-01-01T00:00:00Z".parse().unwrap();
    }));
    view.set_tenant(with(tenant("a-late", "standard"), |t| t.revision = Revision(9)));
    view.set_tenant(with(tenant("z-early", "standard"), |t| t.revision = Revision(3)));
    assert_eq!(
        placed_on(&view, "z-early").as_deref(),
        Some("eu-1"),
        "priority, then acceptance, then id"
    );
    assert_eq!(placed_on(&view, "early-free"), None);
    assert_eq!(placed_on(&view, "a-late"), None);
}

#[test]
fn a_quota_larger_than_any_cluster_says_so_at_once() {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 16));
    connect(&mut view, shared("eu-2", 32));
    view.set_tenant(with(tenant("acme", "standard"), |t| {
        t.spec.quota.insert("requests.cpu".into(), "40".parse().unwrap());
    }));
    let status = &plan(&view, &Scope::All).status[&tenant_id("acme")];
    let placed = status.conditions.get(berth_model::ConditionKind::Placed).unwrap();
    assert_eq!(placed.reason, "QuotaTooLarge");
    insta::assert_snapshot!(placed.message, @"the quota asks for 40 CPU, 2Gi memory and 20 pods, and no shared cluster is that large even when empty; the largest, eu-2, has 28800m CPU, 115.1Gi memory and 288 pods for tenants");
}

#[test]
fn a_cluster_of_its_own_goes_to_the_first_allowed_region_with_room() {
    let mut view = empty();
    view.settings.clusters_per_region = 1;
    for id in ["one", "two", "three"] {
        view.set_tenant(with(tenant(id, "enterprise"), |t| {
            t.spec.placement.regions = vec!["eu-west-1".into(), "eu-north-1".into()]
        }));
    }
    let plan = plan(&view, &Scope::All);
    let regions: Vec<(&str, &str)> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::SavePlacement {
                tenant,
                region,
                placement: Placement::Cluster { .. },
                ..
            } => Some((tenant.as_str(), region.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(regions, [("one", "eu-west-1"), ("three", "eu-north-1")]);
    let two = plan.status[&tenant_id("two")]
        .conditions
        .get(berth_model::ConditionKind::Placed)
        .unwrap();
    assert_eq!(two.reason, "ClustersPerRegion");
    assert_eq!(
        two.message,
        "every allowed region is full: eu-west-1 1 of 1, eu-north-1 1 of 1"
    );
}

#[test]
fn a_placed_tenant_stays_when_a_better_place_appears_or_its_own_is_cordoned() {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 16));
    view.set_tenant(tenant("acme", "standard"));
    let mut world = World::new(view);
    world.settle();
    connect(
        &mut world.view,
        Cluster {
            cordoned: true,
            ..shared("eu-1", 16)
        },
    );
    connect(&mut world.view, shared("eu-2", 512));
    world.change(&tenant_id("acme"), |tenant| {
        tenant.spec.size = Some(SizeName::Medium)
    });
    world.settle();
    let placed = world.view.tenants[&tenant_id("acme")].placed.as_ref().unwrap();
    assert_eq!(
        (placed.placement.cluster().as_str(), placed.generation),
        ("eu-1", Generation(2))
    );
}

#[test]
fn explain_ranks_the_candidates_and_marks_the_chosen() {
    let mut view = empty();
    for (name, cpus) in [("big", 64), ("small", 16), ("tiny", 1)] {
        connect(&mut view, shared(name, cpus));
    }
    view.set_tenant(tenant("acme", "standard"));
    let mut world = World::new(view);
    world.settle();
    let explanation = explain(&world.view, &tenant_id("acme")).unwrap();
    let shown: Vec<String> = explanation
        .candidates
        .iter()
        .map(|c| {
            format!(
                "{} fits={} chosen={} {}: {}",
                c.cluster, c.fits, c.chosen, c.constraint, c.detail
            )
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(explanation.summary, "ready, on shared cluster big");
    let spec = world.view.tenants[&tenant_id("acme")].tenant.spec.clone();
    let other = explain_spec(&world.view, &tenant_id("other"), &spec);
    assert_eq!(other.summary, "it would be placed on shared cluster big");
    assert_eq!(world.view.tenants.len(), 1);
}

#[test]
fn a_gap_that_was_accepted_lets_tenants_in_and_stays_with_them_for_ever() {
    let mut view = empty();
    let mut cluster = shared("eu-1", 16);
    cluster.facts.as_mut().unwrap().network_policy = NetworkPolicyEnforcement::NotEnforced;
    cluster.accepted_gaps.insert(Gap::NetworkPolicy, "demo".into());
    connect(&mut view, cluster);
    view.set_tenant(tenant("acme", "standard"));
    let mut world = World::new(view);
    world.settle();
    let gaps = |world: &World| {
        let known = &world.view.tenants[&tenant_id("acme")];
        known.placed.as_ref().map(|placed| placed.accepted_gaps.clone())
    };
    let demo = Some([(Gap::NetworkPolicy, "demo".to_owned())].into());
    assert_eq!(gaps(&world), demo);

    // Taken back, or closed: nobody is moved, and what was accepted when the tenant was placed is not forgotten.
    let mut closed = (*world.view.clusters[&cluster_name("eu-1")].cluster).clone();
    closed.accepted_gaps.clear();
    world.view.set_cluster(closed.into());
    world.change(&tenant_id("acme"), |tenant| {
        tenant.spec.display_name = "New".into()
    });
    world.settle();
    assert_eq!(gaps(&world), demo);
}

#[test]
fn who_waits_for_room_is_looked_at_when_there_is_more_or_less_of_it_and_not_otherwise() {
    let mut world = World::new(empty());
    connect(&mut world.view, shared("one", 4));
    for number in 0..20 {
        world
            .view
            .set_tenant(tenant(&format!("t-{number:02}"), "standard"));
    }
    world.turn_of(&Scope::All);
    let looked_at = |world: &World| closure(&world.view, &world.changes);
    let waiting = world.view.index.contenders.clone();
    assert!(!waiting.is_empty() && waiting.len() < 20, "{waiting:?}");
    // Some were placed, which took room.
    let Scope::Tenants(scope) = looked_at(&world) else {
        panic!("not everybody")
    };
    assert!(waiting.is_subset(&scope), "{scope:?}");
    world.turn();

    // One that is there reports how it is, which concerns nobody else.
    let there = world.view.tenants.keys().find(|id| !waiting.contains(*id));
    world.changes.tenants = there.cloned().into_iter().collect();
    assert_eq!(looked_at(&world), Scope::Tenants(world.changes.tenants.clone()));
}

#[test]
fn a_tenant_that_a_cluster_holds_already_gets_its_place_there_and_nowhere_else() {
    let mut view = empty();
    let held = tenant("acme", "standard");
    let uid = held.tenant.uid.clone();
    view.set_tenant(held);
    for name in ["a", "b"] {
        connect(&mut view, shared(name, 16));
    }
    assert_eq!(placed_on(&view, "acme").as_deref(), Some("a"));
    let hold = |view: &mut View, uid: &berth_model::Uid| {
        let known = view.clusters.get_mut(&cluster_name("b")).unwrap();
        let digest = berth_model::Digest::new("0".repeat(64)).unwrap();
        let session = known.session.as_mut().unwrap();
        session
            .held
            .insert(tenant_id("acme"), (uid.clone(), Generation(7), digest));
    };
    hold(&mut view, &berth_model::Uid::new("another").unwrap());
    assert_eq!(
        placed_on(&view, "acme").as_deref(),
        Some("a"),
        "another of its name"
    );
    hold(&mut view, &uid);
    assert_eq!(placed_on(&view, "acme").as_deref(), Some("b"));
    let known = view.clusters.get_mut(&cluster_name("b")).unwrap();
    Arc::make_mut(&mut known.cluster).cordoned = true;
    assert_eq!(placed_on(&view, "acme"), None);
    let told = super::conditions(&view, &tenant_id("acme"));
    assert!(
        told.contains(
            "Placed False HeldByCluster: it is in cluster b already, which does not take it: it is cordoned"
        ),
        "{told}"
    );
}

#[test]
fn a_tenant_whose_place_may_be_forgotten_waits_until_every_cluster_of_then_has_said_whom_it_holds() {
    let mut view = empty();
    view.set_tenant(tenant("acme", "standard"));
    for name in ["a", "b"] {
        connect(&mut view, shared(name, 16));
    }
    let later = view.now.checked_add(std::time::Duration::from_secs(60)).unwrap();
    view.set_tenant(with(tenant("new", "standard"), |tenant| {
        tenant.created_at = later;
    }));
    let away = view.clusters.get_mut(&cluster_name("b")).unwrap();
    away.session = None;
    away.evidence_at = None;
    let placed = |view: &View| ["acme", "new"].map(|id| placed_on(view, id));
    let there = Some("a".to_owned());
    assert_eq!(placed(&view), [there.clone(), there.clone()]);

    view.commanded_at = Some(view.now);
    assert_eq!(placed(&view), [None, there.clone()]);
    let told = super::conditions(&view, &tenant_id("acme"));
    assert!(
        told.contains("Placed False WaitingForClusters: the store was put back, and may have forgotten that it is in a cluster whose agent is away: b;"),
        "{told}"
    );
    let silent = view.clusters.get_mut(&cluster_name("b")).unwrap();
    Arc::make_mut(&mut silent.cluster).revoked = Some(berth_model::cluster::Revocation {
        at: view.now,
        reason: "gone".into(),
    });
    assert_eq!(placed(&view), [there.clone(), there]);
}
