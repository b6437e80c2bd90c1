//! What strangers and callers may take of the hub: connections, time, messages, calls, streams.
//!
//! [`Door`] bounds connections before their handshake, [`Patience`] ends those that nobody uses, [`Strangers`] bounds calls by the address they
//! come from before it is known who calls, [`Callers`] by who calls. A refused call says RESOURCE_EXHAUSTED with `google.rpc.RetryInfo`.
//! Nothing a stranger does makes a table here grow past its bound. What a caller *may* do is not decided here.

mod bucket;
mod callers;
mod config;
mod counts;
mod door;
mod pump;
mod strangers;
mod usage;

use std::{collections::HashMap, sync::Arc, time::Duration};

use berth_runtime::{Clock, Metrics};
use tonic::{Code, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt as _};

pub use bucket::{Buckets, Rate};
pub use callers::Callers;
pub use config::{Limits, ListenerLimits};
pub use door::Door;
pub use strangers::Strangers;
pub use usage::{Patience, Usage};

use counts::Counts;

/// Which listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// People and automation.
    Api,
    /// Agents.
    Agents,
}

impl Listener {
    /// As in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Agents => "agents",
        }
    }
}

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Connections in all.
    Connections,
    /// Connections from one address.
    ConnectionsOfAddress,
    /// Handshakes from one address.
    HandshakesOfAddress,
    /// New connections from one address.
    NewConnectionsOfAddress,
    /// No call for long on a new connection.
    NoCall,
    /// No call for long.
    Idle,
    /// An answer that was not taken.
    AnswerNotTaken,
    /// Calls from one address.
    CallsOfAddress,
    /// Calls of one identity.
    CallsOfCaller,
    /// Watches of one identity.
    WatchesOfCaller,
    /// Watches in all.
    Watches,
    /// A watch whose reader was too slow.
    SlowReader,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Connections,
        Self::ConnectionsOfAddress,
        Self::HandshakesOfAddress,
        Self::NewConnectionsOfAddress,
        Self::NoCall,
        Self::Idle,
        Self::AnswerNotTaken,
        Self::CallsOfAddress,
        Self::CallsOfCaller,
        Self::WatchesOfCaller,
        Self::Watches,
        Self::SlowReader,
    ];

    /// As in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsOfAddress => "connections_per_address",
            Self::HandshakesOfAddress => "handshakes_per_address",
            Self::NewConnectionsOfAddress => "new_connections_per_address",
            Self::NoCall => "first_call",
            Self::Idle => "idle",
            Self::AnswerNotTaken => "answer_not_taken",
            Self::CallsOfAddress => "calls_per_address",
            Self::CallsOfCaller => "calls_per_caller",
            Self::WatchesOfCaller => "watches_per_caller",
            Self::Watches => "watches",
            Self::SlowReader => "slow_reader",
        }
    }
}

/// The limits of one listener, with what they count.
#[derive(Clone, Debug)]
pub struct Limited {
    listener: Listener,
    limits: Arc<Limits>,
    counts: Counts,
    clock: Arc<dyn Clock>,
}

/// The limits of both listeners: first that of the API, then that of agents.
#[must_use]
pub fn both(limits: &Limits, metrics: &Metrics, clock: &Arc<dyn Clock>) -> (Limited, Limited) {
    let counts = Counts::default();
    counts.register(metrics);
    let limits = Arc::new(limits.clone());
    let of = |listener| Limited {
        listener,
        limits: limits.clone(),
        counts: counts.clone(),
        clock: clock.clone(),
    };
    (of(Listener::Api), of(Listener::Agents))
}

impl Limited {
    /// The numbers.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn here(&self) -> ListenerLimits {
        match self.listener {
            Listener::Api => self.limits.api,
            Listener::Agents => self.limits.agents,
        }
    }

    /// Who may connect.
    #[must_use]
    pub fn door(&self) -> Door {
        Door::new(
            self.listener,
            self.here(),
            self.limits.handshakes,
            self.counts.clone(),
            self.clock.clone(),
        )
    }

    /// For one new connection.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience::new(
            &self.limits,
            self.listener,
            self.counts.clone(),
            self.clock.clone(),
        )
    }

    /// The outermost layer.
    #[must_use]
    pub fn strangers(&self) -> Strangers {
        Strangers::new(self)
    }

    /// The layer behind whoever knows the caller.
    #[must_use]
    pub fn callers(&self) -> Callers {
        Callers::new(self)
    }

    /// What HTTP/2 itself bounds.
    #[must_use]
    pub fn serving(&self, server: Server) -> Server {
        // A connection may have that much on its way that no call has read yet.
        const STREAM_WINDOW: u32 = 256 << 10;
        const CONNECTION_WINDOW: u32 = 512 << 10;
        server
            .max_concurrent_streams(Some(self.here().streams_per_connection))
            .http2_max_header_list_size(Some(self.limits.header_bytes))
            .http2_max_pending_accept_reset_streams(Some(self.limits.pending_resets))
            .http2_max_local_error_reset_streams(Some(self.limits.pending_resets))
            .initial_stream_window_size(Some(STREAM_WINDOW))
            .initial_connection_window_size(Some(CONNECTION_WINDOW))
    }

    fn refusal(&self, reason: Reason, message: String, retry_after: Duration) -> Status {
        self.counts.limited(self.listener, reason);
        exhausted(reason, message, retry_after)
    }
}

/// RESOURCE_EXHAUSTED, with the limit and how long to wait.
fn exhausted(reason: Reason, message: String, retry_after: Duration) -> Status {
    let metadata = HashMap::from([("limit".to_owned(), reason.as_str().to_owned())]);
    let mut details = ErrorDetails::with_error_info("LIMIT", "berth.dev", metadata);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}
