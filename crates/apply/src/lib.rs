//! Makes one cluster match its assignments: applies, prunes, withdraws, mends drift, judges health, reads the cluster's facts.
//!
//! The rooms: [`object`] knows the kinds and how they are addressed, [`request`](crate::request) how the API server is asked,
//! [`ledger`] what is remembered and what may be accepted, [`plan`] what has to be done, [`engine`] does it, [`watch`] sees what
//! is there, [`health`] judges it, [`facts`] describes the cluster, [`probe`] sees whether the walls stand, [`reports`] tells.
//!
//! It deliberately does not know who assigns (no hub, no gRPC), how objects are rendered, or what a tier is.

pub mod bootstrap;
mod breaker;
mod engine;
mod error;
mod facts;
mod fight;
pub mod health;
pub mod ledger;
pub mod manifest;
pub mod object;
mod options;
mod plan;
mod probe;
mod pulse;
mod reports;
mod request;
mod watch;

pub use breaker::{Breaker, BreakerLimits, BreakerMemory, BreakerState, Gone, Moment};
pub use engine::{Engine, EngineTask, Held, Kept};
pub use error::{ApplyError, Refused};
pub use options::Options;
pub use probe::{NotProbed, ProbedBy};
pub use reports::Reports;
pub use request::RequestError;
