//! The link to the hub: dials, runs sessions, and comes back when one ends.
//!
//! [`connect`] knows addresses and TLS, [`session`] the protocol, [`drive`] one stream, [`minting`] questions for tokens, [`memory`] what outlives
//! a session; here is only the coming back.

mod connect;
mod drive;
mod memory;
mod minting;
mod session;

use std::{sync::Arc, time::Duration};

use berth_proto::agent::{LinkRequest, LinkResponse, agent_service_client::AgentServiceClient};
use berth_runtime::retry::{Backoff, Policy};
use berth_wire::{link::GoodbyeReason, protocol, status};
use http::Uri;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Status, Streaming, transport::Channel};

pub(crate) use connect::{ConnectError, Hubs};
pub(crate) use drive::Driver;
pub(crate) use memory::Memory;

use crate::{error::Error, identity::Identity};
use drive::Outcome;
use session::End;

/// Full jitter, so that a fleet does not come back at once.
const RECONNECT: Policy = Policy::new(Duration::from_millis(200), Duration::from_secs(10));
/// To a hub that another one has named as the leader, at most: a fleet moves within a second, and not all at once.
const HAND_OVER: Policy = Policy::new(Duration::from_secs(1), Duration::from_secs(1));
/// A session that lasted this long was a good one.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// A hub that refuses this agent will not change its mind in a second.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);

/// How a hub is reached.
#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "a simulation dials its own way")
)]
pub trait Dial: Send + Sync {
    /// A connection.
    type Line: Send;
    /// What the hub says on it.
    type Heard: Stream<Item = Result<LinkResponse, Status>> + Send + Unpin;

    /// Connects.
    ///
    /// # Errors
    /// The hub cannot be reached now; or, as [`DialError::Hopeless`], never will be.
    fn dial(&self, hub: &Uri) -> impl Future<Output = Result<Self::Line, DialError>> + Send;

    /// Opens the stream of a session; what the agent says comes by `said`.
    ///
    /// # Errors
    /// The hub's refusal.
    fn open(
        line: Self::Line,
        said: mpsc::Receiver<LinkRequest>,
    ) -> impl Future<Output = Result<Self::Heard, Status>> + Send;
}

/// Why there is no connection.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "a simulation dials its own way")
)]
pub enum DialError {
    /// Not now.
    Away(String),
    /// The agent itself is wrong.
    Hopeless(Error),
}

/// Dials by TLS, as who the agent is at that moment.
pub(crate) struct Tls {
    pub(crate) hubs: Hubs,
    pub(crate) identity: watch::Receiver<Arc<Identity>>,
}

impl Dial for Tls {
    type Line = AgentServiceClient<Channel>;
    type Heard = Streaming<LinkResponse>;

    async fn dial(&self, hub: &Uri) -> Result<Self::Line, DialError> {
        let config = self.identity.borrow().tls().map_err(DialError::Hopeless)?;
        let dialled = self.hubs.dial(hub, config).await;
        dialled.map_err(|error| DialError::Away(error.to_string()))
    }

    async fn open(mut line: Self::Line, said: mpsc::Receiver<LinkRequest>) -> Result<Self::Heard, Status> {
        Ok(line.link(ReceiverStream::new(said)).await?.into_inner())
    }
}

/// Keeps a session with a hub for ever. Ends only when the engine does.
pub(crate) async fn stay_connected<D: Dial>(driver: Driver, hubs: Hubs, dial: D) -> Error {
    let (mut backoff, mut hand_over) = (Backoff::new(&RECONNECT), Backoff::new(&HAND_OVER));
    loop {
        let address = hubs.next();
        let began = driver.clock.monotonic();
        let pause = match dial.dial(&address).await {
            Ok(line) => {
                tracing::info!(hub = %address, "connected");
                let outcome = driver.run(|said| D::open(line, said)).await;
                match after(&outcome, &hubs, &driver.memory, &address) {
                    Next::End => return Error::Engine("its reports have ended".into()),
                    Next::SentOn(pause) => {
                        backoff.reset();
                        driver.clock.sleep(hand_over.next_delay_after(pause)).await;
                        continue;
                    }
                    Next::Pause(pause) => pause,
                }
            }
            Err(DialError::Hopeless(error)) => return error,
            Err(DialError::Away(error)) => {
                tracing::warn!(hub = %address, error, "cannot reach the hub; what is assigned here is kept as it is");
                driver.memory.lost(&address);
                Duration::ZERO
            }
        };
        if driver.clock.monotonic().saturating_sub(began) >= GOOD_SESSION {
            backoff.reset();
        }
        driver.clock.sleep(backoff.next_delay_after(pause)).await;
    }
}

/// What follows a session.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// There is no coming back.
    End,
    /// Coming back, after this at least, and later each time that it does not work.
    Pause(Duration),
    /// Another hub leads, which is to be dialled after this at least.
    SentOn(Duration),
}

/// What follows a session. Says once why it ended, and notes the hub that was lost.
fn after(outcome: &Outcome, hubs: &Hubs, memory: &Memory, address: &Uri) -> Next {
    let hub = &address.to_string();
    match outcome {
        Outcome::EngineGone => Next::End,
        Outcome::Ended(End::Goodbye(goodbye)) => {
            let (reason, message) = (goodbye.reason.as_str(), goodbye.message.as_str());
            tracing::info!(hub, reason, message, "the hub ended the session");
            hubs.prefer(&goodbye.leader);
            match goodbye.reason {
                GoodbyeReason::Superseded | GoodbyeReason::Refused => {
                    Next::Pause(goodbye.retry_after.max(REFUSED_PAUSE))
                }
                GoodbyeReason::NotLeader if !goodbye.leader.is_empty() => Next::SentOn(goodbye.retry_after),
                _ => Next::Pause(goodbye.retry_after),
            }
        }
        Outcome::Ended(End::Silent) => {
            tracing::warn!(hub, "the hub is silent; connecting again");
            memory.lost(address);
            Next::Pause(Duration::ZERO)
        }
        Outcome::Ended(End::Protocol(problem)) => {
            tracing::error!(hub, problem, "the hub does not keep to the protocol");
            Next::Pause(REFUSED_PAUSE)
        }
        Outcome::Ended(End::Mismatch(mismatch)) => {
            let (ours, theirs) = mismatch.ranges();
            let reason = mismatch.reason();
            tracing::error!(
                hub,
                reason,
                "the hub wants to speak protocol {theirs}, this agent speaks {ours}; hub and agent work together across two minor versions: update the older one"
            );
            Next::Pause(REFUSED_PAUSE)
        }
        Outcome::Closed | Outcome::Stuck => {
            tracing::warn!(hub, ?outcome, "the session ended; connecting again");
            memory.lost(address);
            Next::Pause(Duration::ZERO)
        }
        Outcome::Broken(status)
            if matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated) =>
        {
            let message = status.message();
            tracing::error!(
                hub,
                message,
                "the hub refuses this agent; was the cluster removed from the fleet? delete the Secret berth-agent-identity and join with a new token to come back"
            );
            Next::Pause(REFUSED_PAUSE)
        }
        Outcome::Broken(status)
            if matches!(
                status::reason(status).as_deref(),
                Some(protocol::TOO_OLD | protocol::TOO_NEW)
            ) =>
        {
            let message = status.message();
            tracing::error!(
                hub,
                message,
                "hub and agent have no protocol in common; what is assigned here is kept as it is"
            );
            Next::Pause(REFUSED_PAUSE)
        }
        Outcome::Broken(status) => {
            tracing::warn!(hub, code = ?status.code(), message = status.message(), "the session broke; connecting again");
            memory.lost(address);
            Next::Pause(Duration::ZERO)
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_wire::link::Goodbye;

    use super::*;

    fn goodbye(reason: GoodbyeReason, retry_after: Duration) -> Outcome {
        let (message, leader) = (String::new(), "https://b:1".to_owned());
        Outcome::Ended(End::Goodbye(Goodbye {
            reason,
            message,
            retry_after,
            leader,
        }))
    }

    #[test]
    fn a_farewell_says_when_to_come_back_and_to_whom() {
        let hubs = Hubs::new(
            ["https://a:1", "https://b:1"]
                .map(|u| u.parse().unwrap())
                .to_vec(),
        );
        let memory = Memory::default();
        let at = "https://a:1".parse().unwrap();
        let after = |outcome: &Outcome| super::after(outcome, &hubs, &memory, &at);
        let second = Duration::from_secs(1);
        assert_eq!(
            after(&goodbye(GoodbyeReason::Draining, second)),
            Next::Pause(second)
        );
        assert_eq!(hubs.next().host(), Some("b"));
        assert_eq!(
            after(&goodbye(GoodbyeReason::NotLeader, second)),
            Next::SentOn(second)
        );
        assert_eq!(
            after(&goodbye(GoodbyeReason::Superseded, second)),
            Next::Pause(REFUSED_PAUSE)
        );
        assert_eq!(
            after(&Outcome::Broken(tonic::Status::permission_denied(""))),
            Next::Pause(REFUSED_PAUSE)
        );
        let strangers = protocol::negotiate(protocol::Range::only(9), protocol::OURS).unwrap_err();
        for outcome in [
            Outcome::Broken(protocol::refusal(&strangers)),
            Outcome::Ended(End::Mismatch(strangers)),
        ] {
            assert_eq!(after(&outcome), Next::Pause(REFUSED_PAUSE));
        }
        assert_eq!(memory.known().lost, "", "whoever answers is not lost");
        assert_eq!(after(&Outcome::Closed), Next::Pause(Duration::ZERO));
        assert_eq!(memory.known().lost, "https://a:1/");
        assert_eq!(after(&Outcome::EngineGone), Next::End);
    }
}
