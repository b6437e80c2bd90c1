use berth_model::{Digest, Generation, TenantId, Uid};
use berth_wire::link::{chunk_assign, goodbye_to_proto, keep_to_proto, withdraw_to_proto};
use proptest::prelude::*;

use super::*;

const TIME: Timestamp = Timestamp::UNIX_EPOCH;

fn cluster() -> ClusterName {
    ClusterName::new("eu-1").unwrap()
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn welcome(heartbeat: Duration) -> FromHub {
    FromHub::Welcome(agent::Welcome {
        session: "s".into(),
        term: 7,
        protocol: 1,
        heartbeat_interval: Some(time::span_to_proto(heartbeat)),
        ping_interval: None,
        number: 0,
    })
}

fn live(highest: u64) -> Session {
    let mut session = Session::new(cluster(), Term(highest), second(0));
    let effects = session.step(Input::Heard(Some(welcome(second(4)))), second(0), TIME);
    assert_eq!(effects, [Effect::Beat { answers: 0 }, Effect::Report]);
    session
}

fn lines() -> Vec<u8> {
    let manifest = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "t-a"}});
    let object = Object {
        phase: berth_model::assignment::ApplyPhase::Namespace,
        applied_as: berth_model::assignment::AppliedAs::Agent,
        manifest,
    };
    objects::encode_objects(&[object]).unwrap()
}

fn assignment(term: u64, digest: Digest) -> Assignment {
    Assignment {
        tenant: TenantId::new("a").unwrap(),
        uid: Uid::new("u1").unwrap(),
        cluster: cluster(),
        generation: Generation(1),
        digest,
        term: Term(term),
    }
}

fn parts(term: u64, digest: Digest, nonce: u64, part_size: usize) -> Vec<agent::Assign> {
    chunk_assign(
        &assignment(term, digest),
        nonce,
        &objects::compress(&lines()).unwrap().into(),
        part_size,
    )
}

fn hear(session: &mut Session, message: FromHub) -> Vec<Effect> {
    session.step(Input::Heard(Some(message)), second(1), TIME)
}

fn nack(effects: &[Effect]) -> (u64, NackReason, Term) {
    match effects {
        [Effect::Send(message)] => match message.as_ref() {
            ToHub::Nack(nack) => {
                let nack = link::nack_from_proto(nack);
                (nack.nonce, nack.reason, nack.highest_term)
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn ended(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::End(_)])
}

#[test]
fn an_assignment_in_parts_reaches_the_engine_whole_and_its_answer_the_hub() {
    let mut session = live(0);
    let parts = parts(7, objects::digest(&lines()).unwrap(), 5, 10);
    let (last, first) = parts.split_last().unwrap();
    for part in first {
        assert_eq!(hear(&mut session, FromHub::Assign(part.clone())), []);
    }
    let effects = hear(&mut session, FromHub::Assign(last.clone()));
    assert!(
        matches!(&effects[..], [Effect::Assign { nonce: 5, objects, .. }] if objects.len() == 1),
        "{effects:?}"
    );
    let effects = session.step(
        Input::Answered {
            nonce: 5,
            answer: Answer::Taken(Term(7)),
        },
        second(1),
        TIME,
    );
    assert_eq!(effects, send(ToHub::Ack(agent::Ack { nonce: 5 })));
}

#[test]
fn objects_that_do_not_have_their_digest_are_refused() {
    let mut session = live(0);
    let wrong = Digest::new("0".repeat(64)).unwrap();
    let effects = hear(
        &mut session,
        FromHub::Assign(parts(7, wrong, 5, 10_000).remove(0)),
    );
    assert_eq!(nack(&effects), (5, NackReason::DigestMismatch, Term(0)));
}

#[test]
fn objects_that_unpack_to_more_than_the_limit_are_refused() {
    let mut session = live(0);
    let bomb = objects::compress(&vec![b'\n'; LARGEST_UNPACKED + 1]).unwrap();
    let part = agent::Assign {
        objects_zstd: bomb.into(),
        ..parts(7, objects::digest(b"").unwrap(), 5, 10_000).remove(0)
    };
    assert_eq!(
        nack(&hear(&mut session, FromHub::Assign(part))).1,
        NackReason::Invalid
    );
}

#[test]
fn more_parts_than_the_limit_are_refused_and_the_session_goes_on() {
    let mut session = live(0);
    let digest = objects::digest(&lines()).unwrap();
    let part = agent::Assign {
        objects_zstd: vec![0; LARGEST_ASSIGNMENT / 2 + 1].into(),
        more: true,
        ..parts(7, digest.clone(), 5, 10_000).remove(0)
    };
    assert_eq!(hear(&mut session, FromHub::Assign(part.clone())), []);
    assert_eq!(
        nack(&hear(&mut session, FromHub::Assign(part))).1,
        NackReason::Invalid
    );
    let effects = hear(
        &mut session,
        FromHub::Assign(parts(7, digest, 6, 10_000).remove(0)),
    );
    assert!(matches!(&effects[..], [Effect::Assign { nonce: 6, .. }]));
}

#[test]
fn a_command_of_an_older_term_is_refused_with_the_highest() {
    let mut session = live(9);
    let digest = objects::digest(&lines()).unwrap();
    let assign = hear(
        &mut session,
        FromHub::Assign(parts(8, digest.clone(), 1, 10_000).remove(0)),
    );
    assert_eq!(nack(&assign), (1, NackReason::OlderTerm, Term(9)));
    let Assignment { tenant, uid, .. } = assignment(8, digest);
    let withdraw = withdraw_to_proto(&Withdraw {
        nonce: 2,
        tenant,
        uid,
        term: Term(8),
        confirmed: false,
    });
    assert_eq!(
        nack(&hear(&mut session, FromHub::Withdraw(withdraw))),
        (2, NackReason::OlderTerm, Term(9))
    );
}

#[test]
fn a_term_that_was_accepted_shuts_out_the_older_ones_within_the_same_session() {
    let mut session = live(0);
    session.step(
        Input::Answered {
            nonce: 5,
            answer: Answer::Taken(Term(8)),
        },
        second(1),
        TIME,
    );
    let digest = objects::digest(&lines()).unwrap();
    let effects = hear(
        &mut session,
        FromHub::Assign(parts(7, digest, 1, 10_000).remove(0)),
    );
    assert_eq!(nack(&effects), (1, NackReason::OlderTerm, Term(8)));
}

#[test]
fn keep_and_withdraw_go_to_the_engine() {
    let mut session = live(0);
    let Assignment {
        tenant,
        uid,
        generation,
        digest,
        term,
        ..
    } = assignment(7, objects::digest(b"").unwrap());
    let keep = Keep {
        nonce: 1,
        tenant: tenant.clone(),
        uid: uid.clone(),
        generation,
        digest,
        term,
    };
    assert_eq!(
        hear(&mut session, FromHub::Keep(keep_to_proto(&keep))),
        [Effect::Keep(keep)]
    );
    let withdraw = Withdraw {
        nonce: 2,
        tenant,
        uid,
        term,
        confirmed: true,
    };
    assert_eq!(
        hear(&mut session, FromHub::Withdraw(withdraw_to_proto(&withdraw))),
        [Effect::Withdraw(withdraw)]
    );
}

#[test]
fn names_that_are_none_are_refused_and_never_reach_the_engine() {
    let mut session = live(0);
    let keep = agent::Keep {
        nonce: 1,
        tenant: "../x".into(),
        ..Default::default()
    };
    assert_eq!(
        nack(&hear(&mut session, FromHub::Keep(keep))).1,
        NackReason::Invalid
    );
    let withdraw = agent::Withdraw {
        nonce: 2,
        tenant: "a--b".into(),
        ..Default::default()
    };
    assert_eq!(
        nack(&hear(&mut session, FromHub::Withdraw(withdraw))).1,
        NackReason::Invalid
    );
}

#[test]
fn every_refusal_of_the_engine_has_its_word_on_the_link() {
    let tenant = TenantId::new("a").unwrap();
    let cases = [
        (
            Refused::OldTerm {
                term: Term(1),
                highest: Term(12),
            },
            NackReason::OlderTerm,
            Term(12),
        ),
        (
            Refused::OldGeneration {
                tenant: tenant.clone(),
                generation: Generation(1),
                held: Generation(2),
            },
            NackReason::OlderGeneration,
            Term(12),
        ),
        (
            Refused::Invalid {
                tenant: tenant.clone(),
                problems: vec![],
            },
            NackReason::Invalid,
            Term(12),
        ),
        (Refused::Withdrawing { tenant }, NackReason::Other, Term(12)),
    ];
    let mut session = live(0);
    for (refused, reason, highest) in cases {
        let effects = session.step(
            Input::Answered {
                nonce: 3,
                answer: Answer::Refused(refused),
            },
            second(1),
            TIME,
        );
        assert_eq!(nack(&effects), (3, reason, highest));
    }
}

#[test]
fn a_keep_of_what_is_not_held_is_refused_so_that_it_is_assigned() {
    let effects = live(0).step(
        Input::Answered {
            nonce: 3,
            answer: Answer::Missing,
        },
        second(1),
        TIME,
    );
    assert_eq!(nack(&effects), (3, NackReason::Other, Term(0)));
}

#[test]
fn the_end_of_the_snapshot_does_nothing() {
    assert_eq!(
        hear(&mut live(0), FromHub::SnapshotEnd(agent::SnapshotEnd {})),
        []
    );
}

#[test]
fn messages_that_are_not_known_are_passed_over_and_questions_that_are_not_known_answered() {
    let mut session = live(0);
    assert_eq!(session.step(Input::Heard(None), second(1), TIME), []);
    let effects = hear(
        &mut session,
        FromHub::Request(agent::Request {
            id: 4,
            ..Default::default()
        }),
    );
    assert!(
        matches!(&effects[..], [Effect::Send(m)] if matches!(m.as_ref(), ToHub::Reply(r) if r.id == 4 && !r.error.is_empty()))
    );
}

fn ask_for_token(role: &str, deadline: Option<Duration>) -> FromHub {
    FromHub::Request(agent::Request {
        id: 4,
        deadline: deadline.map(time::span_to_proto),
        question: Some(Question::MintToken(agent::MintToken {
            tenant: "a".into(),
            tenant_uid: "u1".into(),
            role: role.into(),
            lifetime: Some(time::span_to_proto(second(600))),
        })),
    })
}

#[test]
fn a_question_for_a_token_is_worked_on_within_the_hubs_deadline_and_answered() {
    for (said, within) in [
        (Some(second(5)), second(5)),
        (None, DEADLINE.0),
        (Some(second(86_400)), DEADLINE.1),
    ] {
        let effects = hear(&mut live(0), ask_for_token("viewer", said));
        let [
            Effect::MintToken {
                id: 4,
                wanted,
                within: kept,
            },
        ] = &effects[..]
        else {
            panic!("{effects:?}");
        };
        assert_eq!((wanted.role, *kept), (berth_model::AccessRole::Viewer, within));
    }
    let answer = Ok(AccessToken::new("eyJ".into(), TIME));
    let effects = live(0).step(
        Input::TokenMinted {
            id: 4,
            answer: answer.clone(),
        },
        second(1),
        TIME,
    );
    let [Effect::Send(message)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let ToHub::Reply(reply) = message.as_ref() else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (reply.id, link::token_reply_from_proto(reply.clone())),
        (4, answer)
    );
    assert!(!format!("{effects:?}").contains("eyJ"), "a token is shown");
}

#[test]
fn a_question_for_a_token_of_no_role_is_refused_and_never_reaches_the_engine() {
    let effects = hear(&mut live(0), ask_for_token("cluster-admin", None));
    let [Effect::Send(message)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(
        matches!(message.as_ref(), ToHub::Reply(reply) if reply.id == 4 && reply.reason == "Invalid" && reply.answer.is_none()),
        "{message:?}"
    );
}

#[test]
fn nothing_is_commanded_before_welcome_and_welcome_comes_once() {
    let mut session = Session::new(cluster(), Term(0), second(0));
    assert!(ended(&hear(
        &mut session,
        FromHub::Assign(agent::Assign::default())
    )));
    assert!(ended(&hear(&mut live(0), welcome(second(4)))));
}

#[test]
fn a_session_that_is_over_stays_over() {
    let mut session = live(0);
    let goodbye = Goodbye {
        reason: link::GoodbyeReason::Superseded,
        message: String::new(),
        retry_after: second(3),
        leader: String::new(),
    };
    let effects = hear(&mut session, FromHub::Goodbye(goodbye_to_proto(&goodbye)));
    assert_eq!(effects, [Effect::End(End::Goodbye(goodbye))]);
    assert_eq!(
        hear(&mut session, FromHub::Request(agent::Request::default())),
        []
    );
    assert_eq!(session.step(Input::Tick, second(1000), TIME), []);
}

#[test]
fn heartbeats_go_out_as_often_as_the_hub_wants_within_bounds() {
    for (wanted, kept) in [
        (second(2), second(2)),
        (second(0), second(4)),
        (second(3600), second(60)),
    ] {
        let mut session = Session::new(cluster(), Term(0), second(0));
        session.step(Input::Heard(Some(welcome(wanted))), second(0), TIME);
        assert_eq!(session.wake_at(), kept.min(silence(PING)));
        session.step(
            Input::Heard(Some(FromHub::Ping(agent::Ping::default()))),
            kept,
            TIME,
        );
        assert_eq!(
            session.step(Input::Tick, kept, TIME),
            [Effect::Beat { answers: 0 }]
        );
        assert_eq!(session.step(Input::Tick, kept, TIME), []);
    }
}

#[test]
fn a_numbered_ping_is_answered_at_once_and_what_it_tells_of_the_store_is_remembered() {
    let mut session = live(0);
    let told = StorePoint {
        term: Term(3),
        revision: berth_model::Revision(70),
        incarnation: 5,
        command_term: Term(2),
        writes: 40,
    };
    let ping = |number, told: Option<StorePoint>| {
        FromHub::Ping(agent::Ping {
            number,
            told: told.map(link::store_point_to_proto),
        })
    };
    let answered = session.step(Input::Heard(Some(ping(2, Some(told)))), second(3), TIME);
    assert_eq!(answered, [Effect::Beat { answers: 2 }, Effect::Remember(told)]);
    // Neither one of a hub that does not count, nor one that comes twice.
    assert_eq!(
        session.step(Input::Heard(Some(ping(0, None))), second(4), TIME),
        []
    );
    assert_eq!(
        session.step(Input::Heard(Some(ping(2, None))), second(4), TIME),
        []
    );
    // The next one by itself is due as long after an answer as after any other.
    assert_eq!(session.step(Input::Tick, second(6), TIME), []);
    assert_eq!(
        session.step(Input::Tick, second(7), TIME),
        [Effect::Beat { answers: 2 }]
    );
}

#[test]
fn a_silent_hub_is_left() {
    let mut session = live(0);
    assert_eq!(
        session.step(Input::Tick, second(34), TIME),
        [Effect::Beat { answers: 0 }]
    );
    assert!(ended(&session.step(Input::Tick, second(35), TIME)));
    let mut greeting = Session::new(cluster(), Term(0), second(0));
    assert!(ended(&greeting.step(Input::Tick, second(35), TIME)));
}

#[test]
fn the_greeting_says_everything_that_is_held_and_its_end() {
    let held = |n: usize| Held {
        tenant: TenantId::new(format!("t{n}")).unwrap(),
        uid: Uid::new("u").unwrap(),
        generation: Generation(1),
        digest: objects::digest(b"").unwrap(),
    };
    for count in [0, 1, HELD_PER_CHUNK, HELD_PER_CHUNK + 1, 3 * HELD_PER_CHUNK] {
        let held: Vec<Held> = (0..count).map(held).collect();
        let messages = greeting(
            "i",
            Term(3),
            &ClusterFacts::default(),
            &held,
            Vec::new(),
            &Known::default(),
        );
        let chunks: Vec<agent::HeldChunk> = messages
            .into_iter()
            .map(|message| match message {
                ToHub::Hello(hello) => hello.held.unwrap(),
                ToHub::Held(chunk) => chunk,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(chunks.iter().map(|chunk| chunk.held.len()).sum::<usize>(), count);
        assert_eq!(
            chunks
                .iter()
                .map(|chunk| chunk.last)
                .collect::<Vec<_>>()
                .iter()
                .filter(|last| **last)
                .count(),
            1
        );
        assert!(chunks.last().unwrap().last);
    }
}

fn anything() -> impl Strategy<Value = Option<FromHub>> {
    let text = prop_oneof!["[a-z]{1,3}", ".{0,5}", Just("0".repeat(64))];
    let assign = (
        any::<u64>(),
        text.clone(),
        text.clone(),
        0_u64..20,
        any::<Vec<u8>>(),
        any::<bool>(),
    )
        .prop_map(|(nonce, tenant, digest, term, objects, more)| {
            FromHub::Assign(agent::Assign {
                nonce: nonce % 3,
                tenant,
                tenant_uid: "u".into(),
                generation: 1,
                digest,
                term,
                objects_zstd: objects.into(),
                more,
            })
        });
    let withdraw = (text.clone(), 0_u64..20).prop_map(|(tenant, term)| {
        FromHub::Withdraw(agent::Withdraw {
            nonce: 1,
            tenant,
            tenant_uid: "u".into(),
            term,
            confirmed: false,
        })
    });
    let keep = (text, 0_u64..20).prop_map(|(tenant, term)| {
        FromHub::Keep(agent::Keep {
            nonce: 1,
            tenant,
            tenant_uid: "u".into(),
            generation: 1,
            digest: "0".repeat(64),
            term,
        })
    });
    prop_oneof![
        Just(None),
        Just(Some(welcome(second(4)))),
        Just(Some(FromHub::Ping(agent::Ping::default()))),
        Just(Some(FromHub::SnapshotEnd(agent::SnapshotEnd {}))),
        assign.prop_map(Some),
        withdraw.prop_map(Some),
        keep.prop_map(Some),
    ]
}

proptest! {
    /// Whatever a hub says: nothing panics, a withdrawal reaches the engine only by a Withdraw in a current term, and every
    /// command is answered or handed on at most once.
    #[test]
    fn no_hub_makes_an_agent_delete_without_a_current_withdraw(messages in proptest::collection::vec(anything(), 0..40), highest in 0_u64..20) {
        let mut session = Session::new(cluster(), Term(highest), second(0));
        for message in messages {
            let withdraws = match &message {
                Some(FromHub::Withdraw(withdraw)) => withdraw.term >= highest,
                _ => false,
            };
            let effects = session.step(Input::Heard(message), second(1), TIME);
            prop_assert!(effects.len() <= 2);
            for effect in effects {
                if let Effect::Withdraw(withdraw) = effect {
                    prop_assert!(withdraws && withdraw.term >= Term(highest));
                }
            }
        }
    }
}

#[test]
fn hello_says_which_protocols_are_spoken() {
    let greeting = greeting(
        "i",
        Term(3),
        &ClusterFacts::default(),
        &[],
        Vec::new(),
        &Known::default(),
    );
    let [ToHub::Hello(hello)] = &greeting[..] else {
        panic!("{greeting:?}");
    };
    assert_eq!(Range::of(hello), protocol::OURS);
}

#[test]
fn a_hub_that_speaks_another_protocol_is_left_before_anything_is_done() {
    for spoken in [protocol::OURS.highest + 1, protocol::OURS.lowest - 1] {
        let mut session = Session::new(cluster(), Term(0), second(0));
        let FromHub::Welcome(mut welcome) = welcome(second(4)) else {
            panic!("no welcome");
        };
        welcome.protocol = spoken;
        let effects = hear(&mut session, FromHub::Welcome(welcome));
        let expected = protocol::negotiate(protocol::OURS, Range::only(spoken)).unwrap_err();
        assert_eq!(effects, [Effect::End(End::Mismatch(expected))]);
        let keep = FromHub::Keep(agent::Keep::default());
        assert_eq!(hear(&mut session, keep), []);
    }
}

/// What hubs of each version have said, from the compatibility corpora: the file and the message.
fn said_by_hubs() -> Vec<(String, FromHub)> {
    use prost::Message as _;

    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/corpus");
    let versions = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut said = Vec::new();
    for version in versions.filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(version.join("link-response")).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "binpb") {
                let message = agent::LinkResponse::decode(&*std::fs::read(&file).unwrap()).unwrap();
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                said.push((name, message.message.unwrap()));
            }
        }
    }
    assert!(said.len() >= 8, "{}", said.len());
    said
}

#[test]
fn a_session_does_what_hubs_of_every_version_say() {
    for (name, message) in said_by_hubs() {
        let mut session = if name.starts_with("welcome") {
            Session::new(cluster(), Term(0), second(0))
        } else {
            live(0)
        };
        let effects = hear(&mut session, message);
        let as_said = match name.split('.').next().unwrap() {
            "welcome" => matches!(&effects[..], [Effect::Beat { .. }, Effect::Report]),
            "ping" if name == "ping" => {
                matches!(&effects[..], [Effect::Beat { answers }, Effect::Remember(told)] if *answers > 0 && told.term > Term(0))
            }
            "assign" if name == "assign.part" => effects.is_empty(),
            "assign" => matches!(&effects[..], [Effect::Assign { objects, .. }] if objects.len() == 1),
            "keep" => matches!(&effects[..], [Effect::Keep(_)]),
            "withdraw" => matches!(&effects[..], [Effect::Withdraw(_)]),
            "request" if name.starts_with("request.mint_token") => {
                matches!(&effects[..], [Effect::MintToken { .. }])
            }
            "request" if name.starts_with("request.review_token") => {
                matches!(&effects[..], [Effect::ReviewToken { .. }])
            }
            "request" if name.starts_with("request.probe_tenant") => {
                matches!(&effects[..], [Effect::Probe { tenant, .. }] if tenant.as_str() == "acme")
            }
            "request" => matches!(&effects[..], [Effect::ReleaseBreaker { .. }]),
            "goodbye" => matches!(&effects[..], [Effect::End(End::Goodbye(_))]),
            "snapshot_end" | "ping" => effects.is_empty(),
            "trust" => matches!(&effects[..], [Effect::Trust(ca_pem)] if !ca_pem.is_empty()),
            other => panic!("say what a session does when a hub says {other}"),
        };
        assert!(as_said, "{name}: {effects:?}");
    }
}

#[test]
fn a_question_for_a_probe_is_answered_whether_there_will_be_one() {
    let mut session = live(0);
    for (answer, error) in [(Ok(()), ""), (Err("not held".to_owned()), "not held")] {
        let effects = session.step(Input::ProbeQueued { id: 7, answer }, second(1), TIME);
        let [Effect::Send(message)] = &effects[..] else {
            panic!("{effects:?}")
        };
        let ToHub::Reply(reply) = message.as_ref() else {
            panic!("{message:?}")
        };
        assert_eq!(
            (reply.id, reply.error.as_str(), reply.answer.is_some()),
            (7, error, error.is_empty())
        );
    }
    let nonsense = Question::ProbeTenant(agent::ProbeTenant {
        tenant: "Not A Name".into(),
        tenant_uid: "u".into(),
    });
    let request = agent::Request {
        id: 8,
        deadline: None,
        question: Some(nonsense),
    };
    let effects = hear(&mut session, FromHub::Request(request));
    assert!(
        matches!(&effects[..], [Effect::Send(message)] if matches!(message.as_ref(), ToHub::Reply(reply) if !reply.error.is_empty())),
        "{effects:?}"
    );
}

#[test]
fn evidence_is_told_while_the_hub_listens_and_not_before() {
    let sealed = || Sealed {
        statement_zstd: vec![1],
        signature: vec![2],
    };
    let probed = || Input::Probed(sealed(), second(3));
    let mut session = Session::new(cluster(), Term(0), second(0));
    assert_eq!(session.step(probed(), second(0), TIME), []);
    let expected = ToHub::Evidence(link::evidence_to_proto(&sealed(), Some(second(3))));
    assert_eq!(live(0).step(probed(), second(1), TIME), send(expected));
}

#[test]
fn a_hub_that_pings_often_is_given_up_soon() {
    let mut session = Session::new(cluster(), Term(0), second(0));
    let often = agent::Welcome {
        protocol: 1,
        ping_interval: Some(time::span_to_proto(second(2))),
        ..agent::Welcome::default()
    };
    session.step(Input::Heard(Some(FromHub::Welcome(often))), second(0), TIME);
    let before = session.step(Input::Tick, Duration::from_millis(6_900), TIME);
    assert!(!before.contains(&Effect::End(End::Silent)), "{before:?}");
    assert_eq!(
        session.step(Input::Tick, second(7), TIME),
        [Effect::End(End::Silent)]
    );
}

#[test]
fn what_was_said_before_a_withdrawal_and_comes_after_it_is_passed_over() {
    let mut session = live(7);
    let withdraw = |nonce| {
        Input::Heard(Some(FromHub::Withdraw(agent::Withdraw {
            nonce,
            tenant: "acme".into(),
            tenant_uid: "u".into(),
            term: 7,
            ..agent::Withdraw::default()
        })))
    };
    assert!(matches!(
        session.step(withdraw(5), second(1), TIME)[..],
        [Effect::Withdraw(_)]
    ));
    let keep = |nonce, tenant: &str| {
        Input::Heard(Some(FromHub::Keep(agent::Keep {
            nonce,
            tenant: tenant.into(),
            tenant_uid: "u".into(),
            generation: 1,
            digest: "0".repeat(64),
            term: 7,
        })))
    };
    assert_eq!(session.step(keep(4, "acme"), second(1), TIME), []);
    assert!(matches!(
        session.step(keep(4, "other"), second(1), TIME)[..],
        [Effect::Keep(_)]
    ));
    assert!(matches!(
        session.step(keep(6, "acme"), second(1), TIME)[..],
        [Effect::Keep(_)]
    ));
}
