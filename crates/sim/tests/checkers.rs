//! Each invariant's checker finds what it is there for, in histories that are doctored to break it, and nothing in one that does not.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{collections::BTreeMap, time::Duration};

use berth_model::{
    ClusterName, Digest, Generation, Revision, Tenant, TenantId, TenantSpec, Term, TierName, Uid,
};
use berth_sim::{
    check::{self, End},
    history::{Acknowledged, Event, Said, Shown},
};
use berth_store::{Change, Key};
use berth_wire::record::{self, TenantRecord};

fn tenant() -> TenantId {
    TenantId::new("ada").unwrap()
}

fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).unwrap()
}

/// A version of the tenant's record, as the store took it.
fn wrote(generation: u64, deleting: bool) -> Event {
    let record = Tenant {
        id: tenant(),
        uid: Uid::new("uid-1").unwrap(),
        generation: Generation(generation),
        revision: Revision(0),
        created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        deleting_since: deleting.then(|| "2026-01-01T00:00:00Z".parse().unwrap()),
        spec: TenantSpec::of_tier(TierName::new("free").unwrap()),
    };
    let value = record::encode_tenant(&TenantRecord {
        tenant: record,
        request_ids: Vec::new(),
    });
    change(Some(value))
}

fn change(put: Option<Vec<u8>>) -> Event {
    Event::Wrote {
        hub: "hub-1#1".into(),
        revision: Revision(1),
        changes: vec![Change {
            revision: Revision(1),
            key: Key::new("tenants/ada").unwrap(),
            put: put.map(Into::into),
            last: true,
        }],
    }
}

fn acknowledged(what: &'static str, generation: u64) -> Event {
    Event::Answered {
        call: 1,
        done: Some(Acknowledged {
            what,
            tenant: tenant(),
            uid: Uid::new("uid-1").unwrap(),
            generation: Generation(generation),
            mark: String::new(),
        }),
        why: String::new(),
    }
}

fn commanded(hub: &str, term: u64, nonce: u64) -> Event {
    Event::Commanded {
        hub: hub.into(),
        connection: 1,
        cluster: cluster("eu-1"),
        said: Said {
            what: "assign",
            tenant: tenant(),
            uid: "uid-1".into(),
            generation: 1,
            term: Term(term),
            nonce,
        },
    }
}

fn accepted(nonce: u64) -> Event {
    Event::Accepted {
        agent: "eu-1#1".into(),
        cluster: cluster("eu-1"),
        connection: 1,
        nonce,
    }
}

fn kube(at: &str, verb: &str, path: &str) -> Event {
    Event::Kube {
        cluster: cluster(at),
        agent: format!("{at}#1"),
        verb: verb.into(),
        path: path.into(),
        status: 200,
        uid: "uid-1".into(),
        changed: true,
    }
}

fn shown(health: &str, text: &str, claimed: u64, truly: u64) -> Event {
    Event::Shown(Shown {
        hub: "hub-1#1".into(),
        tenant: tenant(),
        cluster: Some(cluster("eu-1")),
        health: health.into(),
        text: text.into(),
        claimed_age: Some(Duration::from_secs(claimed)),
        true_age: Some(Duration::from_secs(truly)),
        suspicious_for: Duration::from_secs(7),
    })
}

fn remembered(term: u64) -> Event {
    Event::Remembered {
        cluster: cluster("eu-1"),
        tenant: tenant(),
        uid: Uid::new("uid-1").unwrap(),
        generation: Generation(1),
        digest: Digest::new("0".repeat(64)).unwrap(),
        term: Term(term),
    }
}

/// Which rules a history breaks; one second passes between two events, and the rest begins after all but the last `resting`.
fn broken(events: Vec<Event>, end: &End, resting: usize) -> Vec<&'static str> {
    let active = events.len() - resting;
    let events: Vec<(Duration, Event)> = (0..).map(Duration::from_secs).zip(events).collect();
    let rest = Duration::from_millis(u64::try_from(active).unwrap() * 1000 - 500);
    let mut rules: Vec<&'static str> = check::all(&events, end, rest)
        .into_iter()
        .map(|finding| finding.rule)
        .collect();
    rules.dedup();
    rules
}

fn settled() -> End {
    End {
        uids: ["uid-1".to_owned()].into(),
        ..End::default()
    }
}

fn breaks(rule: &'static str, events: Vec<Event>) {
    assert_eq!(broken(events, &settled(), 0), [rule]);
}

const NAMESPACE: &str = "/api/v1/namespaces/t-ada";

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
