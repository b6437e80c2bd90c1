//! Each invariant's checker finds what it is there for, in histories that are doctored to break it, and nothing in one that does not.

mod support;

use std::collections::BTreeMap;

use berth_sim::{
    check::{self, End},
    history::Event,
};
use support::{
    NAMESPACE, accepted, acknowledged, breaks, broken, change, cluster, commanded, fine, kube, remembered,
    settled, shown, wrote,
};

/// A life as it should be.
fn good() -> Vec<Event> {
    vec![
        wrote(1, false),
        acknowledged("create", 1),
        commanded("hub-1#1", 1, 1),
        accepted(1),
        remembered(1),
        kube("eu-1", "PATCH", NAMESPACE),
        shown("Healthy", "", 5, 5),
        shown("Unknown", "", 40, 40),
        wrote(2, true),
        acknowledged("delete", 2),
        commanded("hub-2#1", 2, 2),
        accepted(2),
        kube("eu-1", "DELETE", NAMESPACE),
        change(None),
    ]
}

#[test]
fn a_life_as_it_should_be_breaks_nothing() {
    assert_eq!(broken(good(), &settled(), 0), Vec::<&str>::new());
}

#[test]
fn s1_a_write_that_was_acknowledged_and_is_not_there_is_found() {
    breaks("S1", vec![wrote(1, false), acknowledged("update", 2)]);
    breaks("S1", vec![wrote(1, false), acknowledged("delete", 1)]);
}

#[test]
fn s1_a_record_that_skips_a_generation_comes_back_or_vanishes_is_found() {
    breaks("S1", vec![wrote(1, false), wrote(3, false)]);
    breaks("S1", vec![wrote(1, true), wrote(2, false)]);
    breaks("S1", vec![wrote(1, false), change(None)]);
}

#[test]
fn s2_two_hubs_in_one_term_are_found() {
    breaks("S2", vec![commanded("hub-1#1", 1, 1), commanded("hub-2#1", 1, 2)]);
}

#[test]
fn s2_a_command_of_an_older_term_that_is_accepted_after_a_newer_is_found() {
    breaks(
        "S2",
        vec![
            commanded("hub-2#1", 2, 1),
            commanded("hub-1#1", 1, 2),
            accepted(1),
            accepted(2),
        ],
    );
    breaks("S2", vec![remembered(2), remembered(1)]);
}

#[test]
fn s2_a_tenant_that_is_applied_in_two_clusters_is_found() {
    breaks(
        "S2",
        vec![kube("eu-1", "PATCH", NAMESPACE), kube("eu-2", "PATCH", NAMESPACE)],
    );
}

#[test]
fn s2_an_agent_that_writes_without_the_lease_is_found() {
    let held = |holder: &str| Event::Held {
        cluster: cluster("eu-1"),
        holder: holder.into(),
    };
    let write = || kube("eu-1", "PATCH", NAMESPACE);
    breaks("S2", vec![held("eu-1#1"), write(), held("eu-1#2"), write()]);
    breaks("S2", vec![held("eu-1#1"), held(""), write()]);
    fine(vec![held("eu-1#2"), held("eu-1#1"), write(), held("eu-1#2")]);
}

#[test]
fn s3_something_made_twice_and_something_left_over_are_found() {
    let named = |name: &str| (name.to_owned(), "uid-1".to_owned());
    breaks(
        "S3",
        vec![Event::Cloud {
            clusters: vec![named("a"), named("b")],
            pools: Vec::new(),
        }],
    );
    let left = End {
        cloud: vec![("pool".to_owned(), "uid-of-nobody".to_owned())],
        ..settled()
    };
    assert_eq!(broken(good(), &left, 0), ["S3"]);
}

#[test]
fn s4_a_status_that_another_clusters_agent_made_is_found() {
    let lie = check::lie_of(&cluster("eu-2"));
    breaks("S4", vec![shown("Healthy", &lie, 1, 1)]);
    let own = check::lie_of(&cluster("eu-1"));
    assert_eq!(
        broken(vec![shown("Healthy", &own, 1, 1)], &settled(), 0),
        Vec::<&str>::new(),
        "what an agent says of its own tenants is its word"
    );
}

#[test]
fn s5_an_object_outside_the_tenants_namespaces_is_found() {
    breaks(
        "S5",
        vec![kube(
            "eu-1",
            "PATCH",
            "/api/v1/namespaces/kube-system/configmaps/x",
        )],
    );
    breaks(
        "S5",
        vec![kube(
            "eu-1",
            "PATCH",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/x",
        )],
    );
}

#[test]
fn s6_a_delete_that_nobody_asked_for_is_found() {
    breaks("S6", vec![wrote(1, false), kube("eu-1", "DELETE", NAMESPACE)]);
    breaks(
        "S6",
        vec![
            wrote(1, false),
            kube("eu-1", "DELETE", "/api/v1/namespaces/t-ada--extra"),
            wrote(2, false),
        ],
    );
    assert_eq!(
        broken(
            vec![
                wrote(1, false),
                wrote(2, false),
                kube("eu-1", "DELETE", "/api/v1/namespaces/t-ada--extra")
            ],
            &settled(),
            0
        ),
        Vec::<&str>::new(),
        "a change may leave a namespace out"
    );
}

#[test]
fn s7_a_status_fresher_than_its_evidence_or_known_without_any_is_found() {
    breaks("S7", vec![shown("Healthy", "", 0, 9)]);
    breaks("S7", vec![shown("Healthy", "", 40, 40)]);
}

#[test]
fn s8_a_fleet_that_does_not_settle_or_does_not_rest_is_found() {
    let open = End {
        settled: Some("ada is not Ready".into()),
        ..settled()
    };
    assert_eq!(broken(good(), &open, 0), ["S8"]);
    let mut restless = good();
    restless.push(kube("eu-1", "PATCH", NAMESPACE));
    assert_eq!(broken(restless, &settled(), 1), ["S8"]);
    let changed = End {
        tenants: BTreeMap::from([("eu-1".to_owned(), BTreeMap::new())]),
        last: Some(BTreeMap::new()),
        ..settled()
    };
    assert_eq!(broken(good(), &changed, 0), ["S8"]);
}
