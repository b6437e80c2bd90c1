//! The first words of a session: who is there, and what it holds.

use berth_control::sessions::{Held, Hello};
use berth_model::{Term, Violation};
use berth_proto::agent::{self, link_request};
use berth_wire::link;
use futures::{Stream, StreamExt as _};
use tonic::{Code, Status};

use super::{
    super::error::{invalid, refused},
    PROTOCOL,
};

/// Tenants an agent may hold.
const MOST_HELD: usize = 20_000;

/// Reads who is there.
pub(super) async fn hello(
    incoming: &mut (impl Stream<Item = Result<agent::LinkRequest, Status>> + Unpin),
) -> Result<Hello, Status> {
    let wrong = |problem: String| invalid(vec![Violation::new("hello", problem, "")]);
    let Some(link_request::Message::Hello(first)) = incoming
        .next()
        .await
        .transpose()?
        .and_then(|message| message.message)
    else {
        return Err(wrong("must come first".into()));
    };
    if first.protocol < PROTOCOL {
        return Err(refused(
            Code::FailedPrecondition,
            "PROTOCOL_TOO_OLD",
            format!(
                "the agent speaks protocol {}, this hub {PROTOCOL}; update the agent",
                first.protocol
            ),
        ));
    }
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
        match incoming
            .next()
            .await
            .transpose()?
            .and_then(|message| message.message)
        {
            Some(link_request::Message::Held(next)) => chunk = next,
            _ => return Err(wrong("what is held must come in one piece".into())),
        }
    }
    Ok(Hello {
        agent_version: first.agent_version,
        held,
        facts: first
            .facts
            .as_ref()
            .map(link::facts_from_proto)
            .unwrap_or_default(),
        highest_term: Term(first.highest_term),
    })
}
