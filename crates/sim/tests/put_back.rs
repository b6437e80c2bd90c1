//! The checkers of a store that was put back find what they are there for, and nothing where the operator took back what is missing.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod support;

use berth_control::keys;
use berth_model::{FleetId, Revision, StorePoint, Term};
use berth_sim::history::{Event, PutBack};
use berth_store::{Change, Entry, Key};
use berth_wire::record::{self, FleetRecord};
use support::{NAMESPACE, accepted, breaks, change, commanded, fine, kube, settled, wrote, wrote_at};

fn fleet(term: u64, command_term: u64) -> Vec<u8> {
    record::encode_fleet(&FleetRecord {
        fleet: FleetId::new("fleet-1").unwrap(),
        term: Term(term),
        command_term: Term(command_term),
        commanded_at: None,
        ca_pin: String::new(),
    })
}

/// The store is as it was at `from`, with the records that those events wrote.
fn put_back(marked: bool, from: u64, records: &[Event]) -> Event {
    let mut entries = vec![(keys::fleet(), fleet(1, 0))];
    if marked {
        entries.push((keys::restore(), Vec::new()));
    }
    for event in records {
        let Event::Wrote { changes, .. } = event else {
            continue;
        };
        for change in changes {
            entries.push((
                change.key.clone(),
                change.put.clone().unwrap_or_default().to_vec(),
            ));
        }
    }
    let entry = |(key, value): (Key, Vec<u8>)| Entry {
        key,
        value: value.into(),
        revision: Revision(from),
        created: Revision(from),
    };
    Event::PutBack(PutBack {
        from: Revision(from),
        revision: Revision(from),
        marked,
        entries: entries.into_iter().map(entry).collect(),
    })
}

fn started(process: &str) -> Event {
    Event::Started {
        process: process.into(),
    }
}

/// An operator lets a hub take command in that term.
fn taken(hub: &str, term: u64) -> Event {
    let change = |key, put: Option<Vec<u8>>, last| Change {
        revision: Revision(1),
        key,
        put: put.map(Into::into),
        last,
    };
    Event::Wrote {
        hub: hub.into(),
        revision: Revision(1),
        changes: vec![
            change(keys::fleet(), Some(fleet(term, term)), false),
            change(keys::restore(), None, true),
        ],
    }
}

/// An agent that has accepted that term and was told of that revision in it links to the hub.
fn linked(hub: &str, connection: u64, term: u64, told: u64) -> Event {
    Event::Linked {
        hub: hub.into(),
        agent: "eu-1#1".into(),
        cluster: berth_model::ClusterName::new("eu-1").unwrap(),
        connection,
        term: Term(term),
        told: Some(StorePoint {
            term: Term(term),
            revision: Revision(told),
            incarnation: 7,
            ..StorePoint::default()
        }),
        incarnation: 8,
    }
}

/// A fleet that was put back to before the tenant's second change, and acts again when it was let.
fn good() -> Vec<Event> {
    vec![
        wrote_at(1, 1, false),
        commanded("hub-1#1", 1, 1),
        wrote_at(2, 2, false),
        put_back(true, 1, &[wrote(1, false)]),
        started("hub-1#2"),
        linked("hub-1#2", 1, 1, 2),
        taken("hub-1#2", 2),
        commanded("hub-1#2", 2, 2),
        accepted(2),
        wrote_at(2, 2, false),
    ]
}

#[test]
fn what_the_operator_took_back_is_not_missed() {
    fine(good());
}

#[test]
fn s1_a_store_that_comes_back_without_what_was_in_it_is_found() {
    let before = || vec![wrote_at(1, 1, false), wrote_at(2, 2, false)];
    let back = |at, records: &[Event]| {
        let mut events = before();
        events.push(put_back(true, at, records));
        events
    };
    breaks("S1", back(1, &[]));
    breaks("S1", back(1, &[wrote(2, false)]));
    breaks("S1", back(2, &[wrote(1, false)]));
    fine(back(2, &[wrote(2, false)]));
}

#[test]
fn s1_a_record_that_goes_on_from_what_was_taken_back_is_found() {
    breaks(
        "S1",
        vec![
            wrote_at(1, 1, false),
            wrote_at(2, 2, false),
            put_back(false, 1, &[wrote(1, false)]),
            wrote(3, false),
        ],
    );
}

#[test]
fn s6_a_hub_on_a_restored_store_that_commands_before_it_was_let_is_found() {
    let mut early = good();
    early.insert(6, commanded("hub-1#2", 1, 9));
    breaks("S6", early);
    // Also when it was not restored, and found out itself.
    let mark = Event::Wrote {
        hub: "hub-1#2".into(),
        revision: Revision(3),
        changes: vec![Change {
            revision: Revision(3),
            key: keys::restore(),
            put: Some(Vec::new().into()),
            last: true,
        }],
    };
    breaks(
        "S6",
        vec![
            put_back(false, 1, &[]),
            mark,
            started("hub-1#3"),
            commanded("hub-1#3", 1, 1),
        ],
    );
}

#[test]
fn s6_what_is_changed_while_every_hub_only_observes_is_found() {
    let mut written = good();
    written.pop();
    written.insert(6, wrote_at(2, 2, false));
    breaks("S6", written);
    let mut made = good();
    let cloud = Event::Cloud {
        clusters: vec![("new".into(), "uid-1".into())],
        pools: Vec::new(),
    };
    made.insert(6, cloud.clone());
    breaks("S6", made);
    let mut later = good();
    later.insert(7, cloud);
    fine(later);
}

#[test]
fn s6_a_delete_that_only_a_forgotten_wish_explains_is_found() {
    let deleted = |told: bool| {
        let mut withdraw = commanded("hub-1#1", 1, 1);
        if let Event::Commanded { said, .. } = &mut withdraw {
            said.what = "withdraw";
        }
        let mut events = vec![wrote_at(1, 1, false), wrote_at(2, 2, true)];
        events.extend(told.then_some(withdraw));
        events.push(put_back(true, 1, &[wrote(1, false)]));
        events.push(kube("eu-1", "DELETE", NAMESPACE));
        events
    };
    breaks("S6", deleted(false));
    // What an agent was told before it does.
    fine(deleted(true));
}

#[test]
fn s2_a_hub_that_commands_although_agents_were_told_of_a_later_store_is_found() {
    let history = |told, command: Event| {
        vec![
            wrote_at(1, 1, false),
            put_back(false, 5, &[wrote(1, false)]),
            started("hub-1#2"),
            linked("hub-1#2", 1, 1, told),
            started("eu-2#1"),
            started("eu-3#1"),
            started("eu-4#1"),
            command,
        ]
    };
    let elsewhere = || {
        let mut command = commanded("hub-1#2", 1, 1);
        if let Event::Commanded { connection, .. } = &mut command {
            *connection = 2;
        }
        command
    };
    breaks("S2", history(6, commanded("hub-1#2", 1, 1)));
    breaks("S2", history(6, elsewhere()));
    fine(history(5, commanded("hub-1#2", 1, 1)));
    // What was on its way to another cluster goes on its way.
    let mut at_once = history(6, elsewhere());
    at_once.drain(4..7);
    fine(at_once);
    // By an operator's word.
    let mut let_go = history(6, elsewhere());
    let_go[4] = taken("hub-1#2", 2);
    fine(let_go);
}

#[test]
fn s2_a_term_that_is_not_above_what_agents_knew_is_found() {
    let history = |term| {
        vec![
            put_back(true, 1, &[]),
            started("hub-1#2"),
            linked("hub-1#2", 1, 4, 1),
            taken("hub-1#2", term),
        ]
    };
    breaks("S2", history(4));
    fine(history(5));
}

#[test]
fn s2_a_tenant_stays_on_one_side_but_where_the_store_forgot_the_other() {
    let applied = |at| kube(at, "PATCH", NAMESPACE);
    let assigned = |to: &str| {
        let record = record::AssignmentRecord {
            tenant_uid: berth_model::Uid::new("uid-1").unwrap(),
            cluster: berth_model::ClusterName::new(to).unwrap(),
            generation: berth_model::Generation(1),
            digest: berth_model::Digest::new("0".repeat(64)).unwrap(),
            term: Term(1),
            tenant_generation: berth_model::Generation(1),
            withdrawing: false,
            withdrawn: false,
        };
        let mut event = change(Some(record::encode_assignment(&record)));
        if let Event::Wrote { changes, .. } = &mut event {
            changes[0].key = Key::new("assignments/ada").unwrap();
        }
        event
    };
    let history = |kept: &[Event]| {
        vec![
            applied("eu-1"),
            put_back(false, 1, kept),
            applied("eu-2"),
            applied("eu-1"),
        ]
    };
    fine(history(&[]));
    fine(history(&[assigned("eu-2")]));
    breaks("S2", history(&[assigned("eu-1")]));
}

#[test]
fn s2_a_tenant_that_is_sent_to_a_second_cluster_by_a_hub_that_knows_the_first_is_found() {
    let sent = |others: &[&str]| {
        let mut command = commanded("hub-1#1", 1, 1);
        if let Event::Commanded { held_by, .. } = &mut command {
            *held_by = others.iter().map(|other| support::cluster(other)).collect();
        }
        command
    };
    breaks("S2", vec![sent(&["eu-2"])]);
    // It was told too late.
    fine(vec![sent(&[]), sent(&["eu-2"])]);
    breaks("S2", vec![sent(&[]), put_back(false, 1, &[]), sent(&["eu-2"])]);
}

#[test]
fn s3_what_is_left_in_the_cloud_is_missed_only_when_the_store_had_not_forgotten_it() {
    let cloud = || Event::Cloud {
        clusters: vec![("a".into(), "uid-of-nobody".into())],
        pools: Vec::new(),
    };
    let end = berth_sim::check::End {
        cloud: vec![("a".into(), "uid-of-nobody".into())],
        ..settled()
    };
    let later = vec![
        wrote_at(1, 1, false),
        cloud(),
        put_back(false, 1, &[wrote(1, false)]),
    ];
    assert_eq!(support::broken(later, &end, 0), Vec::<&str>::new());
    let before = vec![
        cloud(),
        wrote_at(1, 1, false),
        put_back(false, 1, &[wrote(1, false)]),
    ];
    assert_eq!(support::broken(before, &end, 0), ["S3"]);
}
