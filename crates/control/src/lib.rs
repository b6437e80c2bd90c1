//! The loop: view -> plan -> lint -> execute, and the sessions of the agents.
//!
//! Deciding is [`berth_plan`]'s; this crate keeps the view true, does what the plan says, and has no policy of its own. It knows
//! the store, the seam to infrastructure and the link to agents, but neither gRPC nor Kubernetes nor a cloud.

pub mod access;
pub mod board;
pub mod difference;
mod event;
pub mod evidence;
mod execute;
pub mod fleet;
pub mod keys;
mod load;
pub mod objects;
pub mod outbox;
pub mod questions;
pub mod records;
pub mod registry;
pub mod seams;
pub mod sessions;

pub use access::Authorizer;
pub use board::{Board, TenantSnapshot};
pub use difference::Difference;
pub use fleet::{Fleet, Mode, Parts, Standing};
pub use registry::{Registry, RegistryError};
pub use sessions::Sessions;
