//! The messages of the link, each side reading what the other's older or newer version says.

use berth_model::{ClusterName, Timestamp};
use berth_proto::agent::{
    LinkRequest, LinkResponse, link_request::Message as ToHub, link_response::Message as FromHub,
    reply::Answer, request::Question,
};
use berth_wire::{
    evidence,
    link::{self, Assembler},
};
use prost::Message as _;

use crate::examples;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// As the hub reads it, and says it again.
fn by_the_hub(bytes: &[u8]) -> Vec<u8> {
    let message = LinkRequest::decode(bytes).unwrap().message.unwrap();
    let chunk = |chunk: &mut berth_proto::agent::HeldChunk| {
        for held in &mut chunk.held {
            *held = link::held_to_proto(&link::held_from_proto(held).unwrap());
        }
    };
    let facts = |facts: &mut Option<berth_proto::v1::ClusterFacts>| {
        *facts = facts
            .as_ref()
            .map(|facts| link::facts_to_proto(&link::facts_from_proto(facts)));
    };
    let again = match message {
        ToHub::Hello(mut hello) => {
            hello.held.iter_mut().for_each(chunk);
            facts(&mut hello.facts);
            ToHub::Hello(hello)
        }
        ToHub::Held(mut held) => {
            chunk(&mut held);
            ToHub::Held(held)
        }
        ToHub::Facts(mut report) => {
            facts(&mut report.facts);
            ToHub::Facts(report)
        }
        ToHub::Heartbeat(heartbeat) => {
            ToHub::Heartbeat(link::heartbeat_to_proto(&link::heartbeat_from_proto(&heartbeat)))
        }
        ToHub::Nack(nack) => ToHub::Nack(link::nack_to_proto(&link::nack_from_proto(&nack))),
        ToHub::Report(said) => {
            let report = link::report_from_proto(&said, now()).unwrap();
            ToHub::Report(link::report_to_proto(&report, now(), said.answers))
        }
        ToHub::Reply(mut reply) => {
            if let Some(Answer::TokenMinted(minted)) = &mut reply.answer {
                *minted = link::minted_to_proto(&link::minted_from_proto(minted.clone()).unwrap());
            }
            if let Some(Answer::TokenReviewed(reviewed)) = &mut reply.answer {
                let alone = berth_proto::agent::Reply {
                    answer: Some(Answer::TokenReviewed(reviewed.clone())),
                    ..berth_proto::agent::Reply::default()
                };
                let account = link::review_reply_from_proto(alone);
                // Of no account, as in the least that may be said, nothing can be believed.
                assert_eq!(account.is_ok(), !reviewed.namespace.is_empty());
                if let Some(Answer::TokenReviewed(again)) = link::review_reply_to_proto(1, &account).answer {
                    *reviewed = again;
                }
            }
            ToHub::Reply(reply)
        }
        ToHub::Evidence(report) => {
            let (sealed, age) = link::evidence_from_proto(&report);
            let statement = evidence::unpack(&sealed.statement_zstd).unwrap();
            assert!(evidence::read_statement(&statement).is_ok());
            ToHub::Evidence(link::evidence_to_proto(&sealed, age))
        }
        // These have no model of their own.
        plain @ (ToHub::Ack(_) | ToHub::TrustKept(_)) => plain,
    };
    LinkRequest { message: Some(again) }.encode_to_vec()
}

/// As the agent reads it, and says it again.
fn by_the_agent(bytes: &[u8]) -> Vec<u8> {
    let message = LinkResponse::decode(bytes).unwrap().message.unwrap();
    let again = match message {
        FromHub::Assign(part) => {
            let mut assembler = Assembler::new(ClusterName::new("eu-1").unwrap(), 1 << 20);
            let Some(whole) = assembler.push(part.clone()).unwrap() else {
                assert!(part.more);
                return bytes_of(FromHub::Assign(part));
            };
            let mut parts = link::chunk_assign(&whole.assignment, whole.nonce, &whole.objects_zstd, 1 << 20);
            FromHub::Assign(parts.remove(0))
        }
        FromHub::Keep(keep) => FromHub::Keep(link::keep_to_proto(&link::keep_from_proto(&keep).unwrap())),
        FromHub::Withdraw(withdraw) => {
            let withdraw = link::withdraw_from_proto(&withdraw).unwrap();
            FromHub::Withdraw(link::withdraw_to_proto(&withdraw))
        }
        FromHub::Goodbye(goodbye) => {
            FromHub::Goodbye(link::goodbye_to_proto(&link::goodbye_from_proto(&goodbye)))
        }
        FromHub::Request(mut request) => {
            if let Some(Question::MintToken(mint)) = &mut request.question {
                *mint = link::mint_to_proto(&link::mint_from_proto(mint).unwrap());
            }
            if let Some(Question::ReviewToken(review)) = &mut request.question {
                *review = link::review_to_proto(&link::review_from_proto(review.clone()));
            }
            FromHub::Request(request)
        }
        plain @ (FromHub::Welcome(_) | FromHub::SnapshotEnd(_) | FromHub::Ping(_) | FromHub::Trust(_)) => {
            plain
        }
    };
    bytes_of(again)
}

fn bytes_of(message: FromHub) -> Vec<u8> {
    LinkResponse {
        message: Some(message),
    }
    .encode_to_vec()
}

#[test]
fn what_agents_have_said_is_still_understood() {
    for example in examples("link-request") {
        example.survives(by_the_hub);
    }
}

#[test]
fn what_hubs_have_said_is_still_understood() {
    for example in examples("link-response") {
        example.survives(by_the_agent);
    }
}

#[test]
fn a_message_that_only_a_newer_side_knows_is_no_message_and_no_fault() {
    // An alternative with the number 15000 that holds field 1 = "new".
    let bytes = b"\xc2\xa9\x07\x05\x0a\x03new";
    assert_eq!(LinkRequest::decode(&bytes[..]).unwrap().message, None);
    assert_eq!(LinkResponse::decode(&bytes[..]).unwrap().message, None);
    // The same inside a question, and inside an answer.
    let mut question = b"\x32\x0b\x08\x05".to_vec();
    question.extend_from_slice(bytes);
    let Some(FromHub::Request(request)) = LinkResponse::decode(&question[..]).unwrap().message else {
        panic!("no request");
    };
    assert_eq!((request.id, request.question), (5, None));
}
