//! Histories that can have been, and ones that were tampered with.

use super::*;

const OPENED: Event = Event::Opened {
    hub: 0,
    resuming: false,
};

fn seen(uid: u32, generation: i64, etag: u64, value: u64) -> Seen {
    Seen {
        uid,
        generation,
        etag,
        value,
        deleting: false,
    }
}

fn deleting(uid: u32, generation: i64, etag: u64, value: u64) -> Seen {
    Seen {
        deleting: true,
        ..seen(uid, generation, etag, value)
    }
}

/// A call: client, when it began, what, and when and what was answered.
type Short = (usize, u64, Op, Option<(u64, Answer)>);

/// Calls of one tenant.
fn history(calls: &[Short]) -> History {
    let calls = calls.iter().map(|(client, begun, op, ended)| Call {
        client: *client,
        tenant: "acme".into(),
        op: *op,
        begun: *begun,
        ended: *ended,
    });
    History {
        calls: calls.collect(),
        ..History::default()
    }
}

fn one_after_another(calls: &[(Op, Answer)]) -> History {
    let calls: Vec<_> = (0..)
        .zip(calls)
        .map(|(at, (op, answer))| (0, 2 * at, *op, Some((2 * at + 1, *answer))))
        .collect();
    history(&calls)
}

#[track_caller]
fn fine(history: &History) {
    if let Err(faults) = check(history) {
        panic!("{}", faults.iter().map(ToString::to_string).collect::<String>());
    }
}

#[track_caller]
fn no_order(history: &History) {
    let faults = check(history).unwrap_err();
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::NotLinearizable { .. })),
        "{faults:?}"
    );
}

const CREATE: Op = Op::Create { value: 1 };

fn update(value: u64, etag: Option<u64>) -> Op {
    Op::Update { value, etag }
}

#[test]
fn a_life_from_creation_to_deletion_and_again_can_have_been() {
    use Answer::{Absent, Deleting, Exists, Is, Stale};
    fine(&one_after_another(&[
        (Op::Get, Absent),
        (CREATE, Is(seen(0, 1, 5, 1))),
        (CREATE, Exists),
        (update(2, Some(5)), Is(seen(0, 2, 7, 2))),
        (update(3, Some(5)), Stale),
        (Op::Delete { etag: Some(5) }, Stale),
        (Op::Delete { etag: Some(7) }, Is(deleting(0, 3, 9, 2))),
        (update(3, None), Deleting),
        (Op::Delete { etag: None }, Is(deleting(0, 3, 9, 2))),
        (Op::Get, Absent),
        (Op::Create { value: 4 }, Is(seen(1, 1, 12, 4))),
        (Op::Get, Is(seen(1, 1, 12, 4))),
    ]));
}

#[test]
fn a_read_of_what_was_there_before_an_acknowledged_write_is_found() {
    no_order(&one_after_another(&[
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (update(2, None), Answer::Is(seen(0, 2, 7, 2))),
        (Op::Get, Answer::Is(seen(0, 1, 5, 1))),
    ]));
    // Beside the write it may be read before or after it.
    fine(&history(&[
        (0, 0, CREATE, Some((1, Answer::Is(seen(0, 1, 5, 1))))),
        (0, 2, update(2, None), Some((9, Answer::Is(seen(0, 2, 7, 2))))),
        (1, 3, Op::Get, Some((4, Answer::Is(seen(0, 1, 5, 1))))),
        (1, 5, Op::Get, Some((6, Answer::Is(seen(0, 2, 7, 2))))),
    ]));
    // But not before it once it has been seen.
    no_order(&history(&[
        (0, 0, CREATE, Some((1, Answer::Is(seen(0, 1, 5, 1))))),
        (0, 2, update(2, None), Some((9, Answer::Is(seen(0, 2, 7, 2))))),
        (1, 3, Op::Get, Some((4, Answer::Is(seen(0, 2, 7, 2))))),
        (2, 5, Op::Get, Some((6, Answer::Is(seen(0, 1, 5, 1))))),
    ]));
}

#[test]
fn an_acknowledged_tenant_that_is_lost_is_found() {
    no_order(&one_after_another(&[
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (Op::Get, Answer::Absent),
    ]));
    no_order(&one_after_another(&[
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (Op::Create { value: 2 }, Answer::Is(seen(1, 1, 6, 2))),
    ]));
}

#[test]
fn an_acknowledged_update_that_is_lost_is_found() {
    no_order(&one_after_another(&[
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (update(2, None), Answer::Is(seen(0, 2, 7, 2))),
        (update(3, None), Answer::Is(seen(0, 2, 8, 3))),
    ]));
    // Also when another write was under way and its answer is not known: it would count as one more generation.
    no_order(&history(&[
        (0, 0, CREATE, Some((1, Answer::Is(seen(0, 1, 5, 1))))),
        (1, 2, update(9, None), None),
        (0, 3, update(2, None), Some((4, Answer::Is(seen(0, 2, 7, 2))))),
        (0, 5, Op::Get, Some((6, Answer::Is(seen(0, 2, 8, 9))))),
    ]));
}

#[test]
fn two_changes_at_one_etag_are_found() {
    no_order(&history(&[
        (0, 0, CREATE, Some((1, Answer::Is(seen(0, 1, 5, 1))))),
        (0, 2, update(2, Some(5)), Some((6, Answer::Is(seen(0, 2, 7, 2))))),
        (1, 3, update(3, Some(5)), Some((5, Answer::Is(seen(0, 3, 8, 3))))),
    ]));
}

#[test]
fn a_tenant_that_comes_back_after_it_was_gone_is_found() {
    let before = [
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (Op::Delete { etag: None }, Answer::Is(deleting(0, 2, 6, 1))),
        (Op::Get, Answer::Absent),
    ];
    let with = |op, answer| one_after_another(&[&before[..], &[(op, answer)]].concat());
    no_order(&with(Op::Get, Answer::Is(deleting(0, 2, 6, 1))));
    no_order(&with(Op::Create { value: 2 }, Answer::Exists));
    no_order(&with(Op::Create { value: 2 }, Answer::Is(seen(0, 1, 9, 2))));
    fine(&with(Op::Create { value: 2 }, Answer::Is(seen(1, 1, 9, 2))));
}

#[test]
fn a_deletion_that_was_never_asked_for_is_found() {
    no_order(&one_after_another(&[
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (Op::Get, Answer::Is(deleting(0, 2, 6, 1))),
    ]));
}

#[test]
fn an_etag_that_is_not_newer_than_those_before_is_found() {
    no_order(&one_after_another(&[
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (update(2, None), Answer::Is(seen(0, 2, 5, 2))),
    ]));
}

#[test]
fn a_write_without_an_answer_has_happened_or_not_and_not_both() {
    let created = (0, 0, CREATE, Some((1, Answer::Is(seen(0, 1, 5, 1)))));
    let lost = (1, 2, update(2, None), None);
    let read = |at: u64, what: Seen| (2, at, Op::Get, Some((at + 1, Answer::Is(what))));
    fine(&history(&[created, lost, read(4, seen(0, 1, 5, 1))]));
    fine(&history(&[created, lost, read(4, seen(0, 2, 8, 2))]));
    fine(&history(&[
        created,
        lost,
        read(4, seen(0, 1, 5, 1)),
        read(6, seen(0, 2, 8, 2)),
    ]));
    no_order(&history(&[
        created,
        lost,
        read(4, seen(0, 2, 8, 2)),
        read(6, seen(0, 1, 5, 1)),
    ]));
    // It did not begin before it began.
    no_order(&history(&[
        created,
        (2, 2, Op::Get, Some((3, Answer::Is(seen(0, 2, 8, 2))))),
        (1, 4, update(2, None), None),
    ]));
    // A creation, and a deletion with what follows.
    fine(&history(&[
        (0, 0, CREATE, None),
        (1, 1, Op::Delete { etag: None }, None),
        (2, 2, Op::Get, Some((3, Answer::Is(deleting(0, 2, 8, 1))))),
        (2, 4, Op::Get, Some((5, Answer::Absent))),
    ]));
}

#[test]
fn the_fault_shows_the_calls_up_to_the_first_that_cannot_be() {
    let history = one_after_another(&[
        (CREATE, Answer::Is(seen(0, 1, 5, 1))),
        (Op::Get, Answer::Absent),
        (Op::Get, Answer::Is(seen(0, 1, 5, 1))),
    ]);
    let faults = check(&history).unwrap_err();
    let [Fault::NotLinearizable { calls, .. }] = &faults[..] else {
        panic!("{faults:?}");
    };
    assert_eq!(calls[..], history.calls[..2]);
    assert!(
        faults[0].to_string().contains("client 0: Get -> Absent at 3"),
        "{}",
        faults[0]
    );
}

#[test]
fn a_search_that_takes_too_long_is_given_up_and_said_so() {
    // Twelve writes without an answer, and one answer that none of their orders explains.
    let mut calls: Vec<_> = (0..12)
        .map(|n| (n, n as u64, update(n as u64 + 2, None), None))
        .collect();
    calls.push((20, 30, CREATE, Some((31, Answer::Is(seen(0, 1, 5, 1))))));
    calls.push((20, 32, Op::Get, Some((33, Answer::Is(seen(7, 1, 5, 1))))));
    let faults = within(20_000, &history(&calls)).unwrap_err();
    assert!(
        faults
            .iter()
            .any(|fault| matches!(fault, Fault::Undecided { lost: 12, .. })),
        "{faults:?}"
    );
}

fn watched(events: Vec<Event>, last: &[(&str, Seen)]) -> Result<Report, Vec<Fault>> {
    check(&History {
        watches: vec![events],
        last: last
            .iter()
            .map(|(tenant, seen)| ((*tenant).to_owned(), *seen))
            .collect(),
        ..History::default()
    })
}

fn shows(tenant: &str, seen: Seen, snapshot: bool) -> Event {
    Event::Upserted {
        tenant: tenant.into(),
        seen,
        whole: 0,
        snapshot,
    }
}

fn gone(tenant: &str) -> Event {
    Event::Deleted {
        tenant: tenant.into(),
    }
}

#[test]
fn a_stream_with_a_restart_in_it_can_have_been() {
    let (first, second) = (seen(0, 1, 5, 1), seen(0, 2, 7, 2));
    let events = vec![
        OPENED,
        shows("a", first, true),
        Event::SnapshotEnd,
        shows("a", second, false),
        shows("b", seen(1, 1, 8, 3), false),
        OPENED,
        shows("a", second, true),
        Event::SnapshotEnd,
        shows("b", seen(2, 1, 9, 4), false),
        gone("b"),
    ];
    let report = watched(events, &[("a", second)]).unwrap();
    assert_eq!((report.events, report.opened), (10, 2));
}

#[test]
fn a_stream_that_goes_back_repeats_revives_or_leaves_out_is_found() {
    let (first, second) = (seen(0, 1, 5, 1), seen(0, 2, 7, 2));
    let cases: [(&str, Vec<Event>, Option<Seen>); 7] = [
        (
            "WentBack",
            vec![shows("a", second, false), shows("a", first, false)],
            Some(first),
        ),
        (
            "WentBack",
            vec![shows("a", second, false), shows("a", seen(1, 1, 6, 3), false)],
            Some(seen(1, 1, 6, 3)),
        ),
        (
            "Repeated",
            vec![shows("a", first, false), OPENED, shows("a", first, false)],
            Some(first),
        ),
        (
            "Resurrected",
            vec![shows("a", first, false), gone("a"), shows("a", second, false)],
            Some(second),
        ),
        (
            // A snapshot without it says that it is gone.
            "Resurrected",
            vec![
                shows("a", first, false),
                OPENED,
                Event::SnapshotEnd,
                shows("a", first, false),
            ],
            Some(first),
        ),
        ("Missed", vec![shows("a", first, false)], Some(second)),
        ("Missed", vec![shows("a", first, false)], None),
    ];
    for (expected, mut events, last) in cases {
        events.insert(0, OPENED);
        let last: Vec<_> = last.into_iter().map(|seen| ("a", seen)).collect();
        let faults = watched(events.clone(), &last).unwrap_err();
        assert!(
            faults
                .iter()
                .any(|fault| format!("{fault:?}").starts_with(expected)),
            "{expected}: {events:?}: {faults:?}"
        );
    }
}

#[test]
fn an_answer_and_a_stream_that_show_one_generation_differently_are_found() {
    let mut history = one_after_another(&[(CREATE, Answer::Is(seen(0, 1, 5, 1)))]);
    let other = seen(0, 1, 6, 1);
    history.watches = vec![vec![OPENED, shows("acme", other, false)]];
    history.last = BTreeMap::from([("acme".to_owned(), other)]);
    let faults = check(&history).unwrap_err();
    assert!(matches!(&faults[..], [Fault::TwoStates { .. }]), "{faults:?}");
}

#[test]
fn a_fault_after_many_calls_side_by_side_is_found_and_not_given_up() {
    let mut calls = vec![(0, 0, CREATE, Some((1, Answer::Is(seen(0, 1, 5, 1)))))];
    // Ten rounds of six reads at a time: 720^10 orders, all of them alike.
    for round in 0..10_u64 {
        let begun = 100 * (round + 1);
        for client in 0..6 {
            let at = begun + client as u64;
            calls.push((client, at, Op::Get, Some((at + 50, Answer::Is(seen(0, 1, 5, 1))))));
        }
    }
    fine(&history(&calls));
    calls.push((0, 9_000, Op::Get, Some((9_001, Answer::Absent))));
    no_order(&history(&calls));
}
