//! A tenant's life in each tier, step by step.

use std::time::Duration;

use berth_model::{
    ClusterName, ConditionKind, Digest, Health, HealthState, Infra, Observed, Truth, Uid, Verdict,
    infra::{Trouble, TroubleClass},
    report::ApplyState,
    tier::SizeName,
};
use insta::assert_snapshot;

use super::{conditions, turn};
use crate::{
    Scope, plan,
    plan::Step,
    testing::{
        connect, empty, shared, tenant, tenant_id,
        world::{BELIEVED, World},
    },
    view::Probed,
};

fn world(id: &str, tier: &str) -> World {
    let mut view = empty();
    connect(&mut view, shared("eu-1", 16));
    view.set_tenant(tenant(id, tier));
    World::new(view)
}

#[test]
fn a_namespace_tenant_is_placed_assigned_applied_and_ready() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    assert_eq!(turn(&mut world), ["SavePlacement", "Assign"]);
    assert_eq!(turn(&mut world), [""; 0]);
    assert_snapshot!(conditions(&world.view, &acme));
    world.agent_acts(
        &acme,
        ApplyState::Applying {
            waiting_for: "quota berth in force".into(),
        },
        Health::new(HealthState::Progressing, "deployment web 0/2"),
    );
    assert_snapshot!(conditions(&world.view, &acme));
    world.agents_act();
    assert_eq!(turn(&mut world), [""; 0]);
    assert_snapshot!(conditions(&world.view, &acme));
    assert_eq!(world.findings, []);
}

#[test]
fn a_pool_tenant_waits_for_its_nodes() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "premium");
    assert_eq!(
        turn(&mut world),
        ["SavePlacement"],
        "nothing is made before the place is saved"
    );
    assert_snapshot!(conditions(&world.view, &acme));
    assert_eq!(turn(&mut world), ["EnsureNodePool"]);
    assert_eq!(turn(&mut world), ["Assign"]);
    world.agents_act();
    assert_eq!(turn(&mut world), [""; 0]);
    assert_snapshot!(conditions(&world.view, &acme));
    assert_eq!(world.findings, []);
}

#[test]
fn a_cluster_tenant_gets_a_cluster_and_then_the_agent_in_it() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "enterprise");
    assert_eq!(turn(&mut world), ["SavePlacement"]);
    assert_eq!(turn(&mut world), ["EnsureCluster"]);
    assert_eq!(turn(&mut world), ["Bootstrap"]);
    assert_eq!(turn(&mut world), ["Assign"]);
    world.agents_act();
    assert_eq!(turn(&mut world), [""; 0]);
    assert_snapshot!(conditions(&world.view, &acme));
    assert_eq!(world.findings, []);
}

#[test]
fn deleting_empties_the_cluster_then_releases_and_forgets_last() {
    for (tier, steps) in [
        ("standard", vec!["Withdraw", "SaveWithdrawn", "Forget"]),
        (
            "premium",
            vec!["Withdraw", "SaveWithdrawn", "ReleaseNodePool", "Forget"],
        ),
        (
            "enterprise",
            vec!["Withdraw", "SaveWithdrawn", "ReleaseCluster", "Forget"],
        ),
    ] {
        let acme = tenant_id("acme");
        let mut world = world("acme", tier);
        world.settle();
        world.delete(&acme);
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.extend(turn(&mut world));
            world.pass(Duration::from_secs(11));
            world.agents_act();
        }
        assert_eq!(seen, steps, "{tier}");
        assert!(world.view.tenants.is_empty(), "{tier}");
        assert_eq!(
            world.view.clusters.len(),
            1,
            "the cluster made for it goes with it"
        );
        assert_eq!(world.view.index.reserved.len(), 0, "{tier}");
        assert_eq!(world.findings, [], "{tier}");
    }
}

#[test]
fn a_deleted_tenant_waits_for_an_agent_that_is_away() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    for known in world.view.clusters.values_mut() {
        known.session = None;
    }
    world.delete(&acme);
    assert_eq!(turn(&mut world), ["Withdraw"]);
    world.pass(Duration::from_secs(24 * 3600));
    assert_eq!(turn(&mut world), [""; 0]);
    assert_snapshot!(conditions(&world.view, &acme));
}

#[test]
fn a_cluster_made_for_a_tenant_is_released_when_its_agent_stays_silent() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "enterprise");
    world.settle();
    for known in world.view.clusters.values_mut() {
        known.session = None;
    }
    world.delete(&acme);
    assert_eq!(turn(&mut world), ["Withdraw"]);
    world.pass(Duration::from_secs(590));
    assert_eq!(turn(&mut world), [""; 0]);
    world.pass(Duration::from_secs(11));
    assert_eq!(turn(&mut world), ["ReleaseCluster"]);
    assert_eq!(turn(&mut world), ["Forget"]);
    assert_eq!(world.findings, []);
}

#[test]
fn status_turns_unknown_when_the_evidence_is_too_old_and_nothing_is_taken_away() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    let wake = plan(&world.view, &Scope::All).wake_at.unwrap();
    assert!(wake.as_second() - world.view.now.as_second() <= 15);
    for known in world.view.clusters.values_mut() {
        known.session = None;
    }
    world.pass(Duration::from_secs(12));
    assert!(conditions(&world.view, &acme).contains("Ready True"));
    world.pass(Duration::from_secs(1));
    assert_eq!(turn(&mut world), [""; 0]);
    assert_snapshot!(conditions(&world.view, &acme));
}

#[test]
fn a_report_of_another_generation_or_another_tenant_of_the_name_counts_for_nothing() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    let known = world.view.tenants.get_mut(&acme).unwrap();
    let good = known.report.clone().unwrap();
    let mut other_generation = good.clone();
    other_generation.report.generation = other_generation.report.generation.next();
    let mut other_uid = good;
    other_uid.report.uid = berth_model::Uid::new("somebody-else").unwrap();
    for wrong in [other_generation, other_uid] {
        world.view.tenants.get_mut(&acme).unwrap().report = Some(wrong);
        let status = &plan(&world.view, &Scope::All).status[&acme];
        assert!(!status.conditions.is_true(ConditionKind::Applied));
        assert!(!status.conditions.is_true(ConditionKind::Healthy));
        assert_eq!(status.evidence_at, None);
    }
}

#[test]
fn a_change_that_does_not_fit_stays_out_and_what_was_assigned_stays_in() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    let before = world.view.clusters.values().next().unwrap().reserved;
    world.change(&acme, |tenant| {
        drop(
            tenant
                .spec
                .quota
                .insert("requests.cpu".into(), "15".parse().unwrap()),
        )
    });
    assert_eq!(turn(&mut world), [""; 0]);
    assert_eq!(world.view.clusters.values().next().unwrap().reserved, before);
    assert_snapshot!(conditions(&world.view, &acme));
    world.change(&acme, |tenant| {
        drop(
            tenant
                .spec
                .quota
                .insert("requests.cpu".into(), "14".parse().unwrap()),
        )
    });
    assert_eq!(turn(&mut world), ["SavePlacement", "Assign"]);
}

#[test]
fn a_change_of_tier_within_one_isolation_is_assigned_in_place() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "free");
    world.settle();
    world.change(&acme, |tenant| {
        tenant.spec.tier = berth_model::TierName::new("standard").unwrap();
        tenant.spec.size = Some(SizeName::Medium);
    });
    assert_eq!(turn(&mut world), ["SavePlacement", "Assign"]);
    world.settle();
    assert!(conditions(&world.view, &acme).contains("Ready True"));
}

#[test]
fn a_tier_edit_alone_assigns_nothing() {
    let mut world = world("acme", "standard");
    world.settle();
    for tier in world.view.tiers.values_mut() {
        let tier = std::sync::Arc::make_mut(tier);
        tier.generation = tier.generation.next();
        tier.spec.default_size = SizeName::Xlarge;
    }
    assert_eq!(turn(&mut world), [""; 0]);
}

#[test]
fn an_assignment_that_is_not_confirmed_is_sent_again_after_a_while() {
    let mut world = world("acme", "standard");
    turn(&mut world);
    assert_eq!(turn(&mut world), [""; 0]);
    world.pass(Duration::from_secs(10));
    assert_eq!(turn(&mut world), ["Resend"]);
}

#[test]
fn an_agent_that_holds_something_newer_is_not_commanded() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    for known in world.view.clusters.values_mut() {
        let held = known.session.as_mut().unwrap().held.get_mut(&acme).unwrap();
        held.1 = berth_model::Generation(7);
    }
    world.pass(Duration::from_secs(60));
    assert_eq!(turn(&mut world), [""; 0]);
    assert!(conditions(&world.view, &acme).contains("Stalled True AgentAhead"));
}

#[test]
fn trouble_in_the_cloud_is_retried_shown_or_replaced_by_its_class() {
    let acme = tenant_id("acme");
    let trouble = |class| Trouble {
        class,
        code: "ResourceLimitExceeded".into(),
        message: "30 node groups".into(),
        attempts: 3,
    };
    for (class, seconds, step) in [
        (TroubleClass::Retry, 8, "EnsureNodePool"),
        (TroubleClass::Operator, 300, "EnsureNodePool"),
        (TroubleClass::Replace, 10, "ReleaseNodePool"),
    ] {
        let mut world = world("acme", "premium");
        turn(&mut world);
        let infra = &mut world.view.tenants.get_mut(&acme).unwrap().infra;
        infra.observed = Infra {
            pool: Some(Observed::Unknown),
            trouble: Some(trouble(class)),
            ..Infra::default()
        };
        infra.looked_at = Some(world.view.now);
        assert_eq!(turn(&mut world), [""; 0], "{class:?}");
        let stalled = conditions(&world.view, &acme)
            .contains("Stalled True ResourceLimitExceeded: ResourceLimitExceeded: 30 node groups");
        assert_eq!(stalled, class == TroubleClass::Operator);
        world.pass(Duration::from_secs(seconds));
        assert_eq!(turn(&mut world), [step], "{class:?}");
        if class == TroubleClass::Replace {
            world.pass(Duration::from_secs(10));
            let plan = world.turn_of(&Scope::All);
            assert!(
                matches!(&plan.steps[..], [Step::EnsureNodePool(step)] if step.attempt == 1),
                "a new attempt after the old is gone"
            );
        }
        assert_eq!(world.findings, [], "{class:?}");
    }
}

#[test]
fn a_cluster_that_a_tenant_lives_in_is_never_replaced() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "enterprise");
    world.settle();
    let infra = &mut world.view.tenants.get_mut(&acme).unwrap().infra;
    for lost in [Observed::Absent, Observed::Unknown] {
        infra.observed.cluster = Some(lost);
    }
    infra.observed.trouble = Some(Trouble {
        class: TroubleClass::Replace,
        code: "X".into(),
        message: "broken".into(),
        attempts: 1,
    });
    world.pass(Duration::from_secs(600));
    assert_eq!(turn(&mut world), [""; 0]);
    world.view.tenants.get_mut(&acme).unwrap().infra.observed.cluster = Some(Observed::Absent);
    assert_eq!(turn(&mut world), [""; 0]);
    assert!(conditions(&world.view, &acme).contains("Stalled True InfrastructureLost"));
}

#[test]
fn a_tenant_that_the_lint_stopped_takes_no_steps() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.view.tenants.get_mut(&acme).unwrap().stalled = Some("a rule".into());
    assert_eq!(turn(&mut world), [""; 0]);
    assert!(conditions(&world.view, &acme).contains("Stalled True PlanRefused: a rule"));
}

#[test]
fn transition_times_change_with_the_status_only() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    let ready = |world: &World| {
        let c = world.view.tenants[&acme]
            .conditions
            .get(ConditionKind::Ready)
            .cloned()
            .unwrap();
        (c.status, c.since)
    };
    let (status, since) = ready(&world);
    assert_eq!(status, Truth::True);
    world.pass(Duration::from_secs(60));
    world.turn_of(&Scope::All);
    assert_eq!(ready(&world), (Truth::True, since));
    world.agent_acts(
        &acme,
        ApplyState::Applied,
        Health::new(HealthState::Degraded, "deployment web: ImagePullBackOff"),
    );
    world.turn_of(&Scope::All);
    assert_eq!(ready(&world), (Truth::False, world.view.now));
    assert!(
        conditions(&world.view, &acme).contains("Healthy False Degraded: deployment web: ImagePullBackOff")
    );
}

#[test]
fn walls_are_isolated_only_by_fresh_evidence_of_what_is_assigned_and_a_hole_makes_unready() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    let isolated = |world: &World| {
        let conditions = &world.view.tenants[&acme].conditions;
        let (isolated, ready) = (
            conditions.get(ConditionKind::Isolated).unwrap(),
            conditions.get(ConditionKind::Ready).unwrap(),
        );
        (isolated.status, isolated.reason.clone(), ready.status)
    };
    assert_eq!(
        isolated(&world),
        (Truth::Unknown, "NotProbed".into(), Truth::True)
    );
    let cases = [
        (Verdict::Passed, Truth::True, "WallsHold", Truth::True),
        (Verdict::NotTried, Truth::Unknown, "NotTried", Truth::True),
        (Verdict::Failed, Truth::False, "ProbeFailed", Truth::False),
    ];
    for (verdict, status, reason, ready) in cases {
        world.prove(&acme, verdict);
        turn(&mut world);
        assert_eq!(isolated(&world), (status, reason.to_owned(), ready));
    }
    world.prove(&acme, Verdict::Passed);
    let wake = world.turn().wake[&acme];
    world.pass(BELIEVED - Duration::from_secs(1));
    world.agents_act();
    turn(&mut world);
    assert_eq!(isolated(&world).0, Truth::True);
    world.pass(Duration::from_secs(2));
    world.agents_act();
    assert!(wake <= world.view.now, "it is looked at again by itself");
    turn(&mut world);
    assert_eq!(
        isolated(&world),
        (Truth::Unknown, "EvidenceTooOld".into(), Truth::True)
    );
    world.prove(&acme, Verdict::Failed);
    world.change(&acme, |tenant| tenant.spec.size = Some(SizeName::Medium));
    world.settle();
    assert_eq!(
        isolated(&world),
        (Truth::Unknown, "NotProbed".into(), Truth::True),
        "what was seen of another assignment says nothing of this one"
    );
    assert_eq!(world.findings, []);
}

#[test]
fn evidence_of_an_earlier_tenant_of_the_name_or_of_another_cluster_says_nothing() {
    let acme = tenant_id("acme");
    let mut world = world("acme", "standard");
    world.settle();
    let changes: [fn(&mut Probed); 3] = [
        |probed| probed.uid = Uid::new("another").unwrap(),
        |probed| probed.cluster = ClusterName::new("elsewhere").unwrap(),
        |probed| probed.digest = Digest::new("f".repeat(64)).unwrap(),
    ];
    for change in changes {
        world.prove(&acme, Verdict::Passed);
        change(
            world
                .view
                .tenants
                .get_mut(&acme)
                .unwrap()
                .probed
                .as_mut()
                .unwrap(),
        );
        turn(&mut world);
        let condition = world.view.tenants[&acme]
            .conditions
            .get(ConditionKind::Isolated)
            .unwrap();
        assert_eq!(
            (condition.status, condition.reason.as_str()),
            (Truth::Unknown, "NotProbed")
        );
    }
}
