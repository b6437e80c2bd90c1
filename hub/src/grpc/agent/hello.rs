//! The first words of a session: who is there, and what it holds.

use berth_control::sessions::{Held, Hello};
use berth_model::{Term, Violation};
use berth_proto::agent::{self, link_request};
use berth_wire::{link, protocol};
use futures::{Stream, StreamExt as _};
use tonic::Status;

use super::super::error::invalid;

/// Tenants an agent may hold.
const MOST_HELD: usize = 20_000;
/// Authorities an agent may trust.
const MOST_PINS: usize = 8;

/// Reads who is there, and finds the protocol to speak with it.
pub(super) async fn hello(
    incoming: &mut (impl Stream<Item = Result<agent::LinkRequest, Status>> + Unpin),
) -> Result<(Hello, u32), Status> {
    let wrong = |problem: String| invalid(vec![Violation::new("hello", problem, "")]);
    let Some(link_request::Message::Hello(first)) = next(incoming).await? else {
        return Err(wrong("must come first".into()));
    };
    let spoken = protocol::negotiate(protocol::OURS, protocol::Range::of(&first))
        .map_err(|mismatch| protocol::refusal(&mismatch))?;
    let mut held = Held::new();
    let mut chunk = first.held.clone().unwrap_or(agent::HeldChunk {
        held: Vec::new(),
        last: true,
    });
    loop {
        for one in &chunk.held {
            let one = link::held_from_proto(one).map_err(|error| wrong(error.to_string()))?;
            held.insert(one.tenant, (one.uid, one.generation, one.digest));
        }
        if held.len() > MOST_HELD {
            return Err(wrong(format!("more than {MOST_HELD} tenants are held")));
        }
        if chunk.last {
            break;
        }
        match next(incoming).await? {
            Some(link_request::Message::Held(next)) => chunk = next,
            _ => return Err(wrong("what is held must come in one piece".into())),
        }
    }
    let hello = Hello {
        agent_version: first.agent_version,
        held,
        facts: first
            .facts
            .as_ref()
            .map(link::facts_from_proto)
            .unwrap_or_default(),
        highest_term: Term(first.highest_term),
        told: first.told.as_ref().map(link::store_point_from_proto),
        trusted_pins: first.trusted_pins.into_iter().take(MOST_PINS).collect(),
        issuer_pin: String::new(),
    };
    Ok((hello, spoken))
}

/// The next message that is known here; what a newer agent says besides is passed over.
async fn next(
    incoming: &mut (impl Stream<Item = Result<agent::LinkRequest, Status>> + Unpin),
) -> Result<Option<link_request::Message>, Status> {
    while let Some(message) = incoming.next().await {
        let message = message?.message;
        if message.is_some() {
            return Ok(message);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use link_request::Message as M;

    use super::*;

    fn first(protocol: u32, protocol_min: u32) -> Option<M> {
        Some(M::Hello(agent::Hello {
            protocol,
            protocol_min,
            agent_version: "0.1.0".into(),
            ..agent::Hello::default()
        }))
    }

    async fn said(messages: Vec<Option<M>>) -> Result<(Hello, u32), Status> {
        let messages = messages
            .into_iter()
            .map(|message| Ok(agent::LinkRequest { message }));
        hello(&mut futures::stream::iter(messages)).await
    }

    #[tokio::test]
    async fn the_highest_common_protocol_is_found_and_strangers_are_told_whom_to_update() {
        let ours = protocol::OURS;
        for (protocol, protocol_min, expected) in [
            // An agent that knows nothing of ranges.
            (ours.highest, 0, Ok(ours.highest)),
            // Two minor versions newer, and still able to speak as we do.
            (ours.highest + 2, ours.highest, Ok(ours.highest)),
            (ours.highest + 2, 0, Err(protocol::TOO_NEW)),
            (ours.highest + 2, ours.highest + 1, Err(protocol::TOO_NEW)),
            (ours.lowest - 1, 0, Err(protocol::TOO_OLD)),
        ] {
            let found = said(vec![first(protocol, protocol_min)]).await;
            let found = found.map(|(_, spoken)| spoken).map_err(|status| {
                assert_eq!(status.code(), tonic::Code::FailedPrecondition);
                berth_wire::status::reason(&status).unwrap_or_default()
            });
            assert_eq!(
                found,
                expected.map_err(str::to_owned),
                "{protocol} {protocol_min}"
            );
        }
    }

    #[tokio::test]
    async fn what_a_newer_agent_says_besides_is_passed_over() {
        let Some(M::Hello(mut hello)) = first(1, 1) else {
            panic!("no hello");
        };
        let held = |tenant: &str, last| agent::HeldChunk {
            held: vec![agent::Held {
                tenant: tenant.into(),
                tenant_uid: "u-1".into(),
                generation: 1,
                digest: "0".repeat(64),
            }],
            last,
        };
        hello.held = Some(held("acme", false));
        let (hello, _) = said(vec![
            None,
            Some(M::Hello(hello)),
            None,
            Some(M::Held(held("umbrella", true))),
        ])
        .await
        .unwrap();
        assert_eq!(hello.held.len(), 2);
        assert_eq!(hello.agent_version, "0.1.0");
    }

    #[tokio::test]
    async fn a_session_begins_with_hello_and_what_is_held_comes_in_one_piece() {
        let Some(M::Hello(mut open)) = first(1, 1) else {
            panic!("no hello");
        };
        open.held = Some(agent::HeldChunk::default());
        let beat = || Some(M::Heartbeat(agent::Heartbeat::default()));
        for messages in [
            vec![],
            vec![beat(), first(1, 1)],
            vec![Some(M::Hello(open)), beat()],
        ] {
            let refused = said(messages).await.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        }
    }

    #[tokio::test]
    async fn agents_of_every_version_are_understood() {
        use prost::Message as _;

        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/corpus");
        let versions = std::fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut understood = 0;
        for version in versions.filter(|path| path.is_dir()) {
            let read = |name: &str| {
                let bytes = std::fs::read(version.join("link-request").join(name)).unwrap();
                agent::LinkRequest::decode(&*bytes).unwrap().message
            };
            let (hello, spoken) = said(vec![read("hello.binpb")]).await.unwrap();
            assert!(protocol::OURS.lowest <= spoken && spoken <= protocol::OURS.highest);
            assert_eq!(hello.held.len(), 1);
            assert!(hello.highest_term > Term(0));
            assert_eq!(hello.facts.ready_nodes, 106);
            let (least, _) = said(vec![read("hello.minimal.binpb")]).await.unwrap();
            assert!(least.held.is_empty());
            understood += 1;
        }
        assert!(understood > 0);
    }
}
