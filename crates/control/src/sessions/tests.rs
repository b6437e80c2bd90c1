use berth_runtime::ManualClock;

use super::*;

fn name(text: &str) -> ClusterName {
    ClusterName::new(text).unwrap()
}

fn hello() -> Hello {
    Hello {
        agent_version: "0.1.0".into(),
        held: Held::new(),
        facts: ClusterFacts::default(),
        highest_term: Term(0),
        told: None,
        trusted_pins: Vec::new(),
        issuer_pin: String::new(),
    }
}

fn sessions() -> (Sessions, ManualClock) {
    let clock = ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    (Sessions::new(Arc::new(clock.clone())), clock)
}

#[tokio::test]
async fn a_newer_session_of_a_cluster_ends_the_older_one() {
    let (sessions, _) = sessions();
    let (old, outbox) = sessions.open(&name("a"), "key", hello());
    let (new, _) = sessions.open(&name("a"), "key", hello());
    assert!(matches!(
        outbox.next().await,
        crate::outbox::Outgoing::Goodbye {
            reason: "Superseded",
            ..
        }
    ));
    sessions.close(&name("a"), old);
    assert!(
        sessions.is_connected(&name("a")),
        "closing the older session leaves the newer one"
    );
    sessions.close(&name("a"), new);
    assert!(!sessions.is_connected(&name("a")));
}

#[test]
fn evidence_is_as_old_as_the_agents_own_look_at_its_api_server() {
    let (sessions, clock) = sessions();
    let (id, _) = sessions.open(&name("a"), "key", hello());
    let opened = clock.now();
    assert_eq!(
        sessions.evidence_at(&name("a")),
        None,
        "a connection alone is no evidence"
    );
    clock.advance(Duration::from_secs(60));
    sessions.heartbeat(&name("a"), id, Duration::from_secs(20), None);
    let at = sessions.evidence_at(&name("a")).unwrap();
    assert_eq!(at.as_second() - opened.as_second(), 40);
    sessions.heartbeat(&name("a"), id, Duration::from_secs(50), None);
    assert_eq!(
        sessions.evidence_at(&name("a")),
        Some(at),
        "evidence never grows older by hearing more"
    );
}

#[test]
fn a_clock_that_is_set_makes_evidence_neither_younger_nor_older() {
    let (sessions, clock) = sessions();
    let (id, _) = sessions.open(&name("a"), "key", hello());
    sessions.heartbeat(&name("a"), id, Duration::from_secs(5), None);
    for set in ["2025-12-31T23:00:00Z", "2026-01-01T01:00:00Z"] {
        clock.set(set.parse().unwrap());
        clock.advance(Duration::from_secs(10));
    }
    let age = clock
        .now()
        .duration_since(sessions.evidence_at(&name("a")).unwrap());
    assert_eq!(age.as_secs(), 25);
}

#[tokio::test]
async fn a_key_that_was_replaced_speaks_no_more_and_what_it_said_is_forgotten() {
    let (sessions, _) = sessions();
    let (id, outbox) = sessions.open(&name("a"), "key", hello());
    sessions.heartbeat(&name("a"), id, Duration::ZERO, None);
    sessions.end_other_keys(&name("a"), "key");
    assert!(sessions.is_connected(&name("a")));
    sessions.end_other_keys(&name("a"), "another");
    assert!(matches!(
        outbox.next().await,
        crate::outbox::Outgoing::Goodbye {
            reason: "Refused",
            ..
        }
    ));
    assert!(!sessions.is_connected(&name("a")) && sessions.evidence_at(&name("a")).is_none());
}

#[test]
fn a_session_that_was_replaced_cannot_say_anything_any_more() {
    let (sessions, _) = sessions();
    let (old, _) = sessions.open(&name("a"), "key", hello());
    let _ = sessions.open(&name("a"), "key", hello());
    let _ = sessions.take_changes();
    sessions.heartbeat(&name("a"), old, Duration::ZERO, Some("down".into()));
    assert_eq!(sessions.view(&name("a")).unwrap().api_error, None);
    assert_eq!(sessions.take_changes(), SessionChanges::default());
}

#[tokio::test]
async fn a_term_no_fleet_reaches_is_not_heeded() {
    let (sessions, _) = sessions();
    let lies = Hello {
        highest_term: Term(u64::MAX),
        trusted_pins: Vec::new(),
        issuer_pin: String::new(),
        ..hello()
    };
    let (id, _) = sessions.open(&name("a"), "key", lies);
    assert_eq!(sessions.highest_term(), Term(0));
    sessions.saw_term(&name("a"), id, Term(u64::MAX - 1));
    assert_eq!(sessions.highest_term(), Term(0));
    sessions.saw_term(&name("a"), id, Term(9));
    assert_eq!(sessions.highest_term(), Term(9));
}

#[test]
fn who_leads_no_more_tells_nobody_how_far_the_store_is() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (sessions, _) = sessions();
    let leads = Arc::new(AtomicBool::new(true));
    let asked = leads.clone();
    sessions.begin(Arc::new(move || asked.load(Ordering::Relaxed)));
    let point = StorePoint {
        term: Term(2),
        revision: berth_model::Revision(7),
        incarnation: 1,
        ..StorePoint::default()
    };
    sessions.came_to(point);
    assert_eq!(sessions.point(&name("a")), Some(point));
    // It was paused, and has read what the next leader wrote before it learns of that one.
    leads.store(false, Ordering::Relaxed);
    assert_eq!(sessions.point(&name("a")), None);
}

#[tokio::test]
async fn who_leads_no_more_has_no_sessions_and_sends_agents_to_the_leader() {
    use crate::outbox::Outgoing;
    let (sessions, _) = sessions();
    let knows = Hello {
        highest_term: Term(4),
        trusted_pins: Vec::new(),
        issuer_pin: String::new(),
        ..hello()
    };
    let (_, before) = sessions.open(&name("a"), "key", knows);
    sessions.follow("https://other:1");
    assert!(!sessions.is_connected(&name("a")));
    let (_, after) = sessions.open(&name("a"), "key", hello());
    for outbox in [before, after] {
        let Outgoing::Goodbye { reason, leader, .. } = outbox.next().await else {
            panic!("an agent is to be sent away");
        };
        assert_eq!((reason, leader.as_str()), ("NotLeader", "https://other:1"));
    }
    assert!(!sessions.is_connected(&name("a")));
    assert_eq!(
        sessions.highest_term(),
        Term(4),
        "what agents know of terms stays known"
    );
    sessions.begin(Arc::new(|| true));
    sessions.open(&name("a"), "key", hello());
    assert!(sessions.is_connected(&name("a")));
}
