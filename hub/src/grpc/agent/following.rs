//! What a hub says to agents that does not lead: who does. One that has lost the leader whom this hub still follows is kept until
//! another leads: it would only go back and forth between the two until the lease of the lost one ends.

use std::{sync::Arc, time::Duration};

use berth_proto::agent::{self, link_request, link_response};
use berth_runtime::{CancellationToken, Clock};
use berth_wire::time;
use futures::{Stream, StreamExt as _};
use http::Uri;
use tokio::sync::mpsc;
use tonic::Status;

use super::speak::{Out, PING};
use crate::lead::Lead;

/// An agent says who it is within this.
const HELLO: Duration = Duration::from_secs(5);
/// How often is looked who leads: agents that wait here do not all leave at the same moment.
const LOOK: Duration = Duration::from_millis(250);
/// No agent is kept for longer: it may see more of the leader than this hub does.
const LONGEST: Duration = Duration::from_secs(20);
/// An agent that was kept in vain comes back after this.
const IN_VAIN: Duration = Duration::from_secs(1);

/// What a following hub needs to answer agents.
#[derive(Clone)]
pub struct Following {
    /// Who leads.
    pub lead: Lead,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// This hub is ending.
    pub ending: CancellationToken,
}

impl Following {
    /// Listens to an agent and says to it who leads; returns what is said to it.
    #[must_use]
    pub fn begin(
        self,
        incoming: impl Stream<Item = Result<agent::LinkRequest, Status>> + Send + Unpin + 'static,
    ) -> mpsc::Receiver<Result<agent::LinkResponse, Status>> {
        let (out, messages) = mpsc::channel(4);
        tokio::spawn(self.run(incoming, out));
        messages
    }

    async fn run(
        self,
        mut incoming: impl Stream<Item = Result<agent::LinkRequest, Status>> + Send + Unpin,
        out: Out,
    ) {
        let first = tokio::select! {
            biased;
            first = incoming.next() => first,
            () = self.clock.sleep(HELLO) => None,
        };
        let lost = match first {
            Some(Ok(agent::LinkRequest {
                message: Some(link_request::Message::Hello(hello)),
            })) => hello.unreachable_hub,
            _ => String::new(),
        };
        let waited = tokio::select! {
            biased;
            leader = self.another(&lost, &out) => leader,
            () = self.ending.cancelled() => None,
        };
        let retry_after = if waited.is_some() { Duration::ZERO } else { IN_VAIN };
        let goodbye = agent::Goodbye {
            reason: "NotLeader".to_owned(),
            message: "this hub does not lead".to_owned(),
            retry_after: Some(time::span_to_proto(retry_after)),
            leader: waited
                .or_else(|| self.lead.elsewhere().map(|leader| leader.agent_url))
                .unwrap_or_default(),
        };
        say(&out, link_response::Message::Goodbye(goodbye)).await;
    }

    /// A leader that is not `lost`; none when there is none for long, or the agent is gone.
    async fn another(&self, lost: &str, out: &Out) -> Option<String> {
        let began = self.clock.monotonic();
        let mut ping_at = began + PING;
        loop {
            if self.lead.leading().is_some() {
                return Some(self.lead.candidate.agent_url.clone());
            }
            let elsewhere = self.lead.elsewhere().map(|leader| leader.agent_url);
            if let Some(leader) = elsewhere.filter(|leader| !same(leader, lost)) {
                return Some(leader);
            }
            let now = self.clock.monotonic();
            if now.saturating_sub(began) >= LONGEST {
                return None;
            }
            if now >= ping_at {
                ping_at = now + PING;
                if !say(out, link_response::Message::Ping(agent::Ping::default())).await {
                    return None;
                }
            }
            self.clock.sleep(LOOK).await;
        }
    }
}

async fn say(out: &Out, message: link_response::Message) -> bool {
    let message = agent::LinkResponse {
        message: Some(message),
    };
    out.send(Ok(message)).await.is_ok()
}

/// Whether two addresses are of the same hub, however they are written.
fn same(one: &str, other: &str) -> bool {
    let place = |text: &str| {
        let address = text.parse::<Uri>().ok()?;
        Some((address.host()?.to_ascii_lowercase(), address.port_u16()))
    };
    place(one).is_some_and(|one| Some(one) == place(other))
}
